"""A store of MLflow's own client moved from SQLite to PostgreSQL, and back."""

import json
import math
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from agents.cli import program
from agents.cli.mlflow import MIGRATION
from tables.stores.admin_log import AdminLog
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.servers.postgres import PostgresServer
from tables.stores.tracking import postgres_schema, sqlite_file
from tables.stores.tracking.export import export
from tables.stores.tracking.migration import Migration
from tables.stores.tracking.report import REPORT, Report
from tests import mlflow_worlds

pytestmark = [pytest.mark.postgres, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parents[2]
N_STEPS = 40
# A version of the schema of 2023, from before traces, inputs' steps and workspaces.
OLD_REVISION = "acf3f17fdcc7"


def silent(_step: str, _share: float) -> None:
    """Be told and say nothing."""


class Source(NamedTuple):
    """A file, and what was written to it."""

    path: Path
    written: dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def unpooled() -> Iterator[None]:
    """Let MLflow's clients hold no connection when they are not asked."""
    with pytest.MonkeyPatch.context() as patched:
        mlflow_worlds.unpooled(patched)
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Give a file that MLflow's client wrote."""
    folder = tmp_path_factory.mktemp("source")
    path = folder / "mlflow.db"
    return Source(path, mlflow_worlds.fill(mlflow_worlds.client_of(path), folder, 4, N_STEPS))


@pytest.fixture
def copy(source: Source, tmp_path: Path) -> Path:
    """Give a file of its own to a test."""
    return Path(shutil.copy(source.path, tmp_path / "mine.db"))


@pytest.fixture
def uri(postgres: PostgresServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the address of an empty schema in a database of the test's own."""
    yield from mlflow_worlds.databases(postgres, f"m_{abs(hash(request.node.name)):x}")


def rows_of(report: Report, table: str) -> int:
    """Return how many rows of a table were moved."""
    return next(each.source.rows for each in report.tables if each.name == table)


def told(*arguments: str, code: int = 0) -> Any:  # noqa: ANN401  typer's result
    """Run ``tradewind mlflow``."""
    result = CliRunner().invoke(program(["mlflow"]), ["mlflow", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_migrate_when_a_client_wrote_the_store_then_another_finds_everything(
    source: Source, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids, times, tags, aliases, places, every metric; and the way back is the same store."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    before = source.path.read_bytes()
    folder = tmp_path / "default" / MIGRATION
    migrate = ("migrate", "--from", f"sqlite:///{source.path}")
    rehearsed = told(*migrate, "--dry-run").stderr
    assert "rows could be moved" in rehearsed
    assert list(folder.iterdir()) == []
    said = told(*migrate, "--json")
    assert "is as it was" in said.stderr
    assert "4 sequences set" in said.stderr
    assert "3 experiments, 3 with files" in said.stderr
    assert source.path.read_bytes() == before
    report = json.loads(said.stdout)
    assert all(each["source"] == each["target"] for each in report["tables"])
    found = {each["name"]: each["target"]["rows"] for each in report["tables"]}
    assert (found["experiments"], found["runs"], found["spans"]) == (3, 4, 1)
    assert found["metrics"] == 4 * (3 * N_STEPS + 8)
    assert report["rows"] == sum(found.values())
    assert sqlite_file.counts(Path(report["backup"])) == sqlite_file.counts(source.path)
    assert (folder / REPORT).exists()
    _look(mlflow_worlds.client_of(source.path), _client(uri), source.written)
    again = told(*migrate, code=1).stderr
    assert re.search(r"not empty: schema mlflow has .* rows of experiments", again)
    back = tmp_path / "back.db"
    assert (
        f"{report['rows']:,} rows written to" in told("export", "--to", f"sqlite:///{back}").stderr
    )
    acts = AdminLog(tmp_path / "default").acts()
    assert [(act.deed.what, act.result) for act in acts] == [
        ("mlflow migrate", "done"),
        ("mlflow migrate", "failed"),
    ]
    assert acts[0].detail == f"{report['rows']} rows"
    assert sqlite_file.counts(back) == sqlite_file.counts(source.path)
    _look(mlflow_worlds.client_of(back), _client(uri), source.written)
    assert "back.db is there" in told("export", "--to", f"sqlite:///{back}", code=1).stderr
    # Numbers go on behind the highest.
    assert _client(uri).create_experiment("next") == "3"


def _client(uri: str) -> Any:  # noqa: ANN401  MLflow is imported by whoever needs it
    import mlflow  # noqa: PLC0415  three seconds

    return mlflow.MlflowClient(uri)


def _look(mine: Any, other: Any, written: dict[str, Any]) -> None:  # noqa: ANN401  see above
    """Compare what two clients say, by MLflow's own interface."""
    assert [dict(e) for e in _experiments(mine)] == [dict(e) for e in _experiments(other)]
    for run_id in written["runs"]:
        one, same = mine.get_run(run_id), other.get_run(run_id)
        assert one.to_dictionary()["info"] == same.to_dictionary()["info"]
        assert one.data.params == same.data.params
        assert one.data.tags == same.data.tags
        assert one.inputs.to_dictionary() == same.inputs.to_dictionary()
        for key in ("odd", "loss", "валидация", "a/b c"):
            points = [[_point(p) for p in c.get_metric_history(run_id, key)] for c in (mine, other)]
            assert sorted(points[0]) == sorted(points[1])
        assert math.isnan(
            next(p.value for p in other.get_metric_history(run_id, "odd") if not p.step)
        )
        assert math.isclose(same.data.metrics["odd"], 1.0)
    models = [client.get_registered_model("model 利益") for client in (mine, other)]
    aliases = {"champion": 2, "challenger": 3}
    assert [dict(model)["aliases"] for model in models] == [aliases, aliases]
    assert models[0].creation_timestamp == models[1].creation_timestamp
    traces = [c.search_traces(locations=[written["experiment"]]) for c in (mine, other)]
    assert [t.info.trace_id for t in traces[0]] == [t.info.trace_id for t in traces[1]] != []


def _experiments(client: Any) -> list[Any]:  # noqa: ANN401  see above
    from mlflow.entities import ViewType  # noqa: PLC0415  see above

    found = client.search_experiments(view_type=ViewType.ALL)
    return sorted(found, key=lambda each: int(each.experiment_id))


def _point(point: Any) -> tuple[int, int, str]:  # noqa: ANN401  see above
    return (point.step, point.timestamp, repr(point.value))


def test_run_when_interrupted_at_every_step_then_goes_on_and_loses_nothing(
    copy: Path, uri: str, tmp_path: Path
) -> None:
    """The store in use shows nothing until all is there; what comes meanwhile is not mixed in."""
    steps = ("back up", "make tables", "upgrade the copy", "check rows", "move rows", "compare")
    for stop in steps:

        def tell(step: str, _share: float, stop: str = stop) -> None:
            if step == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Migration(copy, uri, tmp_path / "m", tell).run()
        with pytest.raises(StoreConflict, match="no store"):
            export(uri, tmp_path / "none.db", silent)
        if stop == "move rows":
            with closing(sqlite3.connect(copy)) as connection, connection:
                connection.execute("INSERT INTO experiment_tags VALUES ('late', 'x', 1)")
    with pytest.raises(StoreConflict, match=r"has not come to its end: .*--anew"):
        Migration(tmp_path / "other.db", uri, tmp_path / "m", silent).run()
    report = Migration(copy, uri, tmp_path / "m", silent).run()
    assert report.resumed
    assert rows_of(report, "experiment_tags") == 1
    assert [p.name for p in sorted((tmp_path / "m").iterdir())] == ["backup-1.sqlite"]


_KILLED = """
import os, signal, sys
from pathlib import Path
from tables.stores.tracking.migration import Migration

moved = 0

def tell(step, share):
    global moved
    moved += step == "move rows"
    if moved == 9:
        os.kill(os.getpid(), signal.SIGKILL)

source, uri, folder = sys.argv[1:]
Migration(Path(source), uri, Path(folder), tell).run()
"""


def test_run_when_killed_between_tables_then_the_next_goes_on_behind_them(
    copy: Path, uri: str, tmp_path: Path
) -> None:
    """No process has a last word at kill -9."""
    folder = tmp_path / "m"
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(copy), uri, str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    report = Migration(copy, uri, folder, silent).run()
    assert report.resumed
    assert all(each.source == each.target for each in report.tables)


def test_run_when_killed_before_its_last_line_then_the_next_says_that_it_is_done(
    copy: Path, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its own rows would be taken for somebody's; what came later is somebody's."""
    migration = Migration(copy, uri, tmp_path / "m", silent)
    with monkeypatch.context() as patched:
        patched.setattr(Migration, "_put_away", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            migration.run()
    assert migration.run().resumed
    with pytest.raises(StoreConflict, match="not empty"):
        migration.run()


def _interrupt(_self: Migration) -> Path:
    raise KeyboardInterrupt


def test_run_when_a_row_there_is_another_then_nothing_is_put_in_place(
    copy: Path, uri: str, tmp_path: Path
) -> None:
    """One changed letter is seen; it can be begun anew, and by one process at a time."""

    def change(step: str, share: float) -> None:
        if (step, share) == ("move rows", 1.0):
            with postgres_schema.connected(uri) as connection:
                connection.execute(
                    "UPDATE mlflow_incoming.params SET value = 'é' WHERE key = 'empty'"
                )

    with pytest.raises(StoreConflict, match=r"differ in rows or checksum of params \(12 and 12\)"):
        Migration(copy, uri, tmp_path / "m", change).run()
    migration = Migration(copy, uri, tmp_path / "m", silent)
    with (
        postgres_schema.connected_alone(uri),
        pytest.raises(StoreConflict, match="works in this database: wait"),
    ):
        migration.run()
    with pytest.raises(StoreConflict, match="differ"):
        migration.run()
    migration.forget()
    report = migration.run()
    assert not report.resumed
    assert all(each.source == each.target for each in report.tables)
    with pytest.raises(StoreConflict, match="none is no folder"):
        export(uri, tmp_path / "none" / "back.db", silent)


def test_run_when_the_schema_is_of_2023_then_a_copy_is_upgraded(uri: str, tmp_path: Path) -> None:
    """Old stores come along; the file itself stays old."""
    from alembic import command  # noqa: PLC0415  comes with MLflow
    from mlflow.store.db.utils import InitialBase, _get_alembic_config  # noqa: PLC0415  see above
    from sqlalchemy import create_engine  # noqa: PLC0415  see above

    path = tmp_path / "old.db"
    engine = create_engine(f"sqlite:///{path}")
    InitialBase.metadata.create_all(engine)
    command.upgrade(_get_alembic_config(f"sqlite:///{path}"), OLD_REVISION)
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            """
            INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage)
            VALUES (0, 'Default', './mlruns/0', 'active'), (7, 'old', './mlruns/7', 'active');
            INSERT INTO runs (run_uuid, experiment_id, status, lifecycle_stage, start_time)
            VALUES ('r', 7, 'FINISHED', 'active', 1500000000000);
            INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)
            VALUES ('m', 0.1, 1500000000001, 'r', 3, 0);
            """
        )
    report = Migration(path, uri, tmp_path / "m", silent).run()
    assert report.revision_before == OLD_REVISION != report.revision
    assert sqlite_file.revision_of(path) == OLD_REVISION
    (point,) = _client(uri).get_metric_history("r", "m")
    assert (point.value, point.step, point.timestamp) == (0.1, 3, 1_500_000_000_001)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE alembic_version SET version_num = 'ffffffffffff'", "a newer one"),
        ("DELETE FROM experiments WHERE experiment_id = 1", "refer to others .* of runs"),
        ("UPDATE params SET value = 'a' || char(0) WHERE key = 'empty'", "of params: .* NUL"),
    ],
)
def test_rehearse_when_a_row_cannot_be_moved_then_names_it_and_changes_nothing(
    copy: Path, uri: str, tmp_path: Path, statement: str, said: str
) -> None:
    """A dry run finds what the migration would; neither leaves half a store."""
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute(statement)
    with pytest.raises(StoreConflict, match=said):
        Migration(copy, uri, tmp_path / "m", silent).rehearse()
    assert list((tmp_path / "m").iterdir()) == []


def test_run_when_the_address_is_no_database_then_says_which_one_it_wants(
    copy: Path, tmp_path: Path
) -> None:
    """Rows cannot be moved through a server, nor into one that is away."""
    with pytest.raises(StoreUnavailable, match="no PostgreSQL database: set MLFLOW_TRACKING_URI"):
        Migration(copy, "http://tracker:5000", tmp_path / "m", silent).run()
    away = "postgresql+psycopg://me:secret@127.0.0.1:1/x"
    with pytest.raises(StoreUnavailable, match="did not do it") as told:
        Migration(copy, away, tmp_path / "m", silent).run()
    assert "secret" not in str(told.value)
