"""The logins of roles at PostgreSQL: a migration makes them, the owner gives them passwords."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

from streams.errors import SettingsError
from tables.stores.errors import StoreUnavailable
from tables.stores.postgres_connection import reading
from tables.stores.servers.postgres import PostgresServer

# Whose rights migration 0010 gives, and the audit trail's writer of 0006.
LOGINS = ("archive", "audit_writer", "reader", "rollout", "mlflow")

_FILE = "database_url_"


def login_files(folder: Path) -> dict[str, str]:
    """Return the passwords of a folder's files ``database_url_LOGIN``, by login.

    Raises
    ------
    SettingsError
        If there is none, or an address is not of its login or has no password.
    """
    found = {}
    for login in LOGINS:
        file = folder / f"{_FILE}{login}"
        if not file.is_file():
            continue
        try:
            parts = urlsplit(file.read_text(encoding="utf-8").strip())
        except (OSError, ValueError) as error:
            raise SettingsError(f"{file} cannot be read: {error}; expected an address") from error
        if parts.username != f"tradewind_{login}" or not parts.password:
            raise SettingsError(
                f"{file} has an address of user {parts.username!r} "
                f"{'with' if parts.password else 'without'} a password; expected one of "
                f"tradewind_{login} with its password"
            )
        found[login] = unquote(parts.password)
    if not found:
        names = ", ".join(f"{_FILE}{login}" for login in LOGINS)
        raise SettingsError(f"{folder} has none of {names}; expected one of them at least")
    return found


async def open_logins(server: PostgresServer, passwords: Mapping[str, str]) -> None:
    """Let roles in by these passwords; others stay as they are.

    Raises
    ------
    StoreUnavailable
        If the server does not answer, or the login of ``server`` may open no others.
    """
    if not passwords:
        return
    async with reading(server) as connection, connection.transaction():
        for login, password in passwords.items():
            # No parameter is allowed there; the server itself puts the quotes.
            said = await connection.fetchval(
                "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)",
                f"tradewind_{login}",
                password,
            )
            try:
                await connection.execute(said)
            except (asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedObjectError) as error:
                raise StoreUnavailable(
                    f"login tradewind_{login} at {server.spoken} cannot be opened: {error}; let an "
                    "administrator make the roles of migration 0010 and give them passwords"
                ) from None
