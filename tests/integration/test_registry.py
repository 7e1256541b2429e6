"""The registry on a real MLflow over PostgreSQL: versions by digest, champions, files that fit."""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from agents.run.registration import entry_of, follow, register
from models.rollout.stages import Act, Rollout, start, step
from streams.brokers import stack_id
from tables.stores.artifacts import ArtifactCorrupt, Artifacts
from tables.stores.errors import NoChampion, StoreUnavailable
from tables.stores.migrations import bring_up_to_date
from tables.stores.model_registry import (
    CANDIDATE,
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    ModelRegistry,
    is_of,
    model_name,
)
from tables.stores.servers.mlflow import Tracking, database_uri
from tables.stores.servers.postgres import PostgresServer
from tests.builders import models

pytestmark = [
    pytest.mark.postgres,
    # MLflow and what it imports announce their own deprecations.
    pytest.mark.filterwarnings("ignore"),
]

METADATA = {
    "timeframe": "1min",
    "pipeline_version": "v1.0.0",
    "fit_version": 4,
    "code": "abc",
    "pipeline_digest": "p" * 64,
    "first_close_ns": 0,
    "last_close_ns": 86_400 * 10**9,
    "symbols": ["AAA"],
    "seed": 7,
    "config": {"regime": {"components": 8}, "split": {"shares": [0.7, 0.15, 0.15]}},
    "metrics": {"held_back": {"rank_ic": 0.02, "n_rows": 10, "hit_rate": None}},
    "series": {"episode_return": [0.1, 0.2]},
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gather nothing: a test that registers has no other trainers beside it."""
    monkeypatch.setenv("MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS", "0")


@pytest.fixture(scope="module")
def tracking(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    """Give MLflow's tables in the database of the run."""
    asyncio.run(bring_up_to_date(postgres))
    root = tmp_path_factory.mktemp("mlflow")
    return Tracking(database_uri(postgres), root.as_uri(), "embedded", "")


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Give an empty store of artefacts."""
    return Artifacts(tmp_path / "artifacts")


def owner(artifacts: Artifacts) -> str:
    """Return the id of the stack whose store it is."""
    return stack_id(artifacts.root.parent)


def put(artifacts: Artifacts, seed: int, timeframe: str) -> str:
    """Keep a model set and return its digest."""
    metadata = {**METADATA, "timeframe": timeframe}
    return artifacts.put_models(models(seed)._replace(metadata=metadata))


def test_register_when_two_sets_are_fitted_then_the_last_is_champion(
    tracking: Tracking, artifacts: Artifacts
) -> None:
    """Each digest is one version; the alias moves, also back, and logs nothing twice."""
    registry, name = ModelRegistry(tracking, artifacts), model_name("5min", owner(artifacts))
    first, second = put(artifacts, 1, "5min"), put(artifacts, 2, "5min")
    assert register(registry, artifacts, first).number == 1
    assert register(registry, artifacts, second).number == 2
    assert registry.champion(name).digest == second
    assert register(registry, artifacts, first).number == 1
    assert registry.champion(name).digest == first
    replaced = registry._client.get_model_version(name, "2").tags["tradewind.champion_until"]
    assert abs(int(replaced) - time.time_ns() // 1_000_000) < 60_000
    found = registry.versions(name)
    assert [(v.number, v.aliases) for v in found] == [(2, (PREVIOUS,)), (1, (CHAMPION,))]
    # What learning let pass is candidate, and takes no other name from anybody.
    register(registry, artifacts, second, CANDIDATE)
    candidate = registry.called(name, CANDIDATE)
    assert candidate is not None
    assert (candidate.digest, candidate.aliases) == (second, (CANDIDATE, PREVIOUS))
    assert registry.champion(name).digest == first
    registry.release(name, CANDIDATE)
    assert registry.called(name, CANDIDATE) is None
    assert name in registry.names()


def test_register_when_two_stacks_share_a_registry_then_each_has_its_champion(
    tracking: Tracking, tmp_path: Path
) -> None:
    """The same timeframe in two stacks is two models, and listed as such."""
    stores = [Artifacts(tmp_path / stack / "artifacts") for stack in ("one", "two")]
    digests = [put(store, 10 + n, "1s") for n, store in enumerate(stores)]
    for store, digest in zip(stores, digests, strict=True):
        register(ModelRegistry(tracking, store), store, digest)
    registry = ModelRegistry(tracking, stores[0])
    names = [model_name("1s", owner(store)) for store in stores]
    assert [registry.champion(name).digest for name in names] == digests
    listed = [name for name in registry.names() if is_of(name, owner(stores[1]))]
    assert listed == [names[1]]


def test_register_when_looked_up_in_mlflow_then_metrics_and_lineage_are_there(
    tracking: Tracking, artifacts: Artifacts
) -> None:
    """What a person sees in MLflow is what the metadata says; what is unknown is left out."""
    import mlflow  # noqa: PLC0415  three seconds that only this test needs

    version = register(ModelRegistry(tracking, artifacts), artifacts, put(artifacts, 3, "1hour"))
    client = mlflow.MlflowClient(tracking.uri)
    run = client.get_run(version.run_id)
    assert run.data.metrics == {
        "held_back.rank_ic": 0.02,
        "held_back.n_rows": 10.0,
        "episode_return": 0.2,
    }
    history = client.get_metric_history(version.run_id, "episode_return")
    assert [(point.step, point.value) for point in history] == [(0, 0.1), (1, 0.2)]
    assert run.data.params["regime.components"] == "8"
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.tags["tradewind.best_by"] == "max held_back.rank_ic"
    assert run.data.tags["tradewind.last_close"] == "1970-01-02T00:00:00Z"
    names = {file.path for file in client.list_artifacts(version.run_id)}
    assert names == {"MODEL_CARD.md", f"{version.digest}.safetensors"}


def test_fetch_when_the_store_lacks_the_file_then_brings_the_very_bytes(
    tracking: Tracking, artifacts: Artifacts, tmp_path: Path
) -> None:
    """Another machine gets the model by its digest, and checks it."""
    digest = put(artifacts, 4, "1day")
    version = register(ModelRegistry(tracking, artifacts), artifacts, digest)
    elsewhere = Artifacts(tmp_path / "elsewhere")
    registry = ModelRegistry(tracking, elsewhere)
    assert registry.fetch(version) == digest
    assert elsewhere.path_of_models(digest).read_bytes() == (
        artifacts.path_of_models(digest).read_bytes()
    )
    assert registry.fetch(version) == digest


def test_fetch_when_the_registrys_file_was_changed_then_refuses_it(
    tracking: Tracking, artifacts: Artifacts, tmp_path: Path
) -> None:
    """The registry says which model is meant; the digest says what it is."""
    digest = put(artifacts, 5, "9s")
    version = register(ModelRegistry(tracking, artifacts), artifacts, digest)
    root = Path(str(tracking.artifact_root).removeprefix("file://"))
    (file,) = root.rglob(f"{digest}.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactCorrupt, match=digest):
        ModelRegistry(tracking, Artifacts(tmp_path / "elsewhere")).fetch(version)


def test_register_when_stacks_share_a_database_then_each_keeps_its_files_in_its_own_folder(
    tracking: Tracking, tmp_path: Path
) -> None:
    """The other stack's folder may be on another machine, or be deleted with the stack."""
    for seed, stack in enumerate(("one", "two"), 30):
        store, root = Artifacts(tmp_path / stack / "artifacts"), tmp_path / stack / "mlflow"
        digest = put(store, seed, "1s")
        own = Tracking(tracking.uri, root.as_uri(), "embedded", "")
        register(ModelRegistry(own, store), store, digest)
        (file,) = root.rglob("*.safetensors")
        assert file.stem == digest


def test_names_when_there_are_more_than_an_answer_holds_then_all_are_found(
    tracking: Tracking, artifacts: Artifacts
) -> None:
    """Who comes after a hundred others can register twice, and is listed; strangers are not."""
    registry = ModelRegistry(tracking, artifacts)
    others = {f"tradewind-1s-{n:03d}" for n in range(101)}
    for name in sorted(others | {"somebody-else"}):
        registry._client.create_registered_model(name)
    mine = model_name("9s", owner(artifacts))
    for seed in (21, 22):
        register(registry, artifacts, put(artifacts, seed, "9s"))
    assert len(registry.versions(mine)) == 2
    assert others | {mine} <= set(registry.names())
    assert "somebody-else" not in registry.names()


def test_champion_when_nothing_is_registered_then_says_what_to_do(
    tracking: Tracking, artifacts: Artifacts
) -> None:
    """The message names the command that registers."""
    with pytest.raises(NoChampion, match="tradewind train"):
        ModelRegistry(tracking, artifacts).champion("tradewind-none")


def test_registry_when_the_database_is_away_then_says_where_without_the_password(
    artifacts: Artifacts,
) -> None:
    """An outage is an error of the store, and keeps the secret."""
    away = Tracking("postgresql+psycopg://me:secret@127.0.0.1:1/x", None, "embedded", "")
    with pytest.raises(StoreUnavailable) as told:
        ModelRegistry(away, artifacts).names()
    assert "127.0.0.1" in str(told.value)
    assert "secret" not in str(told.value)


def test_registry_when_a_given_server_is_away_then_says_so_at_once(artifacts: Artifacts) -> None:
    """MLflow's client would try for four minutes, which a training would wait for."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = Tracking(f"http://127.0.0.1:{taken.getsockname()[1]}", None, "given", "")
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1.*refused"):
            ModelRegistry(away, artifacts)


class Names:
    """Two model sets of a stack, the first of them champion, and a rollout of the second."""

    def __init__(self, tracking: Tracking, artifacts: Artifacts, timeframe: str) -> None:
        self.registry, self.artifacts = ModelRegistry(tracking, artifacts), artifacts
        self.name = model_name(timeframe, owner(artifacts))
        self.old, self.new = (put(artifacts, seed, timeframe) for seed in (41, 42))
        register(self.registry, artifacts, self.old)

    def begun(self, at_ns: int = 10) -> Rollout:
        """Begin a rollout."""
        return start("r1", self.old, self.new, Act("start", at_ns, "me"))

    def done(self) -> Rollout:
        """Let a rollout go all the way."""
        rollout = self.begun()
        for at_ns in (20, 30, 40, 45):
            rollout = step(rollout, Act("advance", at_ns, "me", reasons_against=()))
        return rollout

    def follow(self, rollout: Rollout) -> dict[str, str]:
        """Let the registry follow a rollout, and return who is called what."""
        follow(self.registry, self.artifacts, rollout)
        return self.called()

    def called(self) -> dict[str, str]:
        """Return the digests by their names."""
        versions = self.registry.versions(self.name)
        return {alias: each.digest for each in versions for alias in each.aliases}


def test_follow_when_a_rollout_goes_all_the_way_and_back_then_names_say_who_decides(
    tracking: Tracking, artifacts: Artifacts
) -> None:
    """Challenger while it runs, champion at the end, with the one before at hand; and undone."""
    names = Names(tracking, artifacts, "2s")
    assert names.follow(names.begun()) == {CHAMPION: names.old, CHALLENGER: names.new}
    done = names.done()
    assert names.follow(done) == {CHAMPION: names.new, PREVIOUS: names.old}
    # A record that comes again, as behind a restart, changes nothing that was done since.
    register(names.registry, artifacts, names.old)
    assert names.follow(done) == names.follow(names.begun()) == names.called()
    assert names.called()[CHAMPION] == names.old
    register(names.registry, artifacts, names.new)
    undone = names.follow(step(done, Act("rollback", 50, "me")))
    assert undone == {CHAMPION: names.old, PREVIOUS: names.new}


def test_follow_when_a_canary_goes_back_then_nobody_is_challenger(
    tracking: Tracking, artifacts: Artifacts
) -> None:
    """Who was champion by the gate and was taken back is champion no more; others stay."""
    names = Names(tracking, artifacts, "3s")
    register(names.registry, artifacts, names.new)
    assert names.follow(names.begun())[CHALLENGER] == names.new
    back = step(names.begun(), Act("rollback", 20, "automatic"))
    assert names.follow(back) == {CHAMPION: names.old, PREVIOUS: names.new}
    again = start("r2", names.old, names.new, Act("start", 30, "me"))
    names.follow(again)
    later = put(artifacts, 43, "3s")
    register(names.registry, artifacts, later)
    assert names.follow(step(again, Act("rollback", 40, "me")))[CHAMPION] == later
    assert CHALLENGER not in names.called()


def test_follow_when_the_registry_was_never_told_then_a_rollback_tells_it_nothing(
    tracking: Tracking, artifacts: Artifacts
) -> None:
    """A stack that registered no models has no names to take back."""
    old, new = (put(artifacts, seed, "4s") for seed in (44, 45))
    registry = ModelRegistry(tracking, artifacts)
    begun = start("r1", old, new, Act("start", 10, "me"))
    follow(registry, artifacts, step(begun, Act("rollback", 20, "me")))
    assert registry.versions(model_name("4s", owner(artifacts))) == ()


def test_entry_when_made_of_metadata_then_names_the_code_and_the_source() -> None:
    """Lineage: what data, which code, which seed."""
    entry = entry_of(
        "d" * 64, {**METADATA, "source": "tape"}, {"episodes_per_hour": 7.0}, "paper-1"
    )
    assert entry.tags["tradewind.stack"] == "paper-1"
    assert entry.tags["tradewind.source"] == "tape"
    assert entry.tags["tradewind.seed"] == "7"
    assert entry.tags["tradewind.code"] == "abc"
    assert entry.metrics["episodes_per_hour"] == 7.0
    assert entry.card.startswith("# Model card")
    lineage = {"start": "s", "base": "b", "origin": {"kind": "journal"}}
    learned = entry_of("d" * 64, {**METADATA, "learned": lineage}, {}, "paper-1")
    # What was measured of the fit is not the update's, and does not rank it.
    assert learned.metrics["fit.held_back.rank_ic"] == 0.02
    assert "held_back.rank_ic" not in learned.metrics
