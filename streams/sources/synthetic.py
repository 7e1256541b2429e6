"""A seeded market with planted regimes: trades at any rate, and the truth to compare with.

What is planted, per bar whatever its timeframe, so that a second's bar shows it as a day's does:

- one three-state Markov chain (bull, bear, sideways), shared by all symbols: ``STAY`` is the chance
  to stay for another bar, and a change goes to each of the two other states equally often;
- a market factor, normal with the state's ``DRIFT`` and ``VOLATILITY``; over a long time the drifts
  cancel, as bull, bear and sideways are expected to last 200, 120 and 150 bars;
- symbols that follow the factor with a beta of 0.5 to 1.5 and add normal noise of their own, so
  what correlates them is the factor alone;
- a Brownian bridge inside each bar, of the bar's own volatility, whose last trade is the close.

Sizes are round lots drawn without regard to state or price. Nothing here is estimated from a real
market: it is for tests and load, and for asking whether a planted regime is found again.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from streams.errors import SettingsError
from streams.records import Tick
from streams.slices import FloatArray, IntArray
from streams.sources.tape import Interval
from streams.timestamps import TIMEFRAMES_NS

# The order of everything below that has one value per state.
STATES = ("bull", "bear", "sideways")
STAY = (1 - 1 / 200, 1 - 1 / 120, 1 - 1 / 150)

# Of the market factor's logarithm, per bar: +3, -5 and 0 basis points; 20, 50 and 15.
DRIFT = (0.0003, -0.0005, 0.0)
VOLATILITY = (0.0020, 0.0050, 0.0015)

# Of each symbol's own logarithm, per bar.
NOISE = 0.0015
BETAS = (0.5, 1.5)

FIRST_PRICES = (20.0, 500.0)
TICKS_PER_UNIT = 100
LOT = 100
LARGEST_LOTS = 10

# A Monday: 2026-01-05T00:00:00Z.
START_NS = 1_767_571_200_000_000_000

# Bars whose moves are drawn together; part of the definition: another number is another market.
_BLOCK_BARS = 256

# First words of the seeds, so that no two kinds of draws share a stream.
_CHAIN, _SYMBOLS, _MOVES, _TRADES = range(4)


class SyntheticTape:
    """A tape of simulated trades; equal arguments give equal ticks, whatever part is asked for.

    With more bars it is the same tape, and longer.

    Parameters
    ----------
    symbols, bars, ticks_per_bar
        How many symbols, bars, and trades per symbol and bar.
    seed
        Seed of everything drawn.
    timeframe
        Length of a bar; with ``symbols * ticks_per_bar`` it sets the rate.
    start_ns
        Open of the first bar, on the grid of the timeframe, nanoseconds since the epoch.

    Attributes
    ----------
    regimes
        (bars,) the planted state of each bar, as position in ``STATES``.
    betas
        (symbols,) how strongly each symbol follows the market factor.

    Raises
    ------
    SettingsError
        If a count is below one, the seed below zero, the timeframe unknown, or the start off
        its grid.
    """

    def __init__(
        self,
        *,
        symbols: int,
        bars: int,
        ticks_per_bar: int,
        seed: int,
        timeframe: str = "1s",
        start_ns: int = START_NS,
    ) -> None:
        _check(symbols=symbols, bars=bars, ticks_per_bar=ticks_per_bar)
        if seed < 0:
            raise SettingsError(f"seed was {seed}; expected 0 or more")
        if timeframe not in TIMEFRAMES_NS:
            expected = ", ".join(TIMEFRAMES_NS)
            raise SettingsError(f"timeframe was {timeframe!r}; expected one of {expected}")
        self.timeframe = timeframe
        self._timeframe_ns = TIMEFRAMES_NS[timeframe]
        if start_ns % self._timeframe_ns:
            raise SettingsError(
                f"start_ns was {start_ns}; expected a multiple of {self._timeframe_ns}, "
                f"the grid of {timeframe}"
            )
        self.name = f"synthetic market with planted regimes, seed {seed}: simulated trades"
        self.identity = f"{self.name}; {symbols} symbols, {ticks_per_bar} ticks a bar, {start_ns}"
        self.symbols = tuple(f"SYN{n:0{len(str(symbols - 1))}d}" for n in range(symbols))
        self._start_ns, self._seed, self._n_ticks = start_ns, seed, ticks_per_bar
        self.regimes: IntArray = _chain(self._draws(_CHAIN), bars)
        of_symbols = self._draws(_SYMBOLS)
        self.betas: FloatArray = of_symbols.uniform(*BETAS, symbols)
        self._first_logs = np.log(of_symbols.uniform(*FIRST_PRICES, symbols))

    def closes_ns(self) -> list[int]:
        """Return the close of every bar."""
        first, step = self._start_ns + self._timeframe_ns, self._timeframe_ns
        return list(range(first, first + len(self.regimes) * step, step))

    def intervals(self, first_close_ns: int, last_close_ns: int) -> Iterator[Interval]:
        """Yield the bars whose close lies between the two, both included."""
        since_start = first_close_ns - self._start_ns
        first = max(0, -(-since_start // self._timeframe_ns) - 1)
        last = min(len(self.regimes), (last_close_ns - self._start_ns) // self._timeframe_ns)
        at, logs = -1, self._first_logs[None]
        for bar in range(first, last):
            if bar // _BLOCK_BARS != at:
                at = bar // _BLOCK_BARS
                logs = self._block_starts[at] + self._walk(at)
            yield self._interval(bar, logs[bar % _BLOCK_BARS], logs[bar % _BLOCK_BARS + 1])

    @cached_property
    def _block_starts(self) -> FloatArray:
        """Logarithms before each block of bars, (blocks, symbols): all that is kept of the past."""
        starts = [self._first_logs]
        for block in range((len(self.regimes) - 1) // _BLOCK_BARS):
            starts.append(starts[-1] + self._walk(block)[-1])
        return np.array(starts)

    def _walk(self, block: int) -> FloatArray:
        """Return what each symbol has moved since the block began, (bars + 1, symbols)."""
        draws = self._draws(_MOVES, block)
        states = self.regimes[block * _BLOCK_BARS : (block + 1) * _BLOCK_BARS]
        # A last block that is cut short draws as much as a whole one: a longer tape goes on alike.
        shocks = draws.standard_normal(_BLOCK_BARS)[: len(states)]
        noise = draws.standard_normal((_BLOCK_BARS, len(self.symbols)))[: len(states)]
        market = np.take(DRIFT, states) + np.take(VOLATILITY, states) * shocks
        walk = np.zeros((len(states) + 1, len(self.symbols)))
        np.cumsum(market[:, None] * self.betas + NOISE * noise, axis=0, out=walk[1:])
        return walk

    def _interval(self, bar: int, opens: FloatArray, closes: FloatArray) -> Interval:
        """Return a bar's ticks; ``opens`` and ``closes`` are logarithms, (symbols,)."""
        draws = self._draws(_TRADES, bar)
        n_symbols, n = len(self.symbols), self._n_ticks
        spread = np.hypot(self.betas * VOLATILITY[self.regimes[bar]], NOISE)
        prices = _bridged(opens, closes, spread, draws.standard_normal((n_symbols, n)))
        sizes = LOT * draws.integers(1, LARGEST_LOTS, (n_symbols, n), endpoint=True)
        # Symbols take turns, so all times of a bar differ and lie inside it.
        turns = np.arange(1, n_symbols * n + 1).reshape(n, n_symbols).T
        opened_ns = self._start_ns + bar * self._timeframe_ns
        times = opened_ns + turns * (self._timeframe_ns // (n_symbols * n + 1))
        numbers = range(bar * n, (bar + 1) * n)
        columns = (times.tolist(), prices.tolist(), sizes.tolist())
        ticks = {
            symbol: [
                Tick(symbol, ts, price=price, size=size, seq=seq)
                for ts, price, size, seq in zip(*of_symbol, numbers, strict=True)
            ]
            for symbol, *of_symbol in zip(self.symbols, *columns, strict=True)
        }
        return Interval(opened_ns + self._timeframe_ns, ticks)

    def _draws(self, *words: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self._seed, *words]))


