"""Real daily closes with a seeded path in between: *simulated intraday*, and labelled so.

The closes are the twenty S&P 500 stocks that ship inside the package skfolio (1990-2022, adjusted,
surviving companies only). Between two closes runs a Brownian bridge in log prices whose volatility
is the last 21 days'; its last tick is the real close. Sizes are not invented: ticks carry none.
"""

import zlib
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from streams.records import Tick
from streams.slices import FloatArray
from streams.sources.tape import Interval
from streams.timestamps import TIMEFRAMES_NS

NAME = "skfolio S&P 500, 20 stocks: real daily closes, simulated intraday (seeded bridge)"

_DAY_NS = TIMEFRAMES_NS["1day"]
_SESSION_OPEN_NS = (14 * 60 + 30) * 60 * 1_000_000_000
_SESSION_NS = (6 * 60 + 30) * 60 * 1_000_000_000
_VOLATILITY_DAYS = 21
_PRICE_DECIMALS = 6

# The part of a day's variance that lies inside the session; the rest happens over night.
_INTRADAY_SHARE = 0.6


class BridgeTape:
    """The demo's tape: one interval a day, ``ticks_per_day`` ticks per symbol.

    Parameters
    ----------
    seed
        Seed of the paths; the same seed gives the same ticks, whatever part is replayed.
    ticks_per_day
        Ticks per symbol and day, the real close included.
    """

    name = NAME
    timeframe = "1day"

    def __init__(self, seed: int = 7, ticks_per_day: int = 30) -> None:
        # Imported here: a worker that replays nothing needs neither pandas nor the data.
        from skfolio.datasets import load_sp500_dataset  # noqa: PLC0415  heavy

        prices = load_sp500_dataset()
        self.symbols: tuple[str, ...] = tuple(sorted(prices.columns))
        self.closes: FloatArray = prices[list(self.symbols)].to_numpy(dtype=np.float64)
        days = prices.index.to_numpy().astype("datetime64[ns]").astype(np.int64)
        self._days_ns: list[int] = days.tolist()
        self.identity = f"{NAME}; seed {seed}, {ticks_per_day} ticks a day"
        self._seed = seed
        self._n = ticks_per_day

    def closes_ns(self) -> list[int]:
        """Return the close of every day: the midnight after it, UTC."""
        return [day + _DAY_NS for day in self._days_ns]

    @cached_property
    def paths(self) -> FloatArray:
        """Prices of all ticks, shape (n_days, n_symbols, ticks_per_day)."""
        logs = np.log(self.closes)
        moves = np.diff(logs, axis=0, prepend=logs[:1])
        spread = _trailing_std(moves) * np.sqrt(_INTRADAY_SHARE)
        share = np.arange(1, self._n + 1) / self._n
        paths = np.empty((*self.closes.shape, self._n))
        for at, symbol in enumerate(self.symbols):
            seeds = np.random.SeedSequence([self._seed, zlib.crc32(symbol.encode())])
            steps = np.random.default_rng(seeds).standard_normal((len(logs), self._n))
            walk = np.cumsum(steps, axis=1) / np.sqrt(self._n)
            bridge = walk - share * walk[:, -1:]
            start = logs[:, at] - moves[:, at]
            line = start[:, None] + share * moves[:, at, None]
            paths[:, at] = np.exp(line + spread[:, at, None] * bridge)
        rounded = np.asarray(np.round(paths, _PRICE_DECIMALS), dtype=np.float64)
        rounded[:, :, -1] = self.closes
        return rounded

    def intervals(self, first_close_ns: int, last_close_ns: int) -> Iterator[Interval]:
        """Yield one interval per day."""
        step_ns = _SESSION_NS // self._n
        for day, day_ns in enumerate(self._days_ns):
            if not first_close_ns <= day_ns + _DAY_NS <= last_close_ns:
                continue
            times = [day_ns + _SESSION_OPEN_NS + (k + 1) * step_ns - 1 for k in range(self._n)]
            ticks = {
                symbol: [
                    Tick(symbol, ts, price=price, seq=day * self._n + k)
                    for k, (ts, price) in enumerate(
                        zip(times, self.paths[day, at].tolist(), strict=True)
                    )
                ]
                for at, symbol in enumerate(self.symbols)
            }
            yield Interval(day_ns + _DAY_NS, ticks)


def _trailing_std(moves: FloatArray) -> FloatArray:
    """Return the standard deviation of the last 21 days before each day, shape as ``moves``."""
    padded = np.concatenate([np.repeat(moves[1:2], _VOLATILITY_DAYS, axis=0), moves])
    windows = np.lib.stride_tricks.sliding_window_view(padded, _VOLATILITY_DAYS, axis=0)
    return np.asarray(windows[: len(moves)].std(axis=-1))
