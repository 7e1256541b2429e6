"""``feature-speed``: 60 features a bar on one core, beside recomputing windows and beside talipp.

TA-Lib recomputes each indicator over the symbol's last 300 bars, as a service without state does;
talipp updates one symbol's indicators one by one. Both compute only the columns that they have;
ours computes all 60. Columns are checked equal first, on a series long enough for every average to
forget how it began; talipp's columns that differ by definition are left out. Ratios are per feature
value, so that nobody is compared by columns it lacks; ratios per bar stand beside them.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np

from models.features.bars import Bars
from models.features.catalogue import NAMES, WARMUP_BARS
from models.features.pipeline import fold, initial_state, step
from streams.clock import monotonic_s
from tests.evidence import feature_peers
from tests.evidence.feature_data import best_tape, tapes
from tests.evidence.measurement import Measurement, Result

N_SYMBOLS = (200, 2_000)
VS_TALIB, VS_TALIPP = 20.0, 50.0

_ROUNDS = 5
_BARS_PER_ROUND = 12
_PEER_SYMBOL_BARS = 400
_WINDOW_BARS = 300
_EQUAL = 1e-9
_SERIES_BARS = 1_250


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on one core while it measures."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def market(n_symbols: int, n_bars: int) -> Bars:
    """Lay out stretches of real stocks side by side until there are enough symbols."""
    tape = next(iter(tapes().values()))
    n_stocks = tape.close.shape[1]
    begins = [17 * (at // n_stocks) for at in range(n_symbols)]
    return Bars(
        *(
            np.stack([column[b : b + n_bars, at % n_stocks] for at, b in enumerate(begins)], axis=1)
            for column in tape
        )
    )


class Ours:
    """The pipeline, warmed up, going on bar by bar over many symbols."""

    def __init__(self, n_symbols: int) -> None:
        self._bars = market(n_symbols, WARMUP_BARS + _ROUNDS * _BARS_PER_ROUND)
        self._state = initial_state(n_symbols)
        self._rows = np.arange(n_symbols)
        self._bar = 0
        for _ in range(WARMUP_BARS):
            self._step()

    def _step(self) -> None:
        now = Bars(*(column[self._bar] for column in self._bars))
        self._state, _ = step(self._state, self._rows, now)
        self._bar += 1

    def rate(self) -> float:
        """Return symbol-bars per second of the next bars."""
        started = monotonic_s()
        for _ in range(_BARS_PER_ROUND):
            self._step()
        return len(self._rows) * _BARS_PER_ROUND / (monotonic_s() - started)


def agreement(bars: Bars, columns: dict[str, np.ndarray]) -> dict[str, float]:
    """Give each column's largest difference from ours over the last fifth, relative to its size."""
    ours = fold(Bars(*(column[:, None].copy() for column in bars)))[:, 0]
    late = slice(len(ours) * 4 // 5, None)
    differences = {}
    for name, column in columns.items():
        mine = ours[late, NAMES.index(name)]
        size = max(float(np.abs(mine).max()), 1e-12)
        differences[name] = float(np.abs(column[late] - mine).max()) / size
    return differences


def talib_rate(bars: Bars) -> float:
    """Return symbol-bars per second of recomputing a window for every bar."""
    ends = range(_WINDOW_BARS, _WINDOW_BARS + _PEER_SYMBOL_BARS)
    windows = [Bars(*(column[end - _WINDOW_BARS : end] for column in bars)) for end in ends]
    started = monotonic_s()
    for window in windows:
        feature_peers.talib_columns(window)
    return len(windows) / (monotonic_s() - started)


def talipp_rate(bars: Bars, names: list[str]) -> float:
    """Return symbol-bars per second of talipp, warmed up."""
    follower = feature_peers.Talipp(names)
    rows = list(zip(*(column.tolist() for column in bars[:5]), strict=True))
    for row in rows[:_WINDOW_BARS]:
        follower.add(row)
    rows = rows[_WINDOW_BARS : _WINDOW_BARS + _PEER_SYMBOL_BARS]
    started = monotonic_s()
    for row in rows:
        follower.add(row)
    return len(rows) / (monotonic_s() - started)


def measure() -> Result:
    """Check the peers equal, then take turns on one core."""
    name, tape = best_tape()
    series = Bars(*(column[-_SERIES_BARS:, 0].copy() for column in tape))
    by_talib = agreement(series, feature_peers.talib_columns(series))
    by_talipp = agreement(series, feature_peers.talipp_columns(series))
    equal = [column for column, difference in by_talipp.items() if difference <= _EQUAL]
    rates: dict[str, list[float]] = {}
    with one_core():
        runs: dict[str, Callable[[], float]] = {
            **{f"ours_{n}": Ours(n).rate for n in N_SYMBOLS},
            "talib": lambda: talib_rate(series),
            "talipp": lambda: talipp_rate(series, equal),
        }
        for _ in range(_ROUNDS):
            for run, rate in runs.items():
                rates.setdefault(run, []).append(rate())
    middle = {run: median(each) for run, each in rates.items()}
    slowest = min(middle[f"ours_{n}"] for n in N_SYMBOLS)
    columns = {"talib": len(by_talib), "talipp": len(equal)}
    ratios = {
        f"{size}_vs_{peer}": round(
            middle[f"ours_{size}"] * len(NAMES) / (middle[peer] * n_columns), 1
        )
        for size in N_SYMBOLS
        for peer, n_columns in columns.items()
    }
    worst = {peer: min(ratios[f"{size}_vs_{peer}"] for size in N_SYMBOLS) for peer in columns}
    parts: dict[str, Any] = {
        **{f"{run}_per_s": round(rate) for run, rate in middle.items()},
        **{f"{name}_per_value": ratio for name, ratio in ratios.items()},
        **{
            f"{size}_vs_{peer}_per_bar": round(middle[f"ours_{size}"] / middle[peer], 1)
            for size in N_SYMBOLS
            for peer in columns
        },
        "talib_columns": len(by_talib),
        "talib_worst_difference": max(by_talib.values()),
        "talipp_columns": len(equal),
        "talipp_left_out": sorted(set(by_talipp) - set(equal)),
        "series": name,
    }
    return Result(
        value=round(slowest),
        holds=worst["talib"] >= VS_TALIB
        and worst["talipp"] >= VS_TALIPP
        and max(by_talib.values()) <= _EQUAL,
        n=_ROUNDS * _BARS_PER_ROUND * sum(N_SYMBOLS),
        peer="TA-Lib, 300-bar windows recomputed",
        ratio=worst["talib"],
        parts=parts,
    )


FEATURE_SPEED = Measurement(
    "feature-speed",
    "symbol-bars/s of 60 features on one core, the slower of 200 and 2,000 symbols",
    f">= {VS_TALIB:g} x TA-Lib windows, >= {VS_TALIPP:g} x talipp per value, outputs equal",
    1,
    measure,
)
