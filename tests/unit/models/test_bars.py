"""Bars against a second implementation that sorts all ticks by event time."""

import math
from itertools import accumulate

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bars import (
    REMEMBERED_IDS,
    BarRules,
    BarState,
    ClosedBars,
    OpenBar,
    Quote,
    Refused,
    Trade,
    WholeBar,
    add_bar,
    add_quote,
    add_trade,
    advance,
)
from tests.builders import MIDNIGHT, MINUTE, SECOND
from tests.strategies import PRICES, RULES, trades

CLOSE = MIDNIGHT + MINUTE
FILL_FROM = MIDNIGHT + 2 * SECOND + SECOND // 2


def running(rules: BarRules = RULES) -> BarState:
    """Give a state whose clock stands at midnight, lateness over."""
    state = BarState()
    advance(state, rules, 0, MIDNIGHT + rules.lateness_ns)
    return state


def trade(at_s: float = 1.0, price: float = 10.0, size: float = 1.0, identity: str = "") -> Trade:
    """Build a trade of AAA so many seconds after midnight."""
    return Trade("AAA", MIDNIGHT + int(at_s * SECOND), price, size, identity)


def fold(ticks: list[Trade]) -> tuple[ClosedBars, ...]:
    """Fold trades into the bar behind midnight and close it."""
    state = running()
    for tick in ticks:
        assert add_trade(state, RULES, tick) is None
    return tuple(advance(state, RULES, 1, CLOSE + RULES.lateness_ns))


def naive(ticks: list[Trade]) -> dict[str, dict[str, float]]:
    """Give the same bars by sorting: a stable sort keeps the log's order among equal times."""
    bars = {}
    for symbol in sorted({tick.symbol for tick in ticks}):
        mine = sorted((t for t in ticks if t.symbol == symbol), key=lambda t: t.ts_ns)
        volume = math.fsum(t.size for t in mine)
        plain = math.fsum(t.price for t in mine) / len(mine)
        weighted = math.fsum(t.price * t.size for t in mine) / volume if volume else plain
        fills = [t.price for t in mine if t.ts_ns >= FILL_FROM]
        bars[symbol] = {
            "open": mine[0].price,
            "high": max(t.price for t in mine),
            "low": min(t.price for t in mine),
            "close": mine[-1].price,
            "volume": volume,
            "vwap": weighted,
            "n_ticks": len(mine),
            "fill": fills[0] if fills else math.nan,
        }
    return bars


def told(bar: OpenBar) -> dict[str, float]:
    """Give a bar as the naive implementation does."""
    return {
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "close": bar.close,
        "volume": bar.volume,
        "vwap": bar.vwap(),
        "n_ticks": bar.n_ticks,
        "fill": bar.fill(),
    }


@given(trades())
def test_bars_when_ticks_come_in_any_order_then_agree_with_sorting(ticks: list[Trade]) -> None:
    """Every column is what a sort by event time gives, whatever the order of arrival."""
    (closed,) = fold(ticks)
    expected = naive(ticks)
    assert closed.close_ns == CLOSE
    assert [symbol for symbol, _ in closed.bars] == list(expected)
    for symbol, bar in closed.bars:
        assert told(bar) == pytest.approx(expected[symbol], rel=1e-12, nan_ok=True)
        assert bar.low <= bar.vwap() <= bar.high


@given(trades(), st.randoms(use_true_random=False))
def test_bars_when_ticks_of_distinct_times_are_shuffled_then_are_the_same(
    ticks: list[Trade], random: object
) -> None:
    """Arrival decides only among equal times."""
    distinct = list({(t.symbol, t.ts_ns): t for t in ticks}.values())
    shuffled = distinct.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ((a,), (b,)) = fold(distinct), fold(shuffled)
    for (_, one), (_, other) in zip(a.bars, b.bars, strict=True):
        assert told(one) == pytest.approx(told(other), rel=1e-12, nan_ok=True)


def test_open_and_close_when_times_are_equal_then_the_log_decides() -> None:
    """The first of the earliest opens, the last of the latest closes."""
    ((_, ((_, bar),)),) = fold([trade(1, 10.0), trade(1, 11.0), trade(1, 12.0)])
    assert (bar.open, bar.close) == (10.0, 12.0)


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        ([trade(2.4, 10), trade(2.6, 11), trade(3, 12)], 11.0),
        ([trade(3, 12), trade(2.6, 11), trade(2.4, 10)], 11.0),
        ([trade(2.5, 13), trade(2.6, 11)], 13.0),
        ([trade(2.5, 13), trade(2.5, 14)], 13.0),
        ([trade(59.999, 15)], 15.0),
        ([trade(0, 9), trade(2.4, 10)], math.nan),
    ],
)
def test_fill_price_when_ticks_stand_around_the_bound_then_is_the_first_reachable(
    ticks: list[Trade], expected: float
) -> None:
    """An order of the bar before meets the first trade 2 s of lateness and 0.5 s of way later."""
    ((_, ((_, bar),)),) = fold(ticks)
    assert bar.fill() == pytest.approx(expected, nan_ok=True)


