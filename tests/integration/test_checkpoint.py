"""Checkpoints of a run under way: what is folded from them on has the bytes that the run had."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from typer.testing import CliRunner, Result

from agents.cli import program
from agents.cli.book_log import BookLog
from agents.cli.recompute import recompute
from agents.run.checkpoint import make
from agents.run.divergence import Slot
from agents.run.in_process import Said
from agents.run.rebuilt import Rebuilt, rebuild
from agents.run.topic_backtest import TopicBacktest
from streams.dead_letters import DeadLetter
from streams.records import Decision
from streams.timestamps import parse_ns
from streams.topics import MARKET_BARS, MARKET_TICKS, PORTFOLIO_EVENTS
from tables.checkpoint import Checkpoint
from tables.epochs import Epochs
from tables.explanations import read_decision
from tables.stores.artifacts import Artifacts
from tests.runs import Trial, people, trial

pytestmark = pytest.mark.broker

_RUN = "checkpoints"


async def checkpointed(run: Trial) -> Checkpoint:
    """Take a checkpoint beside the workers."""
    made, _ = await asyncio.to_thread(make, run.run.home, run.run.bootstrap_servers, run.run.name)
    return made


async def asked(home: Path, *options: str) -> Result:
    """Type the command."""
    words = ["checkpoint", f"--name={home.name}", *options]
    return await asyncio.to_thread(CliRunner().invoke, program(), words)


async def folded(home: Path, broker: str, topic: str, begin: Checkpoint) -> dict[str, bytes]:
    """Return the decisions that come of a topic from a checkpoint on, by id."""
    test = TopicBacktest(home, broker, _RUN, topic, (None, None), begin=begin)
    await asyncio.to_thread(test.check)
    made: dict[str, bytes] = {}

    def take(said: Said) -> None:
        if not isinstance(said, DeadLetter):
            made.update((each.decision_id, msgspec.json.encode(each)) for each in said.decisions)

    await test.fold(take)
    return made


async def forgotten(run: Trial, topic: str, before: list[int]) -> None:
    """Let a topic lose its first records, as time does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=run.run.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_records(
            {
                TopicPartition(run.run.prefix + topic, number): RecordsToDelete(offset)
                for number, offset in enumerate(before)
            }
        )
    finally:
        await admin.close()


def slot_of(said: Decision) -> Slot:
    """Return which decision it is."""
    return Slot(parse_ns(said.timestamp), said.symbol, said.portfolio, said.decision_id)


@dataclass
class Played:
    """A run that is over, its checkpoints, and what it decided."""

    run: Trial
    kept: list[Checkpoint]
    said: dict[str, bytes]

    @property
    def last(self) -> Decision:
        """The last decision."""
        return max(map(read_decision, self.said.values()), key=lambda d: (d.timestamp, d.symbol))

    async def again(self) -> Rebuilt:
        """Make the last decision again."""
        run, last = self.run.run, self.last
        return await asyncio.to_thread(
            rebuild,
            run.home,
            run.bootstrap_servers,
            run.name,
            slot_of(last),
            self.said[last.decision_id],
        )


@asynccontextmanager
async def played(broker: str, home: Path, models: str) -> AsyncIterator[Played]:
    """Play a run to which people speak, and take checkpoints beside its worker."""
    kept: list[Checkpoint] = []

    async def keep(run: Trial) -> None:
        kept.append(await checkpointed(run))

    async with trial(broker, home, models, _RUN) as run:
        early = await asked(home, f"--run={_RUN}")
        assert early.exit_code == 1
        assert "has no bar yet" in early.output
        run.start()
        moments = {90: keep, 255: people("reduce"), 270: keep, 275: people("resume"), 290: keep}
        await run.feed(moments)
        yield Played(run, kept, (await run.outcome()).decisions)


async def test_checkpoint_when_a_run_is_folded_from_it_then_has_its_bytes(
    broker: str, home: Path, fitted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In warm-up, between orders of people, behind a halt; from ticks, from bars, from neither."""
    monkeypatch.setenv("TRADEWIND_HOME", str(home.parent))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker)
    async with played(broker, home, fitted) as run:
        said = run.said
        times = {key: parse_ns(read_decision(value).timestamp) for key, value in said.items()}
        topics = (MARKET_TICKS.name, MARKET_BARS.name, MARKET_TICKS.name)
        for begin, topic in zip(run.kept, topics, strict=True):
            made = await folded(home, broker, topic, begin)
            assert {key for key, ts_ns in times.items() if ts_ns > begin.close_ns} <= made.keys()
            assert all(said[key] == value for key, value in made.items())
        # Not the run's beginning by another name: every stage had folded something.
        assert min(run.kept[-1].ticks + run.kept[-1].bars) > 0
        assert max(run.kept[-1].book) > 0
        await check_rebuilt(run)
        await check_recomputed(run)
        late = await asked(home, f"--run={_RUN}")
        assert late.exit_code == 1
        assert "the workers stood still for too long" in late.output
    stranger = await asked(home, "--run=nobody")
    assert stranger.exit_code == 1
    assert "there is no topic nobody.market-ticks" in stranger.output


async def check_rebuilt(played: Played) -> None:
    """Make a decision again while time takes away what it could be made of."""
    begin, run = played.kept[-1], played.run
    made = await played.again()
    assert (made.value, made.begin_ns) == (played.said[played.last.decision_id], begin.close_ns)
    assert (made.topic, list(made.begins)) == (MARKET_TICKS.name, begin.ticks)
    await forgotten(run, MARKET_TICKS.name, begin.ticks)
    assert await played.again() == made
    await forgotten(run, MARKET_TICKS.name, [each + 1 for each in begin.ticks])
    from_bars = await played.again()
    assert (from_bars.value, from_bars.topic) == (made.value, MARKET_BARS.name)
    assert any("the checkpoint goes on at" in each for each in from_bars.missing)
    await forgotten(run, MARKET_BARS.name, [each + 1 for each in begin.bars])
    from_nothing = await played.again()
    assert (from_nothing.value, from_nothing.topic) == (None, "")


async def check_recomputed(played: Played) -> None:
    """Make it again of its book alone, whose log begins where the checkpoint goes on."""
    begin, run = played.kept[-1], played.run.run
    await forgotten(played.run, PORTFOLIO_EVENTS.name, begin.book)
    log = BookLog(run.bootstrap_servers, run.name, Epochs(Artifacts(run.artifacts)))
    made = await recompute(log, "main", played.last.decision_id, nearest=begin)
    assert made.value == played.said[played.last.decision_id]
    assert made.begin == max(begin.book)
    assert made.beginning.startswith("the checkpoint of 20")
