"""What PostgreSQL's driver raises, sorted: the server is away, or the rows are bad."""

import asyncio

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

# What ends in the middle of an answer: the server may hang, so nothing more is asked of it.
BROKEN_OFF = (asyncio.CancelledError, *AWAY)

# What says that the rows are bad: data that the columns do not take (SQLSTATE class 22), checks and
# keys that they break (23), and numbers that the driver cannot encode. All else is the store's own
# trouble, a missing role or a standby as much as a lost connection: rows wait for it.
BAD_ROWS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    OverflowError,
    ValueError,
)
