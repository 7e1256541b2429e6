"""A recorded run through workers again: the same bytes, a certificate, the first difference."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from click.testing import Result
from typer.testing import CliRunner

from agents.cli import program as whole_program
from agents.cli import replay
from agents.run.decided import identity_of
from agents.run.divergence import first_difference
from agents.run.drive import Run
from agents.run.recorded_range import recorded_from
from agents.run.spoken_records import spoken_records
from agents.run.terms import Changes
from agents.run.topic_backtest import TopicBacktest
from agents.run.topic_log import partitions, reading
from agents.run.topic_replay import TopicReplay
from agents.topology import prefix_of
from streams.timestamps import format_ns
from streams.topics import MARKET_TICKS, PORTFOLIO_EVENTS, PORTFOLIO_SNAPSHOTS
from tables.backtest import Recorder
from tables.certificate import Certificate
from tables.stores.run_checkpoints import RunCheckpoints
from tables.stores.signing_key import SigningKey
from tests.runs import PATIENCE_S, TAPE, trial

pytestmark = pytest.mark.broker

Program = Callable[..., Result]


@pytest.fixture
def program(broker: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Give the program on the stack of the tests."""
    monkeypatch.setenv("TRADEWIND_HOME", str(home.parent))
    monkeypatch.setattr(replay, "servers_of", lambda _name: broker)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(whole_program(), [*arguments, f"--name={home.name}"])

    return run