def test_fill_price_when_lateness_exceeds_the_bar_then_there_is_none() -> None:
    """An order that reaches the venue after the bar cannot fill in it."""
    rules = BarRules(SECOND, 2 * SECOND, 0, 0)
    state = running(rules)
    add_trade(state, rules, Trade("AAA", MIDNIGHT + SECOND // 2, 10.0, 1.0, ""))
    closed = list(advance(state, rules, 1, MIDNIGHT + 3 * SECOND))
    assert math.isnan(closed[-1].bars[0][1].fill())


@given(st.lists(st.tuples(PRICES, st.floats(5e-324, 1e15)), min_size=1, max_size=10))
def test_vwap_when_sizes_are_extreme_then_stays_within_the_bar(
    ticks: list[tuple[float, float]],
) -> None:
    """Neither rounding nor a lost notional takes the mean price out of low and high."""
    ((_, ((_, bar),)),) = fold([trade(1, price, size) for price, size in ticks])
    assert bar.low <= bar.vwap() <= bar.high


def test_vwap_when_the_mean_is_rounded_then_is_a_price_of_the_bar() -> None:
    """Three trades at 0.1 have the mean 0.1, not 0.30000000000000004 / 3."""
    ((_, ((_, bar),)),) = fold([trade(1, 0.1, 0.0)] * 3)
    assert bar.vwap() == 0.1


@pytest.mark.parametrize(
    ("ts_ns", "code"),
    [
        (MIDNIGHT - 1, "LATE"),
        (MIDNIGHT, None),
        (CLOSE - 1, None),
        (CLOSE, None),
        (MIDNIGHT + 2 * SECOND + MINUTE + 5 * SECOND, None),
        (MIDNIGHT + 2 * SECOND + MINUTE + 5 * SECOND + 1, "TOO_FAR_AHEAD"),
    ],
)
def test_add_when_the_time_is_at_a_bound_then_decides_to_the_nanosecond(
    ts_ns: int, code: str | None
) -> None:
    """A bar is half open, late means closed, ahead means a bar and the allowance past the clock."""
    refused = add_trade(running(), RULES, Trade("AAA", ts_ns, 1.0, 1.0, ""))
    assert (refused and refused.code) == code


def test_add_when_no_heartbeat_has_come_then_refuses() -> None:
    """Without the clock there is no late and no early."""
    refused = add_trade(BarState(), RULES, trade())
    assert refused is not None
    assert refused.code == "NO_CLOCK"


def test_add_when_an_id_repeats_then_is_a_duplicate_of_its_symbol() -> None:
    """Equal values are no duplicates, equal ids are, and symbols do not share ids."""
    state = running()
    assert add_trade(state, RULES, trade(identity="x1")) is None
    refused = add_trade(state, RULES, trade(2, 99.0, identity="x1"))
    assert refused is not None
    assert refused.code == "DUPLICATE"
    other = trade(identity="x1")._replace(symbol="BBB")
    assert add_trade(state, RULES, other) is None
    assert add_trade(state, RULES, trade()) is None
    assert add_trade(state, RULES, trade()) is None
    assert state.bars[CLOSE]["AAA"].n_ticks == 3


def test_add_when_many_ids_came_since_then_is_forgotten() -> None:
    """The memory is bounded: an id counts as a repeat among the last 128 of its symbol."""
    state = running()
    for number in range(REMEMBERED_IDS + 1):
        add_trade(state, RULES, trade(identity=str(number)))
    assert add_trade(state, RULES, trade(identity="0")) is None
    again = add_trade(state, RULES, trade(identity=str(REMEMBERED_IDS)))
    assert again is not None
    assert len(state.seen["AAA"]) == REMEMBERED_IDS


def test_add_when_a_late_tick_has_an_id_then_does_not_take_it() -> None:
    """What was refused for its time did not come, so the id is still free."""
    state = running()
    add_trade(state, RULES, trade(-1, identity="x1"))
    assert add_trade(state, RULES, trade(1, identity="x1")) is None


def test_quote_when_crossed_then_changes_nothing() -> None:
    """A bid above the ask has no middle; a locked market has one."""
    state = running()
    crossed = add_quote(state, RULES, Quote("AAA", MIDNIGHT + 1, 11.0, 10.0, "q"))
    assert crossed is not None
    assert crossed.code == "CROSSED"
    assert state.bars == {}
    assert add_quote(state, RULES, Quote("AAA", MIDNIGHT + 1, 10.0, 10.0, "q")) is None


def test_quote_when_good_then_moves_the_bar_by_its_middle_without_volume() -> None:
    """The middle of 10 and 11 is a price of 10.5 and no volume."""
    state = running()
    add_quote(state, RULES, Quote("AAA", MIDNIGHT + 1, 10.0, 11.0, ""))
    bar = state.bars[CLOSE]["AAA"]
    assert (bar.open, bar.volume, bar.n_ticks, bar.vwap()) == (10.5, 0.0, 1, 10.5)


def whole(close_ns: int = CLOSE, identity: str = "") -> WholeBar:
    """Build a ready-made bar of AAA."""
    return WholeBar("AAA", close_ns, 10.0, 14.0, 8.0, 12.0, 100.0, identity)


def test_whole_bar_when_taken_then_fills_at_its_close() -> None:
    """Its columns are its own; the typical price stands for the unknown vwap."""
    state = running()
    assert add_bar(state, RULES, whole()) is None
    ((_, ((_, bar),)),) = advance(state, RULES, 1, CLOSE + RULES.lateness_ns)
    assert told(bar) == {
        "open": 10.0,
        "high": 14.0,
        "low": 8.0,
        "close": 12.0,
        "volume": 100.0,
        "vwap": 11.0,
        "n_ticks": 1,
        "fill": 12.0,
    }


@pytest.mark.parametrize(
    ("bar", "code"),
    [
        (whole(CLOSE + 1), "MISALIGNED_BAR"),
        (whole(MIDNIGHT), "LATE"),
        (whole(CLOSE + MINUTE), "TOO_FAR_AHEAD"),
        (whole(), "DUPLICATE"),
        (whole(identity="b1"), "DUPLICATE"),
    ],
)
def test_whole_bar_when_second_or_out_of_time_then_refuses(bar: WholeBar, code: str | None) -> None:
    """A bar stands on the grid, once, and within the clock's reach."""
    state = running()
    add_bar(state, RULES, whole(identity="b1"))
    refused = add_bar(state, RULES, bar)
    assert (refused and refused.code) == code


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 10 * 60).map(lambda s: MIDNIGHT + s * SECOND)),
        max_size=20,
    )
)
def test_advance_when_heartbeats_repeat_or_go_back_then_closes_each_bar_once(
    beats: list[tuple[int, int]],
) -> None:
    """Closes rise strictly, never pass the clock, and the last one passed is among them."""
    state = running()
    closes: list[int] = []
    for n, ts_ns in beats:
        before = msgspec.msgpack.encode(state)
        passed = list(advance(state, RULES, n, ts_ns))
        closes.extend(bars.close_ns for bars in passed)
        if list(advance(state, RULES, n, ts_ns)) or (passed and state.heartbeat_ns != ts_ns):
            pytest.fail("a repeated heartbeat closed something")
        if state.heartbeat_ns != ts_ns:
            assert msgspec.msgpack.encode(state) == before
    assert closes == sorted(set(closes))
    best = list(accumulate([MIDNIGHT + 2 * SECOND, *(ts for _, ts in beats)], max))[-1]
    assert state.closed_ns <= (best - 2 * SECOND) // MINUTE * MINUTE
    assert not closes or closes[-1] == state.closed_ns


