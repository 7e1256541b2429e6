"""Longer bars: pandas folds the same ones, and their features are those of a tape of them."""

import numpy as np
import pandas as pd
import pytest

from models.errors import NotFinite
from models.features.bars import Bars
from models.features.longer import LongerState, Shorter, initial_longer, step_longer
from models.features.pipeline import fold

MINUTE = 60 * 10**9
N = 3


def market(n_minutes: int, seed: int, *, volume: bool = True) -> pd.DataFrame:
    """Give minutes of three symbols, a third of them missing: whole volumes, prices in sixteenths.

    Sums of these are exact, so any order of summation has the same bits.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for minute in range(1, n_minutes + 1):
        for symbol in range(N):
            if rng.random() < 1 / 3:
                continue
            prices = np.sort(rng.integers(1_500, 1_700, 5)) / 16
            low, *middle, high = prices.tolist()
            opened, vwap, closed = rng.permutation(middle).tolist()
            traded = float(rng.integers(1, 64)) if volume else 0.0
            ticks = int(rng.integers(1, 9))
            rows.append((minute, symbol, opened, high, low, closed, traded, vwap, ticks))
    names = ["minute", "symbol", *Bars._fields, "ticks"]
    return pd.DataFrame(rows, columns=names)


def shorter(minutes: pd.DataFrame, minute: int) -> Shorter:
    """Give the bars of a minute."""
    now = minutes[minutes.minute == minute]
    bars = Bars(*(now[name].to_numpy(np.float64) for name in Bars._fields))
    return Shorter(
        minute * MINUTE, now.symbol.to_numpy(np.int64), bars, now.ticks.to_numpy(np.int64)
    )


def expected(minutes: pd.DataFrame, n: int, last: int) -> np.ndarray:
    """Fold by pandas, then the whole tape at once: (bars, symbols, 60)."""
    known = minutes.assign(
        bar=-(-minutes.minute // n),
        notional=minutes.vwap * minutes.volume,
        means=minutes.vwap * minutes.ticks,
    )
    by = known.groupby(["bar", "symbol"])
    folded = by.agg(
        open=("open", "first"),
        high=("high", "max"),
        low=("low", "min"),
        close=("close", "last"),
        volume=("volume", "sum"),
        notional=("notional", "sum"),
        means=("means", "sum"),
        ticks=("ticks", "sum"),
    )
    by_ticks = folded.means / folded.ticks
    folded["vwap"] = (folded.notional / folded.volume).where(folded.volume > 0, by_ticks)
    n_bars = last // n
    columns = []
    for name in Bars._fields:
        table = folded[name].unstack("symbol").reindex(index=range(1, n_bars + 1), columns=range(N))
        columns.append(table.to_numpy(np.float64))
    return fold(Bars(*columns))


@pytest.mark.parametrize(("n", "volume"), [(5, True), (60, True), (5, False)])
def test_step_when_minutes_come_then_features_are_those_of_the_longer_tape(
    n: int, *, volume: bool
) -> None:
    """Bit for bit, at every close; between closes nothing that is served changes."""
    last = 60 * n
    minutes = market(last, seed=n, volume=volume)
    tape = expected(minutes, n, last)
    state: LongerState = initial_longer(N)
    for minute in range(1, last + 1):
        before = (state.latest.tobytes(), state.latest_ns.tobytes())
        state = step_longer(state, n * MINUTE, shorter(minutes, minute))
        if minute % n:
            assert (state.latest.tobytes(), state.latest_ns.tobytes()) == before
            continue
        bar = minute // n
        closed = np.flatnonzero(state.latest_ns == minute * MINUTE)
        present = minutes[-(-minutes.minute // n) == bar].symbol.unique()
        assert closed.tolist() == sorted(present)
        assert state.latest[closed].tobytes() == tape[bar - 1, closed].tobytes()
    assert np.isfinite(state.latest).any()


def test_step_when_the_last_minute_is_missing_then_the_next_bar_closes_it() -> None:
    """A clock that jumped says nothing at the boundary; the first bar behind it does."""
    minutes = market(7, seed=1)
    jumped, whole = initial_longer(N), initial_longer(N)
    for minute in (1, 2, 3, 4, 7):
        jumped = step_longer(jumped, 5 * MINUTE, shorter(minutes, minute))
    empty = shorter(minutes[minutes.minute < 0], 5)
    for minute in (1, 2, 3, 4):
        whole = step_longer(whole, 5 * MINUTE, shorter(minutes, minute))
    whole = step_longer(whole, 5 * MINUTE, empty)
    assert jumped.latest.tobytes() == whole.latest.tobytes()
    assert set(jumped.latest_ns[jumped.latest_ns >= 0].tolist()) == {5 * MINUTE}
    assert (jumped.close_ns, whole.close_ns) == (10 * MINUTE, -1)


def test_step_when_a_bar_cannot_be_then_changes_nothing() -> None:
    """The stage has made a dead letter of it; the open bars stay as they were."""
    minutes = market(2, seed=2)
    state = step_longer(initial_longer(N), 5 * MINUTE, shorter(minutes, 1))
    before = state.bars.close.tobytes()
    wrong = shorter(minutes, 2)
    closes = np.full(len(wrong.rows), np.nan)
    wrong = wrong._replace(bars=wrong.bars._replace(close=closes))
    with pytest.raises(NotFinite):
        step_longer(state, 5 * MINUTE, wrong)
    assert state.bars.close.tobytes() == before


def test_step_when_rounding_leaves_the_range_then_the_mean_stays_in_it() -> None:
    """A mean lies between low and high, also where its sums are rounded."""
    flat = np.array([0.1])
    state = initial_longer(1)
    for minute in range(1, 6):
        bars = Bars(*[flat] * 4, np.array([0.3]), flat)
        one = Shorter(minute * MINUTE, np.array([0]), bars, np.array([1]))
        state = step_longer(state, 5 * MINUTE, one)
    assert state.latest_ns.tolist() == [5 * MINUTE]
    expected_row = fold(Bars(*[np.array([[0.1]])] * 4, np.array([[1.5]]), np.array([[0.1]])))
    assert state.latest.tobytes() == expected_row[0].tobytes()
