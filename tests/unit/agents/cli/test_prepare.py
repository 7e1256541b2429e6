"""A stack is made ready for roles that something else starts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from agents.cli import clock, prepare, worker
from agents.cli.live_plan import FIXED_PORTS, LivePlan
from streams.brokers import stack_id
from streams.errors import BrokerFailedError, SettingsError
from streams.settings import Settings
from tables.stores.admin_log import AdminLog
from tables.stores.errors import StoreUnavailable
from tables.stores.token_keys import TokenKeys

MODELS = "a" * 64
EPOCH = SimpleNamespace(instruments=[1, 2, 3], timeframe="1min")


def say(*words: str) -> Result:
    """Run the program."""
    app = typer.Typer()
    prepare.register(app)
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home of the default stack, whose broker and models are played."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    where = tmp_path / "default"
    where.mkdir()

    def planned(_home: Path, models: str, _settings: Settings) -> LivePlan:
        plan = LivePlan.of(where) or LivePlan([], "live, bars of 1min", 1, 2)
        plan.epochs.append(models)
        return plan

    async def declared(*_: Any) -> None:  # noqa: ANN401  any argument
        """Create no topic."""

    monkeypatch.setattr(prepare, "servers_of", lambda _stack: "b:1")
    monkeypatch.setattr(prepare, "is_usable", lambda _home: False)
    monkeypatch.setattr(prepare, "declare_live", declared)
    monkeypatch.setattr(prepare, "planned", planned)
    monkeypatch.setattr(
        prepare,
        "live_models",
        lambda _stack, asked: MODELS if asked == MODELS else "another digest",
    )
    monkeypatch.setattr(prepare, "remarks", lambda _epoch: ["the budget is spread"])
    monkeypatch.setattr(LivePlan, "decides", lambda *_: EPOCH)
    return where


def test_prepare_when_run_then_roles_know_all_they_need(home: Path) -> None:
    """The plan has an epoch and fixed ports, tokens have a key, and the act is written down."""
    said = say(f"--models={MODELS}")
    assert said.exit_code == 0, said.output
    assert "Stack default is ready: epoch 1, models aaaaaaaaaaaa, 3 symbols" in said.output
    assert "the budget is spread" in said.output
    plan = LivePlan.of(home)
    assert plan is not None
    assert {name: getattr(plan, name) for name in FIXED_PORTS} == FIXED_PORTS
    assert len(set(FIXED_PORTS.values())) == len(FIXED_PORTS)
    assert list((home / "auth").glob("*.private.pem"))
    (act,) = AdminLog(home).acts()
    assert (act.deed.what, act.result) == ("prepare", "done")


def test_prepare_when_run_again_then_the_clock_announces_the_new_epoch(home: Path) -> None:
    """The key stays, so tokens stay good; the clock takes the last epoch of the plan."""
    say(f"--models={MODELS}")
    kid, _ = TokenKeys(home / "auth").signing_key()
    assert clock._last(home) == (1, MODELS)
    say()
    assert clock._last(home) == (2, "another digest")
    assert TokenKeys(home / "auth").signing_key()[0] == kid


def test_clock_when_nothing_was_prepared_then_says_what_to_do(tmp_path: Path) -> None:
    """A clock without an epoch has nothing to announce."""
    with pytest.raises(SettingsError, match="tradewind prepare --models"):
        clock._last(tmp_path)


def test_prepare_when_the_broker_is_away_then_makes_no_plan(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roles that wait for the plan are not started on nothing."""

    def away(_stack: str) -> str:
        raise BrokerFailedError("no broker")

    monkeypatch.setattr(prepare, "servers_of", away)
    said = say(f"--models={MODELS}")
    assert (said.exit_code, LivePlan.of(home)) == (1, None)
    assert "no broker" in said.output


def test_prepare_when_there_is_a_database_then_it_is_brought_up_to_date(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any role writes a row."""
    told = []

    async def up_to_date(server: object) -> None:
        told.append(server)

    monkeypatch.setattr(prepare, "is_usable", lambda _home: True)
    monkeypatch.setattr(prepare, "server_of", lambda where: where)
    monkeypatch.setattr(prepare, "bring_up_to_date", up_to_date)
    assert say(f"--models={MODELS}").exit_code == 0
    assert told == [home]


@pytest.mark.parametrize(("options", "n_asked", "status"), [((), 1, 1), (("--wait",), 3, 0)])
def test_prepare_when_broker_and_database_are_away_then_waits_only_where_told(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    n_asked: int,
    status: int,
) -> None:
    """A machine starts its services in any order; a person wants to be told."""
    asked: list[str] = []

    async def up_to_date(_server: object) -> None:
        asked.append("database")
        if len(asked) < 3:
            raise StoreUnavailable("PostgreSQL at db does not answer")

    waited: list[str] = []
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "b:1")
    monkeypatch.setattr(prepare, "await_broker", waited.append)
    monkeypatch.setattr(prepare.time, "sleep", lambda _s: None)
    monkeypatch.setattr(prepare, "is_usable", lambda _home: True)
    monkeypatch.setattr(prepare, "server_of", lambda where: where)
    monkeypatch.setattr(prepare, "bring_up_to_date", up_to_date)
    said = say(f"--models={MODELS}", *options)
    assert (said.exit_code, len(asked), LivePlan.of(home) is None) == (status, n_asked, status == 1)
    assert waited == (["b:1"] if options else [])


def test_worker_when_no_stack_is_named_then_takes_the_tokens_of_its_keys(tmp_path: Path) -> None:
    """A container knows a folder and no drawn id."""
    place = {
        "host": "h", "url": "u", "stack": "", "spill": tmp_path, "redis_url": "",
        "pages_url": "", "learning_url": "", "is_alone": True,
    }  # fmt: skip
    found = worker._serving(1, tmp_path / "auth", **place)
    assert found is not None
    assert found.stack == stack_id(tmp_path)
    assert worker._serving(0, None, **place) is None
    with pytest.raises(typer.BadParameter, match="needs --auth"):
        worker._serving(1, None, **place)
