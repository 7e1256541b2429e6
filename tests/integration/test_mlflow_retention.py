"""Runs that nothing keeps leave a real store of MLflow: archive, files, rows."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from agents.cli import mlflow as command
from agents.cli import program
from models.registry.retention import DAYS
from streams.clock import wall_ns
from tables.stores.admin_log import AdminLog
from tables.stores.errors import StoreConflict
from tables.stores.servers.postgres import PostgresServer
from tables.stores.tracking import retirement, run_facts
from tables.stores.tracking.retirement import Report, Retirement, Rule
from tests import mlflow_worlds
from tests.mlflow_worlds import LONG_PAST_MS

pytestmark = [pytest.mark.postgres, pytest.mark.filterwarnings("ignore")]

DAY_MS = 86_400_000
RULE = Rule(best=2, days=30)


class Store(NamedTuple):
    """A store in which everything was written long before ``now_ms``, unless a test says when."""

    client: Any
    uri: str
    root: Path
    now_ms: int

    def experiment(self, name: str, best_by: str = "max ic", location: str = "") -> str:
        """Make an experiment that says by what its runs are ranked."""
        where = location or (self.root / name).as_uri()
        made = str(self.client.create_experiment(name, where))
        if not location:
            (self.root / name).mkdir()
        if best_by:
            self.client.set_experiment_tag(made, "tradewind.best_by", best_by)
        return made

    def run(self, experiment: str, ic: float | None = 0.0, at_ms: int = LONG_PAST_MS) -> str:
        """Make a run with a metric and two files."""
        from mlflow.entities import Metric  # noqa: PLC0415  three seconds

        run = str(self.client.create_run(experiment, start_time=at_ms).info.run_id)
        self.client.log_param(run, "who", "me")
        if ic is not None:
            self.client.log_batch(run, metrics=[Metric("ic", ic, at_ms, 0)])
        if "s3" not in self.client.get_run(run).info.artifact_uri:
            self.client.log_text(run, "x" * 1_000, "model.txt")
            self.client.log_text(run, "deep", "a/b/c.txt")
        self.client.set_terminated(run, end_time=at_ms + 1)
        return run

    def version(self, run: str, alias: str = "") -> str:
        """Make a model of a run, and give it an alias."""
        made = self.client.create_model_version("m", f"runs:/{run}/model", run_id=run)
        if alias:
            self.client.set_registered_model_alias("m", alias, made.version)
        return str(made.version)

    def retire(self, **rule: int) -> Report:
        """Let go what nothing keeps."""
        return self.retirement.run(self.now_ms, RULE._replace(**rule))

    @property
    def retirement(self) -> Retirement:
        """What lets go."""
        return Retirement(self.uri, self.root / "archive", self.root, lambda *_: None)

    def living(self, experiment: str) -> set[str]:
        """Return the runs that MLflow still has."""
        found = self.client.search_runs([experiment], run_view_type=3)
        return {str(run.info.run_id) for run in found}

    def folder(self, run: str) -> Path:
        """Return where a run's own folder is, or was."""
        (experiment,) = {p.parent for p in self.root.glob(f"*/{run}")} or {self.root}
        return experiment / run


@pytest.fixture(scope="module")
def uri(postgres: PostgresServer) -> Iterator[str]:
    """Give one database for all tests of this file."""
    with pytest.MonkeyPatch.context() as patched:
        mlflow_worlds.unpooled(patched)
        yield from mlflow_worlds.databases(postgres, "retention")


@pytest.fixture
def store(uri: str, tmp_path: Path) -> Store:
    """Give the store as it will be in two months, with nothing else to let go."""
    import mlflow  # noqa: PLC0415  three seconds

    client = mlflow.MlflowClient(uri)
    for each in client.search_experiments():
        client.set_experiment_tag(each.experiment_id, "tradewind.best_by", "")
    if not client.search_registered_models():
        client.create_registered_model("m")
    now_ms = wall_ns() // 1_000_000 + 60 * DAY_MS
    root = tmp_path / "root"
    root.mkdir()
    return Store(client, uri, root, now_ms)


