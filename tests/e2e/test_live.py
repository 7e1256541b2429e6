"""A stack that goes live: trained on a file, warmed up by it, fed with ticks of the present."""

import asyncio
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from agents.cli.live_plan import LivePlan
from agents.run.warm import HISTORY_BARS
from streams.brokers.processes import birth_of
from streams.brokers.waiting import wait_for
from streams.clock import wall_ns
from streams.epochs import Challenge
from streams.sources.synthetic import SyntheticTape
from streams.timestamps import NS_PER_SECOND, format_ns
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts

pytestmark = [pytest.mark.broker, pytest.mark.timeout(400)]

# The least that fitting accepts, and its last bars as history.
_BARS = 810
_SYMBOLS = 3

_N_HISTORY = HISTORY_BARS * _SYMBOLS
_N_CHALLENGERS = "SELECT count(*) FROM mlflow.registered_model_aliases WHERE alias = 'challenger'"
_N_RESULTS = "SELECT count(*) FROM tradewind.ab_results WHERE rollout_id = 'r1'"
_N_LIVE_ROWS = "SELECT count(*) FROM tradewind.regime_history WHERE run = 'live'"


class Stack:
    """The commands of one stack, in a home of its own."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.settings = settings

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run a command and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "agents", *arguments],
            env={
                **os.environ,
                "TRADEWIND_HOME": str(self.home),
                "TRADEWIND_ROLLOUTS": "on",
                "COLUMNS": "200",
                **self.settings,
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr if status else done.stdout

    def parts(self) -> dict[str, dict[str, object]]:
        """Return the state of each part."""
        return {part["name"]: part for part in json.loads(self.run("status", "--json"))}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a market of seconds that ended a moment ago."""
    return market(tmp_path_factory.mktemp("live"))