async def topics_of(broker: str, run: str) -> list[str]:
    """Return the topics of a run."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        return [name for name in await admin.list_topics() if name.startswith(f"{run}.")]
    finally:
        await admin.close()


async def ends(broker: str, topic: str) -> list[int]:
    """Return where the partitions of a topic end."""
    async with reading(broker) as consumer:
        places = await partitions(broker, topic)
        found = await consumer.end_offsets(places)
    return [found[place] for place in places]


async def decided_of(run: str, broker: str, n_bars: int) -> None:
    """Wait until a run has decided so many bars."""
    topic = f"{run}.{PORTFOLIO_SNAPSHOTS.name}"
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await partitions(broker, topic) and sum(await ends(broker, topic)) >= n_bars:
                return
            await asyncio.sleep(0.1)


def test_replay_when_a_run_is_recorded_then_is_certified_and_verified(
    program: Program, broker: str, home: Path, spoken: str, tmp_path: Path
) -> None:
    """The replay equals the run, leaves nothing behind, and its certificate holds."""
    file = tmp_path / "out.json"
    options = (f"--run={spoken}", f"--certificate={file}", "--partitions=3")
    done = program("replay", "--topic=market-ticks", *options)
    assert done.exit_code == 0, done.output
    assert "Equal, byte for byte, to what the run decided." in done.output
    live = asyncio.run(identity_of(broker, prefix_of(spoken)))
    body = json.loads(file.read_text())["body"]
    assert (body["total"], body["n_decisions"]) == (live.total(), live.n_decisions())
    assert (body["n_records"], body["book"]) == (4, "recorded")
    assert asyncio.run(spoken_records(broker, spoken, body["book_ends"])).n == 4
    assert asyncio.run(spoken_records(broker, spoken, [0, 0])).n == 0
    assert (home / "signing.key").stat().st_mode & 0o777 == 0o600
    name = done.output.split("into run ")[1].split(";")[0].replace("\n", "")
    assert asyncio.run(topics_of(broker, name)) == []
    assert not (home / "runs" / name).exists()

    verified = program("verify-certificate", str(file))
    assert verified.exit_code == 0, verified.output
    assert "The certificate holds." in verified.output

    other = Certificate.decode(file.read_bytes()).body
    lied = msgspec.structs.replace(other, total="0" * 64, models=["f" * 64], n_decisions=1)
    stranger = tmp_path / "signed_by_another.json"
    stranger.write_bytes(Certificate.sign(lied, SigningKey.of(tmp_path)).encode())
    strange = program("verify-certificate", str(stranger))
    told = " ".join(strange.output.split())
    assert strange.exit_code == 1
    assert "That is not this stack's key" in told
    assert all(field in told for field in ("total", "models", "n_decisions"))

    file.write_text(file.read_text().replace(body["total"], "0" * 64))
    forged = program("verify-certificate", str(file))
    assert forged.exit_code == 1
    assert "not what its key signed" in " ".join(forged.output.split())


def test_replay_when_it_begins_in_the_middle_then_the_books_go_on(
    program: Program, broker: str, home: Path, spoken: str, tmp_path: Path
) -> None:
    """From a checkpoint or from the first record: the same decisions as the run, of half of it."""
    closes, file = TAPE.closes_ns(), tmp_path / "middle.json"
    log_ends = asyncio.run(ends(broker, f"{spoken}.{PORTFOLIO_EVENTS.name}"))
    spoke = asyncio.run(spoken_records(broker, spoken, log_ends)).by_close
    third = [close for close in sorted(spoke) for _ in spoke[close]][2]
    begin, n_bars = format_ns(third), len(closes) - closes.index(third)
    options = (f"--run={spoken}", f"--from={begin}", f"--certificate={file}", "--workers=2")
    done = program("replay", "--topic=market-ticks", *options)
    told = " ".join(done.output.split())
    assert done.exit_code == 0, told
    assert "Equal, byte for byte, to what the run decided." in told
    stood = format_ns(closes[closes.index(third) - 1])
    assert f"{n_bars} bars of {spoken}.market-ticks at {broker}" in told
    assert f"the books as they stood at {stood}, folded from the checkpoint of" in told
    body = json.loads(file.read_text())["body"]
    # A slot for each symbol and bar, and the order of who spoke the second time.
    assert (body["n_decisions"], body["n_records"]) == (n_bars * len(TAPE.symbols) + 1, 2)
    assert body["book"] == "recorded"
    assert min(body["begins"]) > 0
    for is_from_the_first in (False, True):
        source = recorded_from(home, broker, spoken, (begin, None), Changes())
        assert (source.begin is None) is is_from_the_first
        verified = program("verify-certificate", str(file))
        assert verified.exit_code == 0, verified.output
        kept = RunCheckpoints(home, spoken)
        for close_ns in kept.closes_ns():
            kept.drop(close_ns)


@pytest.mark.parametrize(
    ("options", "book"),
    [
        (("--to=900",), "recorded"),
        (("--from=900",), "recorded"),
        (("--from=900", "--fresh-book"), "fresh"),
        (("--fresh-book",), "fresh"),
    ],
)
def test_certificate_when_a_part_is_replayed_then_holds(
    options: tuple[str, ...], book: str, program: Program, spoken: str, tmp_path: Path
) -> None:
    """Offsets are of other bars in each partition; a fresh book has nobody who speaks to it."""
    file = tmp_path / "part.json"
    run = ("replay", "--topic=market-ticks", f"--run={spoken}", f"--certificate={file}")
    done = program(*run, *options)
    told = " ".join(done.output.split())
    assert done.exit_code == 0, told
    assert ("Equal, byte for byte" in told) is (book == "recorded")
    body = json.loads(file.read_text())["body"]
    assert body["book"] == book
    assert body["n_decisions"] > 0
    verified = program("verify-certificate", str(file))
    assert verified.exit_code == 0, verified.output


async def test_range_when_the_run_is_behind_then_ends_where_its_decisions_do(
    broker: str, home: Path, fitted: str
) -> None:
    """Ticks lie there that no worker has seen; a run that has decided nothing has empty books."""
    closes = TAPE.closes_ns()
    async with trial(broker, home, fitted, "behind") as run:
        nothing = TopicBacktest(home, broker, "behind", MARKET_TICKS.name, (None, None))
        begun = asyncio.Event()

        async def gate(close_ns: int) -> None:
            if close_ns == closes[20]:
                begun.set()
                await asyncio.to_thread(nothing.check)
                run.start()
                await run.decided(closes[10])
                await run.end(signal.SIGKILL)

        await run.pour(gate)
        assert begun.is_set()
        source = TopicBacktest(home, broker, "behind", MARKET_TICKS.name, (None, None))
        await asyncio.to_thread(source.check)
        assert closes[10] <= source.range.last_ns < closes[-1]
        assert any("ends where the run's decisions do" in each for each in source.range.remarks)
        assert (nothing.is_recorded, source.is_recorded) == (False, True)
        recorder = Recorder(lambda _ts_ns, _decisions: None)
        await source.fold(recorder.take)
        live = await identity_of(broker, prefix_of("behind"), before_ns=source.before_ns)
        assert recorder.identity.total() == live.total()


def test_replay_when_books_cannot_go_on_then_says_why(program: Program, spoken: str) -> None:
    """Other partitions than the states have, a time behind the last; empty books are asked for."""
    begin = f"--from={format_ns(TAPE.closes_ns()[290])}"
    run = ("replay", "--topic=market-ticks", f"--run={spoken}")
    others = program(*run, begin, "--partitions=3")
    assert others.exit_code == 1
    assert "has 2 partitions, and so have their states; 3 go with" in " ".join(
        others.output.split()
    )
    nowhere = program(*run, "--certificate=/nowhere/out.json")
    assert nowhere.exit_code == 1
    assert "expected a file that can be written" in " ".join(nowhere.output.split())
    late = program(*run, "--from=2100-01-01T00:00:00Z")
    assert late.exit_code == 1
    assert "has no bar from 2100-01-01" in " ".join(late.output.split())
    fresh = program(*run, begin, "--partitions=3", "--fresh-book")
    assert fresh.exit_code == 0, fresh.output
    assert "a fresh book: a backtest" in " ".join(fresh.output.split())


async def test_replay_when_a_worker_is_killed_then_decides_the_same(
    broker: str, home: Path, spoken: str
) -> None:
    """Two workers share two partitions; one of them dies in the middle of a fresh book's range."""
    source = TopicBacktest(home, broker, spoken, MARKET_TICKS.name, (None, None), Changes())
    await asyncio.to_thread(source.check)
    epoch = source.epochs.load(source.digests[source.range.digests[0]]).epoch
    killed = TAPE.closes_ns()[270]

    async def before(close_ns: int) -> None:
        if close_ns == killed:
            process = playing.children.running.pop("worker-1")
            os.kill(process.pid, signal.SIGKILL)
            playing.start("1")

    run = Run("replay-killed", broker, home, epoch)
    playing = TopicReplay(source, run, n_workers=2, before=before)
    decided = await playing.play(1)
    live = await identity_of(broker, prefix_of(spoken))
    assert decided.total() == live.total()
    await playing.remove()


