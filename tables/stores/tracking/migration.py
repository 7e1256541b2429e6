"""A store of MLflow goes from SQLite to PostgreSQL: all of it, or nothing.

The user's file is only read. What is moved is a copy of its backup, so that a migration which was
killed goes on with the very bytes with which it began.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from streams.brokers.homes import private_folder
from tables.stores.errors import StoreConflict
from tables.stores.replacing import fsync_folder, replacing
from tables.stores.tracking import postgres_schema, sqlite_file
from tables.stores.tracking.postgres_schema import Connection
from tables.stores.tracking.report import Compared, Progress, Report, check_equal
from tables.stores.tracking.rows import Checksum, Found, Table, batches
from tables.stores.tracking.sqlite_file import BEFORE_ALL

BACKUP = "backup.sqlite"

_WORK = "work.sqlite"
_SOURCE = "source"
_BATCH_ROWS = 20_000
_TOLD_ROWS = 1_000


@dataclass(frozen=True)
class Migration:
    """From a SQLite file into the PostgreSQL at an address of MLflow.

    Parameters
    ----------
    source
        The user's file.
    uri
        Where to, as MLflow's client knows it.
    folder
        For the backup and what is under way; it may hold those of a migration that was killed.
    progress
        Told the step and its finished share; what it raises ends the migration, which goes on
        with the next.
    """

    source: Path
    uri: str
    folder: Path
    progress: Progress

    def run(self) -> Report:
        """Move everything, compare both sides, and put it in place.

        Raises
        ------
        StoreConflict
            If the target is not empty, the file cannot be moved whole, or the sides differ; the
            store in use is untouched.
        StoreUnavailable
            If either does not answer.
        """
        with postgres_schema.connected_alone(self.uri) as connection:
            return self._run(connection)

    def rehearse(self) -> Report:
        """Do everything but writing: what would be moved, and whether it can be.

        Raises
        ------
        StoreConflict, StoreUnavailable
            As `run` would.
        """
        rehearsal = Migration(self.source, self.uri, self.folder / "rehearsal", self.progress)
        try:
            with postgres_schema.connected_alone(self.uri) as connection:
                return rehearsal._rehearsed(connection)
        finally:
            shutil.rmtree(rehearsal.folder, ignore_errors=True)

    def forget(self) -> None:
        """Let go what a migration left that did not come to its end, but not a backup."""
        with postgres_schema.connected_alone(self.uri) as connection:
            postgres_schema.drop(connection, _incoming(connection))
        self._clear()

    def _run(self, connection: Connection) -> Report:
        schema, incoming = postgres_schema.current_schema(connection), _incoming(connection)
        resumed = self._resumes(connection, incoming)
        if not resumed and self._begun() and (self.folder / _WORK).exists():
            # It may have died between the switch and the last line it would have written.
            finished = self._finished(connection, schema)
            if finished is not None:
                return finished
        postgres_schema.check_empty(connection, schema)
        private_folder(self.folder)
        if not resumed:
            self._begin(connection, incoming)
        revision = postgres_schema.revision_of(connection, incoming)
        before = self._work_on(revision)
        tables = postgres_schema.tables_of(connection, incoming)
        sums = self._checked(tables)
        self._copy(connection, incoming, tables, sums)
        sequences = postgres_schema.set_sequences(connection, incoming)
        compared = self._compared(connection, incoming, tables, sums)
        postgres_schema.switch(connection, incoming, schema)
        return Report(compared, revision, before, sequences, resumed, str(self._put_away()))

    def _finished(self, connection: Connection, schema: str) -> Report | None:
        """Return the report of a migration that is in place and was not put away, None if none."""
        revision = postgres_schema.revision_of(connection, schema)
        if not revision or not postgres_schema.what_is_there(connection, schema):
            return None
        tables = postgres_schema.tables_of(connection, schema)
        sums = self._checked(tables)
        try:
            compared = self._compared(connection, schema, tables, sums)
        except StoreConflict:
            return None
        before = sqlite_file.revision_of(self.folder / BACKUP)
        return Report(compared, revision, before, 0, resumed=True, backup=str(self._put_away()))

    def _rehearsed(self, connection: Connection) -> Report:
        schema, incoming = postgres_schema.current_schema(connection), _incoming(connection)
        postgres_schema.check_empty(connection, schema)
        private_folder(self.folder)
        sqlite_file.back_up(self.source, self.folder / BACKUP)
        rehearsed = f"{incoming}_rehearsal"
        try:
            postgres_schema.make_empty(connection, self.uri, rehearsed)
            revision = postgres_schema.revision_of(connection, rehearsed)
            tables = postgres_schema.tables_of(connection, rehearsed)
        finally:
            postgres_schema.drop(connection, rehearsed)
        before = self._work_on(revision)
        sums = self._checked(tables)
        compared = tuple(Compared(table.name, sums[table.name], None) for table in tables)
        return Report(compared, revision, before, 0, resumed=False, backup="")

    def _resumes(self, connection: Connection, incoming: str) -> bool:
        """Tell whether there is something to go on with, which must be of the same file."""
        if not postgres_schema.is_under_way(connection, incoming):
            return False
        begun = self.folder / _SOURCE
        if not begun.exists():
            return False
        if not self._begun():
            raise StoreConflict(
                f"a migration of {begun.read_text()} has not come to its end: finish it with this "
                "--from, or give --anew to forget it"
            )
        return True

    def _begun(self) -> bool:
        """Return whether what is in the folder is of this source."""
        begun = self.folder / _SOURCE
        return begun.exists() and begun.read_text() == str(self.source.absolute())

    def _begin(self, connection: Connection, incoming: str) -> None:
        self.progress("back up", 0.0)
        (self.folder / _WORK).unlink(missing_ok=True)
        sqlite_file.back_up(self.source, self.folder / BACKUP)
        self.progress("back up", 1.0)
        self.progress("make tables", 0.0)
        postgres_schema.make_empty(connection, self.uri, incoming)
        self.progress("make tables", 1.0)
        with replacing(self.folder / _SOURCE) as file:
            file.write(str(self.source.absolute()).encode())

    def _work_on(self, revision: str) -> str:
        """Make the copy that is moved, its schema up to date; return what its revision was."""
        backup, work = self.folder / BACKUP, self.folder / _WORK
        before = sqlite_file.revision_of(backup)
        if not work.exists():
            draft = work.with_suffix(".draft")
            shutil.copyfile(backup, draft)
            self.progress("upgrade the copy", 0.0)
            sqlite_file.upgrade(draft, revision)
            self.progress("upgrade the copy", 1.0)
            _check_counts(backup, draft)
            draft.replace(work)
            fsync_folder(self.folder)
        return before

    def _checked(self, tables: tuple[Table, ...]) -> dict[str, Found]:
        """Take the source's checksums, and look whether PostgreSQL takes every row."""
        work = self.folder / _WORK
        sqlite_file.check_columns(work, tables)
        lost = sqlite_file.orphans(work)
        if lost:
            raise StoreConflict(
                f"rows refer to others that are not there: {_spoken(lost)}. SQLite lets that be "
                "and PostgreSQL does not: delete them in the file, or repair what they refer to"
            )
        counts = sqlite_file.counts(work)
        total, done = sum(counts.values()), 0
        found = {}
        for table in tables:
            checksum = Checksum()
            for rowid, row in sqlite_file.rows_of(work, table):
                if why := table.why_not(row):
                    raise StoreConflict(f"row {rowid} cannot be moved: {why}")
                checksum.add(row)
                done += 1
                if done % _TOLD_ROWS == 0:
                    self.progress("check rows", done / total)
            found[table.name] = checksum.found
        self.progress("check rows", 1.0)
        unread = {t: n - found[t].rows for t, n in counts.items() if n != found[t].rows}
        if unread:
            raise StoreConflict(
                f"rows of {work} were not read: {_spoken(unread)}; is its disk well?"
            )
        return found

    def _copy(
        self,
        connection: Connection,
        incoming: str,
        tables: tuple[Table, ...],
        sums: dict[str, Found],
    ) -> None:
        lasts = postgres_schema.last_of(connection, incoming)
        total, done = max(sum(found.rows for found in sums.values()), 1), 0
        for table in tables:
            rows = sqlite_file.rows_of(
                self.folder / _WORK, table, lasts.get(table.name, BEFORE_ALL)
            )
            for batch in batches(rows, _BATCH_ROWS):
                last = batch[-1][0]
                values = (row for _, row in batch)
                postgres_schema.put(connection, incoming, table, values, last)
                done += len(batch)
                self.progress("move rows", min(done / total, 1.0))
        self.progress("move rows", 1.0)

    def _compared(
        self,
        connection: Connection,
        incoming: str,
        tables: tuple[Table, ...],
        sums: dict[str, Found],
    ) -> tuple[Compared, ...]:
        compared = []
        with connection.transaction():
            for at, table in enumerate(tables):
                rows = postgres_schema.rows_of(connection, incoming, table)
                found = Checksum().add_all(rows).found
                compared.append(Compared(table.name, sums[table.name], found))
                self.progress("compare", (at + 1) / len(tables))
        check_equal(compared)
        return tuple(compared)

    def _put_away(self) -> Path:
        """Keep the backup under a name of its own, and let the copy go."""
        taken = sum(1 for _ in self.folder.glob("backup-*.sqlite"))
        self._clear()
        kept = (self.folder / BACKUP).replace(self.folder / f"backup-{taken + 1}.sqlite")
        fsync_folder(self.folder)
        return kept

    def _clear(self) -> None:
        for name in (_WORK, _SOURCE):
            (self.folder / name).unlink(missing_ok=True)
        if self.folder.exists():
            fsync_folder(self.folder)


def _check_counts(backup: Path, work: Path) -> None:
    """Check that an upgrade of the schema has lost no row."""
    after = sqlite_file.counts(work)
    lost = {
        name: rows - after.get(name, 0)
        for name, rows in sqlite_file.counts(backup).items()
        if after.get(name, 0) < rows
    }
    if lost:
        raise StoreConflict(f"MLflow's upgrade of the copy lost rows: {_spoken(lost)}")


def _incoming(connection: Connection) -> str:
    return f"{postgres_schema.current_schema(connection)}_incoming"


def _spoken(rows: dict[str, int]) -> str:
    return ", ".join(f"{n:,} of {name}" for name, n in sorted(rows.items()))