def test_advance_when_time_jumps_then_closes_bars_with_ticks_and_the_last_passed() -> None:
    """A weekend is not a thousand empty slices."""
    state = running()
    add_trade(state, RULES, trade(1))
    add_trade(state, RULES, trade(61))
    closed = list(advance(state, RULES, 1, MIDNIGHT + 1000 * MINUTE + 2 * SECOND))
    assert [c.close_ns for c in closed] == [CLOSE, CLOSE + MINUTE, MIDNIGHT + 1000 * MINUTE]
    assert [len(c.bars) for c in closed] == [1, 1, 0]


def test_advance_when_lateness_is_not_over_then_waits() -> None:
    """A bar closes when its end and the lateness have come, not a nanosecond earlier."""
    state = running()
    add_trade(state, RULES, trade())
    assert list(advance(state, RULES, 1, CLOSE + 2 * SECOND - 1)) == []
    assert len(list(advance(state, RULES, 2, CLOSE + 2 * SECOND))) == 1


def test_advance_when_it_is_the_first_heartbeat_then_sends_nothing() -> None:
    """Before the clock ran there was no bar to close."""
    state = BarState()
    assert list(advance(state, RULES, 0, CLOSE + RULES.lateness_ns)) == []
    assert state.closed_ns == CLOSE


def test_refused_when_made_then_says_code_and_detail() -> None:
    """A refusal is a value for counting and a sentence for the producer."""
    refused = add_trade(running(), RULES, trade(-1))
    assert isinstance(refused, Refused)
    assert "AAA" in refused.detail
