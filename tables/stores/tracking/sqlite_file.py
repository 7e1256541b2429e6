"""An MLflow database in a SQLite file: found, backed up, brought up to date, read and written."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from streams.errors import SettingsError
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.replacing import fsync_folder
from tables.stores.tracking.revisions import bring_up_to_date
from tables.stores.tracking.rows import Row, Table

BEFORE_ALL = -(1 << 63)
"""A row id that no row comes before; the experiment that every store has is number 0."""

_SCHEME = "sqlite:///"
_LEAST = frozenset({"alembic_version", "experiments", "metrics", "params", "runs", "tags"})
_WAIT_S = 5.0
_PAGES = 1_024


def path_of(uri: str, option: str) -> Path:
    """Return the file that an address of MLflow names.

    Raises
    ------
    SettingsError
        If it is none of a SQLite file; ``option`` is named.

    Examples
    --------
    >>> path_of("sqlite:////data/mlflow.db", "--from")
    PosixPath('/data/mlflow.db')
    """
    path = uri.removeprefix(_SCHEME).partition("?")[0]
    if not uri.startswith(_SCHEME) or not path:
        raise SettingsError(
            f"{option} was {uri!r}; expected {_SCHEME}FILE, with a fourth slash if FILE is absolute"
        )
    return Path(path)


def address_of(path: Path) -> str:
    """Return what MLflow calls a file."""
    return f"{_SCHEME}{path.absolute()}"


def back_up(source: Path, target: Path) -> None:
    """Copy a database as it stands between two writes; who writes to it waits meanwhile.

    Raises
    ------
    StoreConflict
        If the file is none of MLflow's.
    StoreUnavailable
        If it is not there, or somebody is writing to it for longer than five seconds.
    """
    if not source.is_file():
        raise StoreUnavailable(f"{source} is no file; expected an MLflow database of SQLite")
    draft = target.with_name(f"{target.name}.draft")
    draft.unlink(missing_ok=True)
    with _spoken(source), _opened(source, "ro") as from_, _opened(draft, "rwc") as to:
        # Python's backup would wait for a lock for ever; a reader's own transaction does not.
        from_.execute("BEGIN")
        _check_kind(from_, source)
        from_.backup(to, pages=_PAGES)
        to.execute("PRAGMA journal_mode = DELETE")
    draft.replace(target)
    fsync_folder(target.parent)


def revision_of(path: Path) -> str:
    """Return the revision of a database's schema."""
    with _spoken(path), _opened(path, "ro") as connection:
        rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return rows[0][0] if rows else ""


def upgrade(path: Path, revision: str) -> None:
    """Let MLflow upgrade the schema of a copy.

    Raises
    ------
    StoreConflict
        If that does not lead to ``revision``.
    """
    before = revision_of(path)
    if before == revision:
        return
    try:
        bring_up_to_date(address_of(path))
        after = revision_of(path)
    except StoreUnavailable as error:
        after = str(error)
    if after != revision:
        raise StoreConflict(
            f"the schema of the file is revision {before}, and upgrading its copy gave {after}; "
            f"expected {revision}: install the MLflow that wrote it, or a newer one"
        )


def make_empty(path: Path) -> None:
    """Make a database of MLflow; who fills it replaces what every new one has."""
    bring_up_to_date(address_of(path))


def counts(path: Path) -> dict[str, int]:
    """Return how many rows each table has."""
    with _spoken(path), _opened(path, "ro") as connection:
        return {
            name: connection.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchone()[0]  # noqa: S608  a quoted name
            for name in _tables(connection)
        }


def locations_of(path: Path) -> tuple[str, ...]:
    """Return where experiments keep their artefacts."""
    with _spoken(path), _opened(path, "ro") as connection:
        asked = "SELECT artifact_location FROM experiments ORDER BY experiment_id"
        return tuple(str(row[0]) for row in connection.execute(asked))


def orphans(path: Path) -> dict[str, int]:
    """Return by table how many rows refer to one that is not there: SQLite lets them be."""
    found: dict[str, int] = {}
    with _spoken(path), _opened(path, "ro") as connection:
        for name, *_ in connection.execute("PRAGMA foreign_key_check"):
            found[name] = found.get(name, 0) + 1
    return found


def check_columns(path: Path, tables: Iterable[Table]) -> None:
    """Check that a file has the tables and columns that PostgreSQL has.

    Raises
    ------
    StoreConflict
        Naming what differs.
    """
    with _spoken(path), _opened(path, "ro") as connection:
        theirs = {
            name: {row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(name)})")}
            for name in _tables(connection)
        }
    ours = {table.name: set(table.names) for table in tables}
    for name in sorted(theirs.keys() | ours.keys()):
        only = theirs.get(name, set()) ^ ours.get(name, set())
        if only:
            raise StoreConflict(
                f"table {name} differs between SQLite and PostgreSQL in {', '.join(sorted(only))}: "
                "expected the same columns in both"
            )


def rows_of(path: Path, table: Table, after: int = BEFORE_ALL) -> Iterator[tuple[int, Row]]:
    """Give the canonical rows of a table behind a row id, each with its row id."""
    names = ", ".join(map(_quoted, table.names))
    asked = f"SELECT rowid, {names} FROM {_quoted(table.name)} WHERE rowid > ? ORDER BY rowid"  # noqa: S608  quoted names
    with _spoken(path), _opened(path, "ro") as connection:
        for row in connection.execute(asked, (after,)):
            yield row[0], table.canonical(row[1:])


def fill(path: Path, contents: Iterable[tuple[Table, Iterable[Row]]]) -> None:
    """Put rows into the tables of a file in place of what is there."""
    with _spoken(path), _opened(path, "rw") as connection:
        connection.execute("BEGIN IMMEDIATE")
        for name in _tables(connection):
            connection.execute(f"DELETE FROM {_quoted(name)}")  # noqa: S608  a quoted name
        for table, rows in contents:
            names = ", ".join(map(_quoted, table.names))
            marks = ", ".join("?" for _ in table.names)
            connection.executemany(
                f"INSERT INTO {_quoted(table.name)} ({names}) VALUES ({marks})",  # noqa: S608  quoted names
                rows,
            )
        connection.execute("COMMIT")


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    missing = _LEAST - set(_tables(connection, every=True))
    if missing:
        raise StoreConflict(
            f"{path} is no MLflow database: it has no table {', '.join(sorted(missing))}"
        )


def _tables(connection: sqlite3.Connection, *, every: bool = False) -> list[str]:
    asked = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    names = sorted(row[0] for row in connection.execute(asked))
    return [name for name in names if every or not name.startswith("alembic_")]


@contextlib.contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    # No implicit transactions: each of ours is written out.
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"
    connection = sqlite3.connect(address, uri=True, timeout=_WAIT_S, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def _spoken(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into an error of the store."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreUnavailable(
            f"{path} cannot be read: {error}; is a server of MLflow writing to it? Stop it, and "
            "try again"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreConflict(f"{path} is no MLflow database: {error}") from error


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
