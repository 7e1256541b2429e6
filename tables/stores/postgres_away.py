"""What PostgreSQL's driver raises while the server is away: one answer for all stores."""

import asyncpg

# The last one: a server that ends says so on an idle connection, and the next use of that one finds
# it in the middle of an answer that nobody asked for.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