def _chain(draws: np.random.Generator, bars: int) -> IntArray:
    """Draw the states of all bars; the first one is any of the three."""
    states = np.empty(bars, np.int64)
    state = int(draws.integers(len(STATES)))
    for bar, (stay, turn) in enumerate(draws.random((bars, 2)).tolist()):
        states[bar] = state
        if stay >= STAY[state]:
            state = (state + (1 if turn < 1 / 2 else 2)) % len(STATES)
    return states


def _bridged(
    opens: FloatArray, closes: FloatArray, spread: FloatArray, steps: FloatArray
) -> FloatArray:
    """Return prices from opens to closes in whole ticks, shape of ``steps``: (symbols, ticks).

    All are logarithms; ``spread`` is the standard deviation of each symbol's bar.
    """
    n = steps.shape[1]
    share = np.arange(1, n + 1) / n
    walk = np.cumsum(steps, axis=1) / np.sqrt(n)
    logs = opens[:, None] + share * (closes - opens)[:, None]
    logs += spread[:, None] * (walk - share * walk[:, -1:])
    # Below one tick there is no price.
    return np.asarray(np.maximum(np.rint(np.exp(logs) * TICKS_PER_UNIT), 1) / TICKS_PER_UNIT)


def _check(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise SettingsError(f"{name} was {count}; expected at least 1")
