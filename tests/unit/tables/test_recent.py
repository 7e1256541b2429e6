"""What questions are answered from: the newest bars, symbol by symbol."""

import numpy as np
import pytest

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
