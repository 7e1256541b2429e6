"""Bars from a tape for training: those of the bars stage, and nothing that it would refuse."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.history import PRICES, BarHistory, check
from streams.records import Tick
from streams.sources.files import open_tape
from streams.sources.tape import Interval
from tables.history import history_of

SECOND = 10**9
# 2012-09-04T00:00:00Z.
START = 15_587 * 86_400 * SECOND


@dataclass(frozen=True)
class ListTape:
    """A tape of given ticks in bars of one second, numbered from 1."""

    given: dict[int, list[Tick]]
    name: str = "list"
    timeframe: str = "1s"
    symbols: tuple[str, ...] = ("A", "B")

    def closes_ns(self) -> list[int]:
        """Return the closes of the given bars."""
        return [START + number * SECOND for number in self.given]

    def intervals(self, first_close_ns: int, last_close_ns: int) -> Iterator[Interval]:
        """Yield those of the stretch."""
        for number, ticks in self.given.items():
            close_ns = START + number * SECOND
            if first_close_ns <= close_ns <= last_close_ns:
                by_symbol: dict[str, list[Tick]] = {}
                for tick in ticks:
                    by_symbol.setdefault(tick.symbol, []).append(tick)
                yield Interval(close_ns, by_symbol)


def trade(number: int, symbol: str, price: float | None, size: float | None = None) -> Tick:
    """Return a trade in the middle of a bar."""
    return Tick(symbol, START + number * SECOND - SECOND // 2, price=price, size=size)


def ignore(_stage: str, _share: float) -> None:
    """Take a progress report and do nothing."""


def whole(tape: ListTape) -> BarHistory:
    """Return the history of a whole tape."""
    closes = tape.closes_ns()
    return history_of(tape, closes[0], closes[-1], ignore)


def test_history_of_when_trades_have_sizes_then_bars_are_as_counted_by_hand() -> None:
    """Four trades: first, largest, smallest, last, the sum of sizes and the mean they weigh."""
    ticks = [trade(1, "A", p, s) for p, s in [(10.0, 1), (12.0, 2), (9.0, 3), (11.0, 4)]]
    history = whole(ListTape({1: ticks}))
    found = [getattr(history, name)[0, 0] for name in PRICES]
    # The last one is (10 + 24 + 27 + 44) / 10.
    assert found == [10.0, 12.0, 9.0, 11.0, 10.0, 10.5]


def test_history_of_when_sizes_are_unknown_then_vwap_is_the_mean_price() -> None:
    """Without volume every trade counts alike."""
    history = whole(ListTape({1: [trade(1, "A", 10.0), trade(1, "A", 13.0)]}))
    assert (history.volume[0, 0], history.vwap[0, 0]) == (0.0, 11.5)


def test_history_of_when_a_symbol_did_not_trade_then_all_its_values_are_nan() -> None:
    """A gap is no price; it is not filled from the bar before."""
    tape = ListTape({1: [trade(1, "A", 10.0), trade(1, "B", 20.0)], 2: [trade(2, "B", 21.0)]})
    history = whole(tape)
    check(history)
    assert history.close[:, 1].tolist() == [20.0, 21.0]
    assert [bool(np.isnan(getattr(history, name)[1, 0])) for name in PRICES] == [True] * 6


def test_history_of_when_bars_are_missing_then_rows_are_those_of_the_tape() -> None:
    """Time without any trade has no row."""
    tape = ListTape({1: [trade(1, "A", 10.0)], 7: [trade(7, "A", 11.0)]})
    history = whole(tape)
    assert history.symbols == ("A", "B")
    assert history.close_ns.tolist() == [START + SECOND, START + 7 * SECOND]
    assert history.close[:, 0].tolist() == [10.0, 11.0]


def test_history_of_when_a_stretch_is_asked_for_then_both_ends_belong_to_it() -> None:
    """Of bars 1 to 4 the stretch from 2 to 3 has two."""
    tape = ListTape({n: [trade(n, "A", float(n))] for n in (1, 2, 3, 4)})
    history = history_of(tape, START + 2 * SECOND, START + 3 * SECOND, ignore)
    assert history.close_ns.tolist() == [START + 2 * SECOND, START + 3 * SECOND]
    assert history.close[:, 0].tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    "bad",
    [
        trade(1, "A", None),
        trade(1, "A", 0.0),
        trade(1, "A", -5.0),
        trade(1, "A", 1e11),
        trade(1, "A", 10.0, -1.0),
        Tick("A", "2012-09-04 00:00:00", price=10.0),
        Tick("A", START + SECOND // 2, "quote", bid=10.0),
        Tick("A", START + SECOND // 2, "quote", bid=10.2, ask=10.1),
    ],
    ids=["missing", "zero", "negative", "huge", "size", "time", "one-sided", "crossed"],
)
def test_history_of_when_a_tick_is_bad_then_it_is_left_out_as_in_a_replay(bad: Tick) -> None:
    """What would become a dead letter must not become a price that models learn from."""
    tape = ListTape({1: [bad, trade(1, "A", 10.0), bad]})
    history = whole(tape)
    assert [getattr(history, name)[0, 0] for name in PRICES] == [10.0, 10.0, 10.0, 10.0, 0.0, 10.0]


def test_history_of_when_every_tick_of_a_bar_is_bad_then_the_row_is_empty() -> None:
    """The bar stays a row of the tape, without a price."""
    history = whole(ListTape({1: [trade(1, "A", 0.0)], 2: [trade(2, "A", 9.0)]}))
    check(history)
    np.testing.assert_array_equal(history.close[:, 0], [np.nan, 9.0])


def test_history_of_when_a_tick_comes_twice_then_it_counts_once() -> None:
    """Equal venue and number are one trade; equal values without a number are two."""
    numbered = Tick("A", START + 1, price=10.0, size=3.0, venue="X", seq=1)
    plain = Tick("B", START + 1, price=10.0, size=3.0)
    history = whole(ListTape({1: [numbered, numbered, plain, plain]}))
    assert history.volume[0].tolist() == [3.0, 6.0]


def test_history_of_when_bars_are_read_then_progress_rises_to_one() -> None:
    """A person who waits sees how far it is."""
    reports: list[tuple[str, float]] = []
    tape = ListTape({n: [trade(n, "A", 10.0)] for n in range(1, 251)})
    history_of(tape, 0, 2**62, lambda stage, share: reports.append((stage, share)))
    assert reports == [("bars", 0.0), ("bars", 0.4), ("bars", 0.8), ("bars", 1.0)]


@pytest.mark.tape
def test_history_of_when_trades_are_real_then_agrees_with_pandas(data: Path) -> None:
    """One hour of Nasdaq trades in minutes: open, high, low, close and volume."""
    path = data / "trades_nasdaq_1h.parquet"
    tape = open_tape(path, timeframe="1min")
    closes = tape.closes_ns()
    history = history_of(tape, closes[0], closes[-1], ignore)
    frame = pd.read_parquet(path)
    minute = (frame.ts_event_ns // (60 * SECOND) + 1) * 60 * SECOND
    by_bar = frame.groupby([minute.rename("bar"), "symbol"])
    prices = by_bar.price.agg(["first", "max", "min", "last"])
    expected = [prices[name] for name in ("first", "max", "min", "last")]
    expected.append(by_bar["size"].sum())
    for name, column in zip(PRICES, expected, strict=False):
        table = column.unstack().reindex(columns=list(history.symbols))
        assert table.index.tolist() == history.close_ns.tolist()
        np.testing.assert_allclose(getattr(history, name), table.to_numpy(), rtol=1e-12)


@pytest.mark.tape
def test_history_of_when_bars_are_real_then_keeps_them(data: Path) -> None:
    """Ready-made daily bars come through with their own prices, a day's close at midnight."""
    path = data / "bars_1d_us_equities_2012_2017.parquet"
    tape = open_tape(path)
    closes = tape.closes_ns()
    history = history_of(tape, closes[0], closes[-1], ignore)
    check(history)
    frame = pd.read_parquet(path)
    midnight = frame.ts_event_ns + 86_400 * SECOND
    for name in ("open", "high", "low", "close", "volume"):
        table = frame.assign(at=midnight).pivot(index="at", columns="symbol", values=name)
        assert table.index.tolist() == history.close_ns.tolist()
        np.testing.assert_array_equal(getattr(history, name), table.to_numpy())