def test_replay_when_it_was_interrupted_then_goes_on_where_it_was(
    program: Program, broker: str, home: Path, spoken: str
) -> None:
    """The program is killed between two bars and begun again: nothing twice, nothing left out."""
    asked = ("replay", "--topic=market-ticks", f"--run={spoken}", "--into=again")
    where = {"TRADEWIND_HOME": str(home.parent), "KAFKA_BOOTSTRAP_SERVERS": broker}
    command = [sys.executable, "-m", "agents", *asked, f"--name={home.name}", "--speed=20x"]
    with subprocess.Popen(command, env={**os.environ, **where}) as killed:
        asyncio.run(decided_of("again", broker, 40))
        killed.kill()
    begun = sum(asyncio.run(ends(broker, f"again.{MARKET_TICKS.name}")))
    others = program(*asked, "--partitions=3")
    assert others.exit_code == 1
    assert "run again was begun with" in " ".join(others.output.split())
    done = program(*asked)
    told = " ".join(done.output.split())
    assert done.exit_code == 0, told
    assert "what it has already is not sent again" in told
    assert "Equal, byte for byte, to what the run decided." in told
    there, here = (
        asyncio.run(ends(broker, f"{run}.{MARKET_TICKS.name}")) for run in (spoken, "again")
    )
    assert here == there
    assert 0 < begun < sum(there)
    once_more = program(*asked)
    assert once_more.exit_code == 0, once_more.output


@pytest.mark.parametrize(
    ("name", "expected"),
    [("spoken", "is there, and is no replay"), ("a b", "--into was 'a b'"), ("", "--into was ''")],
)
def test_replay_when_the_name_is_taken_or_none_then_is_refused(
    name: str, expected: str, program: Program, spoken: str
) -> None:
    """Nothing is written into a run that is somebody else's."""
    refused = program("replay", "--topic=market-ticks", f"--run={spoken}", f"--into={name}")
    assert refused.exit_code == 1
    assert expected in " ".join(refused.output.split())


async def test_difference_when_limits_are_others_then_is_found_field_by_field(
    broker: str, home: Path, spoken: str
) -> None:
    """Which decision, which field, which stage."""
    changes = Changes({"max_order_lots": 2})
    test = TopicBacktest(home, broker, spoken, MARKET_TICKS.name, (None, None), changes)
    await asyncio.to_thread(test.check)
    found = await first_difference(test)
    assert found is not None
    assert (found.slot.ts_ns, found.slot.symbol) == (TAPE.closes_ns()[0], TAPE.symbols[0])
    assert [field for field, _, _ in found.fields] == ["digests.limits"]
    assert found.stage == "risk"