def test_run_when_runs_are_of_every_kind_then_only_what_nothing_keeps_is_gone(
    store: Store,
) -> None:
    """Best, young, champion, challenger and production stay; the rest is in archives."""
    experiment = store.experiment("every kind ü")
    best = {store.run(experiment, 9.0), store.run(experiment, 8.0)}
    young = {store.run(experiment, 0.0, store.now_ms - 29 * DAY_MS)}
    used = {store.run(experiment) for _ in range(4)}
    champion, challenger, tagged, staged = sorted(used)
    store.version(champion, "champion")
    store.version(challenger, "challenger")
    store.client.set_tag(tagged, "stage", "Production")
    number = store.version(staged)
    store.client.set_model_version_tag("m", number, "production", "yes")
    replaced, forgotten = store.run(experiment), store.run(experiment, None)
    old = store.version(replaced)
    until = str(store.now_ms - 28 * DAY_MS)
    store.client.set_model_version_tag("m", old, "tradewind.champion_until", until)
    refused = store.version(forgotten)
    store.client.delete_run(gone := store.run(experiment, 99.0))
    rehearsed = store.retirement.rehearse(store.now_ms, RULE)
    assert store.living(experiment) == best | young | used | {replaced, forgotten, gone}
    folders = {run: store.folder(run) for run in (forgotten, gone)}
    report = store.retire()
    assert {each.run_id for each in report.gone} == {forgotten, gone}
    assert {each.run_id for each in rehearsed.gone} == {forgotten, gone}
    assert report.freed_bytes == rehearsed.freed_bytes == 2 * 1_004
    assert store.living(experiment) == best | young | used | {replaced}
    assert not any(folder.exists() for folder in folders.values())
    assert all(store.folder(run).exists() for run in best | young | used | {replaced})
    living = {v.version for v in store.client.search_model_versions("name = 'm'")}
    assert refused not in {str(version) for version in living}
    archives = sorted((store.root / "archive").rglob("*.zst"))
    assert report.archive_bytes == sum(each.stat().st_size for each in archives)
    assert store.retire().gone == ()


def test_run_when_one_is_gone_then_its_archive_has_rows_and_files(
    store: Store, tmp_path: Path
) -> None:
    """`tar` alone brings back what was deleted."""
    experiment = store.experiment("archived")
    run = store.run(experiment, 0.25)
    store.retire(best=0)
    archive = store.root / "archive" / experiment / f"{run}.tar.zst"
    plain = tmp_path / "plain.tar"
    with pa.CompressedInputStream(str(archive), "zstd") as stream:
        plain.write_bytes(stream.read())
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-xf", plain, "-C", out], check=True)
    assert (out / "artifacts/model.txt").read_text() == "x" * 1_000
    assert (out / "artifacts/a/b/c.txt").read_text() == "deep"
    rows = {
        path.stem: [json.loads(line) for line in path.read_text().splitlines()]
        for path in (out / "rows").iterdir()
    }
    assert [row["run_uuid"] for row in rows["runs"]] == [run]
    assert [(row["key"], row["value"]) for row in rows["metrics"]] == [("ic", 0.25)]
    assert [(row["key"], row["value"]) for row in rows["params"]] == [("who", "me")]


