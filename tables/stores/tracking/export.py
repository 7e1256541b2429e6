"""The store of MLflow in PostgreSQL becomes a SQLite file: the way back."""

from collections.abc import Iterator
from pathlib import Path

from tables.stores.errors import StoreConflict
from tables.stores.replacing import fsync_folder
from tables.stores.tracking import postgres_schema, sqlite_file
from tables.stores.tracking.postgres_schema import Connection
from tables.stores.tracking.report import Compared, Progress, Report, check_equal
from tables.stores.tracking.rows import Checksum, Row, Table


def export(uri: str, target: Path, progress: Progress) -> Report:
    """Write the store at an address to a new SQLite file.

    The file is there when it is whole and equal, and MLflow takes it as it is.

    Raises
    ------
    StoreConflict
        If the file is there, there is no store, or the sides differ.
    StoreUnavailable
        If either does not answer.
    """
    draft = target.with_name(f"{target.name}.draft")
    if target.exists():
        raise StoreConflict(f"{target} is there; expected the name of a new file")
    if not target.absolute().parent.is_dir():
        raise StoreConflict(f"{target.absolute().parent} is no folder; expected one to write to")
    draft.unlink(missing_ok=True)
    try:
        with postgres_schema.connected(uri) as connection, postgres_schema.snapshot(connection):
            schema = postgres_schema.current_schema(connection)
            revision = postgres_schema.revision_of(connection, schema)
            if not revision:
                raise StoreConflict(f"there is no store: schema {schema} has no tables of MLflow's")
            sqlite_file.make_empty(draft)
            if sqlite_file.revision_of(draft) != revision:
                raise StoreConflict(
                    f"the store's schema is revision {revision}, that of the installed "
                    f"MLflow {sqlite_file.revision_of(draft)}: expected the same"
                )
            tables = postgres_schema.tables_of(connection, schema)
            compared = _exported(connection, schema, tables, draft, progress)
        draft.replace(target)
        fsync_folder(target.absolute().parent)
    finally:
        draft.unlink(missing_ok=True)
    return Report(compared, revision, revision, 0, resumed=False, backup="")


def _exported(
    connection: Connection,
    schema: str,
    tables: tuple[Table, ...],
    draft: Path,
    progress: Progress,
) -> tuple[Compared, ...]:
    sums = {table.name: Checksum() for table in tables}

    def counted(table: Table, at: int) -> Iterator[Row]:
        for row in postgres_schema.rows_of(connection, schema, table):
            sums[table.name].add(row)
            yield row
        progress("write rows", (at + 1) / len(tables))

    contents = ((table, counted(table, at)) for at, table in enumerate(tables))
    sqlite_file.fill(draft, contents)
    compared = []
    for at, table in enumerate(tables):
        found = Checksum().add_all(row for _, row in sqlite_file.rows_of(draft, table)).found
        compared.append(Compared(table.name, sums[table.name].found, found))
        progress("compare", (at + 1) / len(tables))
    check_equal(compared)
    return tuple(compared)
