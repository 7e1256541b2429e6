"""What a run on a broker decided, and what its backtest in one process decides: the same bytes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agents.run.decided import identity_of
from agents.run.terms import Changes
from agents.run.topic_backtest import TopicBacktest
from agents.topology import prefix_of
from streams.timestamps import format_ns
from streams.topics import MARKET_BARS, MARKET_TICKS
from tables.stores.backtest_folder import BacktestFolder, equity_in, summary_in
from tests.runs import TAPE, Outcome

pytestmark = pytest.mark.broker


def backtest(test: TopicBacktest, out: Path) -> dict[str, Any]:
    """Run a backtest and return its summary."""
    span = test.check()
    folder = BacktestFolder(out)
    result = test.run(folder, span, lambda _step, _share: None)
    folder.finish(result.summary, {k: found.series for k, found in result.measured.items()}, {})
    return summary_in(out)


@pytest.mark.parametrize("topic", [MARKET_TICKS.name, MARKET_BARS.name])
async def test_backtest_when_a_run_is_recorded_then_decides_the_same_bytes(
    topic: str, broker: str, home: Path, undisturbed: Outcome, tmp_path: Path
) -> None:
    """Workers, broker and partitions do not show: the hash is that of the run's own topic."""
    live = await identity_of(broker, prefix_of("undisturbed"))
    test = TopicBacktest(home, broker, "undisturbed", topic, (None, None))
    summary = await asyncio.to_thread(backtest, test, tmp_path / "out")
    assert live.n_decisions() == len(undisturbed.decisions)
    assert summary["hash"] == live.total()
    assert [remark[:9] for remark in summary["remarks"]] == ["IN SAMPLE", "The model", "Less than"]


async def test_backtest_when_people_spoke_to_the_book_then_they_speak_again(
    broker: str, home: Path, spoken: str, tmp_path: Path
) -> None:
    """A limit and a halt act behind the bars that they did; a change makes it another backtest."""
    closes = TAPE.closes_ns()
    live = await identity_of(broker, prefix_of(spoken))
    same = TopicBacktest(home, broker, spoken, MARKET_TICKS.name, (None, None))
    summary = await asyncio.to_thread(backtest, same, tmp_path / "same")
    assert summary["hash"] == live.total()
    assert "4 records of people and venues acted again" in dict(summary["facts"])["Book"]
    changes = Changes({"max_leverage": 0.3})
    other = TopicBacktest(home, broker, spoken, MARKET_TICKS.name, (None, None), changes)
    changed = await asyncio.to_thread(backtest, other, tmp_path / "other")
    assert changed["hash"] != live.total()
    assert dict(changed["facts"])["Book"].startswith("fresh")
    asked = (format_ns(closes[280]), format_ns(closes[290]))
    part = TopicBacktest(home, broker, spoken, MARKET_TICKS.name, asked)
    told = await asyncio.to_thread(backtest, part, tmp_path / "part")
    assert equity_in(tmp_path / "part")["main"][0].tolist() == closes[280:291]
    assert told["portfolios"]["main"]["n_warmup_bars"] == 252