@pytest.mark.parametrize("stop", ["_delete_versions", "_delete_files", "delete"])
def test_run_when_it_dies_on_the_way_then_the_next_finishes_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    """An archive that is whole is not written again from what is left."""
    experiment = store.experiment(f"died {stop}")
    run = store.run(experiment)
    with monkeypatch.context() as patched:
        patched.setattr(run_facts if stop == "delete" else retirement, stop, _interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.retire(best=0)
    archive = store.root / "archive" / experiment / f"{run}.tar.zst"
    before = archive.read_bytes()
    assert [each.run_id for each in store.retire(best=0).gone] == [run]
    assert archive.read_bytes() == before
    assert store.living(experiment) == set()
    assert not store.folder(run).exists() or store.folder(run) == store.root / run


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_run_when_it_dies_before_the_mark_then_nothing_is_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive alone deletes nothing; what comes into use meanwhile stays."""
    experiment = store.experiment("unmarked")
    run = store.run(experiment)
    with monkeypatch.context() as patched:
        patched.setattr(run_facts, "mark", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.retire(best=0)
    assert store.folder(run).exists()
    with monkeypatch.context() as patched:
        patched.setattr(run_facts, "lock", lambda *_: store.client.set_tag(run, "production", ""))
        report = store.retire(best=0)
    assert [(each.run_id, each.why) for each in report.kept] == [
        (run, "it has come into use meanwhile")
    ]
    assert store.living(experiment) == {run}
    assert list((store.root / "archive").rglob("*.zst")) == []


def test_run_when_artefacts_are_out_of_reach_then_the_run_stays_and_why_is_said(
    store: Store,
) -> None:
    """Rows without their files would leave files that nobody knows."""
    elsewhere = store.experiment("s3", location="s3://bucket/x")
    away = store.experiment("away")
    runs = [store.run(elsewhere), store.run(away)]
    shutil.rmtree(store.root / "away")
    report = store.retire(best=0)
    assert report.gone == ()
    assert report.why_kept() == {
        "its artefacts are at s3:, `mlflow gc` deletes them": 1,
        "the folder of its experiment is not on this machine": 1,
    }
    assert {each.run_id for each in report.kept} == set(runs)


def test_run_when_files_do_not_go_then_the_rows_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that are said to be free are free."""
    experiment = store.experiment("stuck")
    run = store.run(experiment)
    with monkeypatch.context() as patched:
        patched.setattr(retirement.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(StoreConflict, match="could not be deleted"):
            store.retire(best=0)
    assert store.living(experiment) == {run}
    assert [each.run_id for each in store.retire(best=0).gone] == [run]


def test_run_when_nobody_has_tracked_anything_then_there_is_nothing_to_do(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """A stack that is a day old and has never trained must not complain every day."""
    for uri in mlflow_worlds.databases(postgres, "untracked"):
        report = Retirement(uri, tmp_path, None, lambda *_: None).run(0, RULE)
        assert report == Report(0, 0, (), ())


def test_retain_when_asked_at_the_terminal_then_prints_runs_bytes_and_why(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A dry run says what the real one then does; experiments that name no metric are named."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    monkeypatch.setattr(command, "wall_ns", lambda: store.now_ms * 1_000_000)
    ranked, unranked = store.experiment("ranked", "min ic"), store.experiment("unranked", "")
    store.run(unranked)
    worst, best = store.run(ranked, 2.0), store.run(ranked, 1.0)

    def told(*arguments: str) -> str:
        found = CliRunner().invoke(program(["mlflow"]), ["mlflow", "retain", *arguments])
        assert found.exit_code == 0, found.output
        return found.stdout

    assert "1 of" in (said := told("--best=1", "--dry-run"))
    assert "runs would go: 1,004 bytes of artefacts, 0 bytes of archives" in said
    assert "keep all of their runs: they have no tag tradewind.best_by" in said
    report = json.loads(told("--best=1", "--json"))
    assert [each["run_id"] for each in report["gone"]] == [worst]
    assert store.living(ranked) == {best}
    assert len(store.living(unranked)) == 1
    (act,) = AdminLog(tmp_path / "default").acts()
    assert (act.deed.what, act.deed.on) == ("mlflow retain", f"best 1, {DAYS} days")
    assert (act.result, act.detail) == ("done", f"1 of {report['n_runs']} runs")
    assert (tmp_path / "default/mlflow-archive" / ranked / f"{worst}.tar.zst").exists()
