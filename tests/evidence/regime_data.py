"""Real daily closes for the regime measurements, and the features that the pipeline makes of them.

Always: 20 stocks and the S&P 500 index, 1990 to 2022, from the installed package skfolio (surviving
companies only: absolute returns flatter). With ``TRADEWIND_DATA`` also six currency pairs.
"""

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.features import pipeline
from models.features.catalogue import NAMES, WARMUP_BARS
from models.regime import mixture_settings

Floats = npt.NDArray[np.float64]

COLUMNS = np.array([NAMES.index(name) for name in mixture_settings.FEATURES], np.int64)


class Market(NamedTuple):
    """One pooled model's assets on one grid of days.

    ``days`` (n_bars,) counts since 1970; ``close`` (n_bars, n_symbols), NaN without a bar.
    """

    name: str
    symbols: tuple[str, ...]
    days: npt.NDArray[np.int64]
    close: Floats

    def next_returns(self) -> Floats:
        """Return of each bar's next bar, NaN in the last."""
        returns = np.full(self.close.shape, np.nan)
        returns[:-1] = self.close[1:] / self.close[:-1] - 1.0
        return returns


@cache
def stocks() -> Market:
    """Give the demo's 20 stocks."""
    from skfolio.datasets import load_sp500_dataset  # noqa: PLC0415  brings pandas

    frame = load_sp500_dataset()
    symbols = tuple(sorted(frame.columns))
    return Market("20 stocks", symbols, _days(frame.index), frame[list(symbols)].to_numpy(float))


@cache
def index() -> Market:
    """Give the S&P 500."""
    from skfolio.datasets import load_sp500_index  # noqa: PLC0415  brings pandas

    frame = load_sp500_index()
    return Market("S&P 500", ("SPX",), _days(frame.index), frame.to_numpy(float))


@cache
def currencies() -> Market | None:
    """Give six currency pairs of one venue, or None without ``TRADEWIND_DATA``."""
    folder = os.environ.get("TRADEWIND_DATA")
    if not folder:
        return None
    import pyarrow.parquet  # noqa: PLC0415  only with data

    frame = pyarrow.parquet.read_table(Path(folder) / "bars_1d_fx.parquet").to_pandas()
    frame = frame[frame["venue"] == "MT5"]
    frame["day"] = frame["ts_event_ns"] // (86_400 * 10**9)
    table = frame.pivot_table(index="day", columns="symbol", values="close").dropna()
    symbols = tuple(str(symbol) for symbol in table.columns)
    return Market("6 currency pairs", symbols, table.index.to_numpy(np.int64), table.to_numpy())


def markets() -> list[Market]:
    """List every market that this machine has."""
    found = [stocks(), index()]
    extra = currencies()
    return found if extra is None else [*found, extra]


@cache
def features_of(name: str) -> Floats:
    """Fold a market's closes through the pipeline once: (n_bars, n_symbols, 60)."""
    market = next(each for each in markets() if each.name == name)
    silent = np.where(np.isnan(market.close), np.nan, 0.0)
    return pipeline.fold(pipeline.Bars(*[market.close] * 4, silent, market.close))


def first_usable() -> int:
    """Count the bars before the first complete features."""
    return WARMUP_BARS - 1


def _days(index: object) -> npt.NDArray[np.int64]:
    return np.asarray(index, "datetime64[D]").astype(np.int64)
