"""What questions are answered from: the newest bars, symbol by symbol."""

import numpy as np
import pytest

from models.features.catalogue import NAMES
from models.specialists import window
from streams.slices import Slice
from tables.recent import BARS_KEPT, RecentBars
from tests.builders import MIDNIGHT, MINUTE, bars, meta, proposal

SYMBOLS = ("AAA", "BBB")


def bar(minute: int, prices: dict[str, float], partition: int = 0) -> Slice:
    """Build what prediction sends of a bar, one partition of it."""
    about = meta(MIDNIGHT + minute * MINUTE, partition=partition, n_partitions=2)
    return proposal(bars(about, prices, SYMBOLS), dict.fromkeys(prices, (0.6, 0.1)))


def filled(*minutes: int) -> RecentBars:
    """Build a memory of some bars, in the order in which they come."""
    recent = RecentBars()
    for minute in minutes:
        recent.take(bar(minute, {"AAA": 10.0 + minute}))
    return recent


def test_newest_when_bars_follow_then_is_of_the_last_one_decided() -> None:
    """A bar that is still waiting for others is not yet what questions are answered from."""
    recent = filled(1, 2, 3)
    row = recent.newest("AAA", MIDNIGHT + 2 * MINUTE)
    assert row is not None
    assert (row.close_ns, row.close, row.timeframe) == (MIDNIGHT + 2 * MINUTE, 12.0, "1min")
    assert (row.features.shape, row.regime.shape, row.weights.shape) == ((60,), (4,), (3,))
    assert recent.newest("AAA", MIDNIGHT) is None


def test_newest_when_a_symbol_did_not_trade_then_is_of_an_older_bar() -> None:
    """BBB traded in the first bar only; a symbol that never did has no row."""
    recent = RecentBars()
    recent.take(bar(1, {"AAA": 1.0, "BBB": 2.0}))
    recent.take(bar(2, {"AAA": 3.0}))
    row = recent.newest("BBB", MIDNIGHT + 5 * MINUTE)
    assert row is not None
    assert (row.close_ns, row.close) == (MIDNIGHT + MINUTE, 2.0)
    assert recent.newest("CCC", MIDNIGHT + 5 * MINUTE) is None


@pytest.mark.parametrize("minutes", [range(1, 30), range(29, 0, -1)])
def test_take_when_there_are_many_then_keeps_the_newest(minutes: list[int]) -> None:
    """Bounded, whatever the order in which partitions are read."""
    recent = filled(*minutes)
    closes = [MIDNIGHT + minute * MINUTE for minute in range(29, 29 - BARS_KEPT, -1)]
    assert len(closes) == 16
    assert recent.closes_ns(MIDNIGHT + 99 * MINUTE) == closes


@pytest.mark.parametrize("step", [1, 3, 40])
@pytest.mark.parametrize("ago", [0, 1, 15])
def test_window_when_a_symbol_trades_seldom_then_is_the_one_of_the_fold(
    step: int, ago: int
) -> None:
    """Its own last bars, over closes of others and over closes of nobody, as `window.step` does."""
    recent, state, windows = RecentBars(), window.initial_state(1), []
    for minute in range(1, 40 * step + 1):
        prices = {"AAA": 1.0} if minute % 2 else {}
        if minute % step == 0:
            prices["BBB"] = float(minute)
        features = np.full((len(prices), len(NAMES)), float(minute))
        fresh = bars(meta(MIDNIGHT + minute * MINUTE), prices, SYMBOLS)
        recent.take(fresh.with_columns({"features": features}))
        recent.take(bar(1, {"AAA": 1.0, "BBB": 1.0}))  # again, from before a restart
        if "BBB" in prices:
            state, (latest,) = window.step(state, np.array([0]), features[-1:])
            windows.append((minute, latest))
    kept = recent.closes_ns(MIDNIGHT + 9_999 * MINUTE)
    asked = [each for each in windows if MIDNIGHT + each[0] * MINUTE in kept] or windows[-1:]
    minute, expected = asked[-1 - min(ago, len(asked) - 1)]
    assert np.array_equal(recent.window("BBB", MIDNIGHT + minute * MINUTE), expected)
    assert np.isfinite(expected).all()
    assert np.isnan(recent.window("CCC", MIDNIGHT + minute * MINUTE)).all()


def test_take_when_nobody_traded_at_a_close_then_it_is_no_bar_to_ask_about() -> None:
    """A question names a bar by its close; a close without rows pushes none out either."""
    recent = filled(*range(1, 1 + BARS_KEPT))
    for minute in range(20, 40):
        recent.take(bar(minute, {}))
    closes = [MIDNIGHT + minute * MINUTE for minute in range(BARS_KEPT, 0, -1)]
    assert recent.closes_ns(MIDNIGHT + 99 * MINUTE) == closes


def test_take_when_partitions_share_a_bar_then_it_has_the_rows_of_both() -> None:
    """Each partition brings its own symbols; the rows' values are the slice's, bit for bit."""
    recent = RecentBars()
    first, second = bar(1, {"AAA": 1.0}), bar(1, {"BBB": 2.0}, partition=1)
    recent.take(first)
    recent.take(second)
    for symbol, slice_ in (("AAA", first), ("BBB", second)):
        row = recent.row(symbol, MIDNIGHT + MINUTE)
        assert row is not None
        for name in ("features", "regime", "scores", "weights"):
            assert np.array_equal(getattr(row, name), slice_.matrix(name)[0], equal_nan=True)
