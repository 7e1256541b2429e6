"""SQLite files: which are MLflow's, and how they are read while others have them."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streams.errors import SettingsError
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.tracking import sqlite_file
from tables.stores.tracking.rows import Column, Table

TABLE = Table("runs", (Column("name", "text"), Column("well", "boolean")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a file with the least that makes it MLflow's."""
    made = tmp_path / "mlflow ü.db"
    with closing(sqlite3.connect(made)) as connection:
        connection.executescript(
            """
            CREATE TABLE alembic_version (version_num text);
            INSERT INTO alembic_version VALUES ('abc');
            CREATE TABLE experiments (experiment_id integer PRIMARY KEY, artifact_location text);
            INSERT INTO experiments VALUES (0, 'file:///a');
            CREATE TABLE metrics (run text REFERENCES runs (name));
            CREATE TABLE params (x); CREATE TABLE tags (x);
            CREATE TABLE runs (name text PRIMARY KEY, well boolean);
            INSERT INTO runs VALUES ('b', 1), ('a', NULL);
            """
        )
    return made


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    """Give somebody else's connection."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@pytest.mark.parametrize("given", ["mlflow.db", "sqlite://", "sqlite:///", "postgresql://db/x"])
def test_path_when_the_address_is_no_file_then_says_what_it_should_be(given: str) -> None:
    """A forgotten slash is the usual mistake."""
    with pytest.raises(SettingsError, match=r"--from was .* expected sqlite:///FILE"):
        sqlite_file.path_of(given, "--from")


def test_path_when_relative_then_is_relative() -> None:
    """Three slashes are relative, as MLflow reads them."""
    assert sqlite_file.path_of("sqlite:///a/b.db", "--from") == Path("a/b.db")


def test_back_up_when_the_file_has_a_log_beside_it_then_holds_what_the_log_says(
    path: Path, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    """A copy of the file alone would miss what a running server wrote last."""
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO runs VALUES ('c', 0)")
    before = path.read_bytes()
    target = tmp_path / "backup"
    sqlite_file.back_up(path, target)
    assert path.read_bytes() == before
    assert [row for _, row in sqlite_file.rows_of(target, TABLE)] == [
        ("b", True),
        ("a", None),
        ("c", False),
    ]
    assert sqlite_file.revision_of(target) == "abc"
    assert not target.with_name("backup-wal").exists()


def test_back_up_when_somebody_writes_then_says_so_and_leaves_nothing(
    path: Path, writer: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for ever would look like work."""
    monkeypatch.setattr(sqlite_file, "_WAIT_S", 0.05)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match=r"database is locked; is a server of MLflow"):
        sqlite_file.back_up(path, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("kind", ["text", "other", "folder", "none"])
def test_back_up_when_the_file_is_none_of_mlflow_then_says_what_is_missing(
    tmp_path: Path, kind: str
) -> None:
    """A wrong file is refused before anything is made of it."""
    path = tmp_path / "x.db"
    if kind == "text":
        path.write_text("run,metric\n" * 400)
    elif kind == "other":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE users (name)")
    elif kind == "folder":
        path.mkdir()
    said = {
        "text": "is no MLflow database: file is not a database",
        "other": "it has no table alembic_version, experiments",
    }.get(kind, "is no file")
    with pytest.raises((StoreConflict, StoreUnavailable), match=said):
        sqlite_file.back_up(path, tmp_path / "backup")
    assert path.exists() is (kind != "none")


def test_rows_when_a_row_has_number_zero_then_it_is_read_and_counted(path: Path) -> None:
    """The experiment that every store has is number 0."""
    table = Table("experiments", (Column("artifact_location", "text"),))
    assert list(sqlite_file.rows_of(path, table)) == [(0, ("file:///a",))]
    assert list(sqlite_file.rows_of(path, table, 0)) == []
    assert sqlite_file.counts(path) == {
        "experiments": 1,
        "metrics": 0,
        "params": 0,
        "runs": 2,
        "tags": 0,
    }
    assert sqlite_file.locations_of(path) == ("file:///a",)


def test_orphans_when_a_row_refers_to_none_then_its_table_is_named(
    path: Path, writer: sqlite3.Connection
) -> None:
    """SQLite keeps what PostgreSQL would refuse."""
    assert sqlite_file.orphans(path) == {}
    writer.execute("INSERT INTO metrics VALUES ('gone'), ('a')")
    assert sqlite_file.orphans(path) == {"metrics": 1}


def test_columns_when_one_is_unknown_then_table_and_column_are_named(path: Path) -> None:
    """A store that somebody has extended is not moved in part."""
    with pytest.raises(StoreConflict, match=r"table experiments differs .* in artifact_location"):
        sqlite_file.check_columns(
            path, [Table("experiments", (Column("experiment_id", "integer"),))]
        )


def test_fill_when_called_then_rows_take_the_place_of_those_before(path: Path) -> None:
    """What a new store has by itself does not stay beside what comes."""
    sqlite_file.fill(path, [(TABLE, [("z", True)])])
    assert [row for _, row in sqlite_file.rows_of(path, TABLE)] == [("z", True)]
    assert sqlite_file.counts(path)["experiments"] == 0


def test_fill_when_a_row_does_not_fit_then_nothing_has_changed(path: Path) -> None:
    """Half a store is none."""
    with pytest.raises(StoreConflict):
        sqlite_file.fill(path, [(TABLE, [("z", True), ("z", True)])])
    assert sqlite_file.counts(path)["runs"] == 2


def test_rows_when_text_is_none_then_says_that_the_file_is_damaged(
    path: Path, writer: sqlite3.Connection
) -> None:
    """Bytes that are no text end the migration with the file's name."""
    writer.execute("INSERT INTO runs VALUES (CAST(x'ff' AS text), 1)")
    with pytest.raises((StoreConflict, StoreUnavailable), match=f"{os.fspath(path.name)}"):
        list(sqlite_file.rows_of(path, TABLE))