def market(folder: Path) -> Path:
    """Write a market of seconds that ended a moment ago."""
    start_ns = (wall_ns() // NS_PER_SECOND - _BARS - 5) * NS_PER_SECOND
    tape = SyntheticTape(symbols=_SYMBOLS, bars=_BARS, ticks_per_bar=2, seed=4, start_ns=start_ns)
    path = folder / "market.csv"
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(("ts_event", "symbol", "price", "size"))
        closes = tape.closes_ns()
        for interval in tape.intervals(closes[0], closes[-1]):
            ticks = [tick for ticks in interval.ticks.values() for tick in ticks]
            for tick in sorted(ticks, key=lambda tick: int(tick.ts_event)):
                rows.writerow((format_ns(int(tick.ts_event)), tick.symbol, tick.price, tick.size))
    return path


@pytest.fixture(scope="module")
def live(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Train, go live with history, and take everything down at the end."""
    stack = Stack(tmp_path_factory.mktemp("home"))
    stack.run("train", f"--file={file}")
    said = stack.run("up", "--models=champion", f"--history={file}")
    assert f"{HISTORY_BARS} bars of history sent" in said
    yield stack
    pids = [int(str(part["pid"])) for part in stack.parts().values()]
    said = stack.run("down")
    assert all(f"(pid {pid})" in said for pid in pids)
    assert [pid for pid in pids if birth_of(pid) is not None] == []
    assert list((stack.home / "default" / "parts").iterdir()) == []


async def trade(servers: str, n_seconds: float, decisions: dict[str, set[bytes]]) -> None:
    """Produce ticks of the present and collect what is decided, by id."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    consumer = AIOKafkaConsumer(
        "trading-decisions", bootstrap_servers=servers, auto_offset_reset="earliest"
    )
    await producer.start()
    await consumer.start()
    ends_ns = wall_ns() + int(n_seconds * NS_PER_SECOND)
    number = 0
    try:
        while wall_ns() < ends_ns:
            for n in range(_SYMBOLS):
                number += 1
                tick = {
                    "symbol": f"SYN{n}",
                    "ts_event": wall_ns(),
                    "price": 50.0 + number % 7 / 100,
                    "seq": wall_ns(),
                }
                value = msgspec.json.encode(tick)
                await producer.send("market-ticks", value, key=f"SYN{n}".encode())
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    said = json.loads(record.value)
                    decisions.setdefault(said["decision_id"], set()).add(record.value)
    finally:
        await producer.stop()
        await consumer.stop()


def test_live_when_warmed_up_then_decides_bar_by_bar_and_survives_a_kill(live: Stack) -> None:
    """The first live bars are decided warm; a killed worker goes on where it was, byte for byte."""
    parts = live.parts()
    stores = ("broker", "postgres", "mlflow")
    roles = (
        *stores,
        "worker",
        "clock",
        "archive",
        "forensics",
        "explain",
        "rollout",
        "web",
        "keeper",
    )
    assert all(parts[name]["running"] for name in roles)
    servers = str(parts["broker"]["address"])
    decisions: dict[str, set[bytes]] = {}
    asyncio.run(trade(servers, 6, decisions))
    os.kill(int(str(parts["worker"]["pid"])), signal.SIGKILL)
    asyncio.run(trade(servers, 10, decisions))
    assert int(str(live.parts()["worker"]["restarts"])) == int(str(parts["worker"]["restarts"])) + 1
    assert all(len(values) == 1 for values in decisions.values()), "one id, two values"
    said = [json.loads(value) for (value,) in decisions.values()]
    warm = [one for one in said if one["note"] == ""]
    assert len({one["timestamp"] for one in warm}) >= 5
    assert {one["portfolio"] for one in said} == {"main"}


def test_live_when_a_rollout_begins_and_goes_back_then_each_is_an_epoch(live: Stack) -> None:
    """Shadow from the next close on, measured, refused without evidence, and taken back."""
    home = live.home / "default"
    artifacts = Artifacts(home / "artifacts")
    (first,) = plan_of(home).epochs
    challenger = challenger_of(home)
    said = live.run("rollout", "start", challenger, "--id=r1", "--reason=a test")
    assert "Rollout r1: running, stage shadow" in said
    decisions: dict[str, set[bytes]] = {}
    asyncio.run(trade(str(live.parts()["broker"]["address"]), 8, decisions))
    told = json.loads(live.run("rollout", "status", "--json"))
    assert told["evidence"]["n_bars"] >= 2
    assert told["evidence"]["champion"]["n_decisions"] > 0
    assert told["evidence"]["agreement_pct"] is not None
    address = str(live.parts()["postgres"]["address"])
    assert wait_for(
        lambda: asyncio.run(count(address, _N_CHALLENGERS)) == 1, timeout_s=60, poll_s=0.5
    )
    assert "TOO_FEW_BARS" in live.run("rollout", "advance", status=1)
    live.run("rollout", "hold")
    assert "rolled_back" in live.run("rollout", "rollback", "r1", "--reason=seen")
    assert wait_for(lambda: len(plan_of(home).epochs) == 3, timeout_s=20, poll_s=0.2)
    _, shadow, last = plan_of(home).epochs
    assert last == first
    rollout = Epochs(artifacts).load(shadow).epoch.rollout
    assert rollout == Challenge(id="r1", challenger=challenger)
    assert "there is no rollout" not in live.run("rollout", "status").lower()
    for sql, n in ((_N_RESULTS, 6), (_N_CHALLENGERS, 0)):
        assert wait_for(
            lambda sql=sql, n=n: asyncio.run(count(address, sql)) == n, timeout_s=30, poll_s=0.5
        )


def challenger_of(home: Path) -> str:
    """Keep models that are the champion's but for a little."""
    artifacts = Artifacts(home / "artifacts")
    champion = Epochs(artifacts).load(plan_of(home).epochs[0]).models
    ensemble = champion.ensemble._replace(intercept=champion.ensemble.intercept + 0.01)
    return artifacts.put_models(champion._replace(ensemble=ensemble))


def plan_of(home: Path) -> LivePlan:
    """Return the plan of a live stack."""
    plan = LivePlan.of(home)
    assert plan is not None
    return plan


async def count(address: str, sql: str) -> int:
    """Ask the database for a number."""
    connection = await asyncpg.connect(address)
    try:
        return int(await connection.fetchval(sql))
    finally:
        await connection.close()


@pytest.mark.parametrize("name", ["archive", "clock", "postgres"])
def test_live_when_a_part_is_killed_then_it_is_started_again(live: Stack, name: str) -> None:
    """Nobody types a command: the part is back, and the status says how often that was needed."""
    before = live.parts()[name]
    os.kill(int(str(before["pid"])), signal.SIGKILL)

    def back() -> bool:
        now = live.parts()[name]
        return bool(now["running"]) and now["pid"] != before["pid"] and now["restarts"] != 0

    assert wait_for(back, timeout_s=60, poll_s=0.5)


def test_live_when_the_broker_is_killed_then_decisions_go_on(live: Stack) -> None:
    """It comes back at its address and on its data; who could not wait for it is started again."""
    before = live.parts()["broker"]
    os.kill(int(str(before["pid"])), signal.SIGKILL)
    killed = format_ns(wall_ns() + NS_PER_SECOND)

    def back() -> bool:
        now = live.parts()["broker"]
        host, _, port = str(before["address"]).partition(":")
        # The process is there some seconds before it listens.
        with socket.socket() as probe:
            listens = probe.connect_ex((host, int(port))) == 0
        return bool(now["running"]) and now["pid"] != before["pid"] and listens

    assert wait_for(back, timeout_s=60, poll_s=0.5)
    assert live.parts()["broker"]["address"] == before["address"]
    decisions: dict[str, set[bytes]] = {}

    def decided() -> bool:
        asyncio.run(trade(str(before["address"]), 5, decisions))
        said = [json.loads(value) for values in decisions.values() for value in values]
        return any(one["timestamp"] > killed for one in said)

    assert wait_for(decided, timeout_s=60, poll_s=0.5)
    assert all(len(values) == 1 for values in decisions.values()), "one id, two values"


def test_live_when_rows_are_asked_for_then_the_archive_has_kept_them(live: Stack) -> None:
    """The live run's regimes are SQL rows soon after their bars."""
    address = str(live.parts()["postgres"]["address"])

    async def wait() -> None:
        connection = await asyncpg.connect(address)
        try:
            async with asyncio.timeout(30):
                while await connection.fetchval(_N_LIVE_ROWS) < _N_HISTORY:  # noqa: ASYNC110  rows come from another process
                    await asyncio.sleep(0.5)
        finally:
            await connection.close()

    asyncio.run(wait())
    archive = live.parts()["archive"]
    metrics = f"{archive['address']}metrics"
    with urllib.request.urlopen(metrics, timeout=10) as answer:  # noqa: S310  loopback
        said = answer.read()
    # Only a process that was started again behind these rows has counted none of them.
    counted = b'tradewind_archived_rows_total{table="regime_history"}' in said
    assert counted or archive["restarts"]


def test_models_when_listed_then_the_trained_set_is_champion(live: Stack) -> None:
    """What went live is what the registry calls champion, and its MLflow answers."""
    home = live.home / "default"
    decides = Epochs(Artifacts(home / "artifacts")).load(plan_of(home).epochs[0]).epoch.models
    versions = json.loads(live.run("models", "list", "--json"))
    called = {alias: each["digest"] for each in versions for alias in each["aliases"]}
    assert called == {"champion": decides}
    address = str(live.parts()["mlflow"]["address"])
    with urllib.request.urlopen(f"{address}health", timeout=10) as answer:  # noqa: S310  loopback
        assert answer.status == 200


def test_up_when_a_timeframe_has_no_champion_then_says_what_to_do(live: Stack) -> None:
    """The message names the command that makes one."""
    assert "tradewind train" in live.run("up", "--models=champion:1day", status=1)


def test_live_when_history_comes_late_then_is_refused(live: Stack, file: Path) -> None:
    """What has been live goes on from what it saw."""
    plan = LivePlan.of(live.home / "default")
    assert plan is not None
    models = (live.home / "default" / "artifacts").glob("*.safetensors")
    digest = next(models).stem
    said = live.run("up", f"--models={digest}", f"--history={file}", status=1)
    assert "--history comes before" in said


def test_clock_when_one_runs_then_a_second_is_refused(live: Stack) -> None:
    """Two clocks would close each other's bars."""
    plan = LivePlan.of(live.home / "default")
    assert plan is not None
    said = live.run(
        "clock",
        f"--bootstrap={live.parts()['broker']['address']}",
        f"--artifacts={live.home / 'default' / 'artifacts'}",
        f"--epoch={plan.epochs[-1]}",
        status=1,
    )
    assert "is running" in said


def test_up_when_models_are_unknown_then_says_so(live: Stack) -> None:
    """A digest that is not there is an answer, not a traceback."""
    said = live.run("up", f"--models={'0' * 64}", status=1)
    assert "Traceback" not in said
    assert "0" * 12 in said
