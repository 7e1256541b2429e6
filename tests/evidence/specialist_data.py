"""Real markets for the specialists: features from the one pipeline, and how each is folded.

Always: 20 stocks, daily closes, 1990 to 2022. With ``TRADEWIND_DATA`` also currency pairs by day
and by hour, 44 US stocks and five NASDAQ stocks with volume.
"""

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.features import pipeline
from models.features.bars import Bars
from models.specialists.split import EMBARGO_BARS, LABEL_BARS, SHARES, Split
from tests.evidence import regime_data
from tests.evidence.regime_data import Floats, first_usable

STOCKS = "20 stocks"
REPORTED_FROM = ("2003-01-01", "2008-01-01", "2013-01-01", "2018-01-01", "2023-01-01")
N_FOLDS = 4
# A longer history would take most of the measurement's time for one market of five.
HOURS = 8_000


class Panel(NamedTuple):
    """One market as the specialists see it: (n_bars, n_symbols) each, NaN without a bar.

    ``times`` (n_bars,) are nanoseconds since 1970.
    """

    name: str
    symbols: tuple[str, ...]
    times: npt.NDArray[np.int64]
    close: Floats
    features: Floats

    def next_returns(self) -> Floats:
        """Return of each bar's next bar, NaN where either is missing."""
        returns = np.full(self.close.shape, np.nan)
        returns[:-1] = self.close[1:] / self.close[:-1] - 1.0
        return returns


@cache
def panels() -> dict[str, Panel]:
    """Give every market that this machine has, the stocks first."""
    found = [_of_closes(regime_data.stocks())]
    folder = os.environ.get("TRADEWIND_DATA")
    pairs = regime_data.currencies()
    if folder and pairs is not None:
        root = Path(folder)
        found += [
            _of_closes(pairs),
            _of_bars("44 US stocks", root / "bars_1d_us_equities_2012_2017.parquet"),
            _of_bars("5 NASDAQ stocks", root / "bars_1d_nasdaq_2017_2023.parquet"),
            _of_bars("4 currency pairs, hourly", root / "bars_1h_fx.parquet", "MT5", HOURS),
        ]
    return {panel.name: panel for panel in found}


def folds(panel: Panel) -> list[Split]:
    """Cut expanding folds: train and stop on all bars before a stretch, report on the stretch.

    The stocks are cut at fixed dates; a shorter market into quarters of its second half.
    """
    if panel.name == STOCKS:
        at = [np.datetime64(date, "ns").astype(np.int64) for date in REPORTED_FROM]
        edges = [int(edge) for edge in np.searchsorted(panel.times, at)]
    else:
        last = len(panel.times)
        middle = first_usable() + (last - first_usable()) // 2
        edges = [int(edge) for edge in np.linspace(middle, last, N_FOLDS + 1)]
    ends = [min(edge, len(panel.times) - LABEL_BARS) for edge in edges[1:]]
    return [cut(begin, end) for begin, end in zip(edges[:-1], ends, strict=True)]


def cut(begin: int, end: int) -> Split:
    """Report on bars begin to end - 1; learn before, with the product's shares and gaps."""
    gap = LABEL_BARS + EMBARGO_BARS
    share = SHARES[0] / (SHARES[0] + SHARES[1])
    validation = first_usable() + round(share * (begin - first_usable()))
    return Split(
        training=slice(first_usable(), validation - gap),
        validation=slice(validation, begin - gap),
        held_back=slice(begin, end),
    )


def _of_closes(market: regime_data.Market) -> Panel:
    features = regime_data.features_of(market.name)
    times = market.days * (86_400 * 10**9)
    return Panel(market.name, market.symbols, times, market.close, features)


def _of_bars(name: str, path: Path, venue: str = "", newest: int | None = None) -> Panel:
    import pyarrow.parquet  # noqa: PLC0415  only with data

    frame = pyarrow.parquet.read_table(path).to_pandas()
    if venue:
        frame = frame[frame["venue"] == venue]
    columns = ("open", "high", "low", "close", "volume")
    table = frame.pivot_table(index="ts_close_ns", columns="symbol", values=list(columns))
    table = table.iloc[-newest:] if newest else table
    arrays = [np.ascontiguousarray(table[column].to_numpy(np.float64)) for column in columns]
    typical = (arrays[1] + arrays[2] + arrays[3]) / 3.0
    present = np.isfinite(np.stack(arrays)).all(axis=0)
    bars = Bars(*(np.where(present, column, np.nan) for column in (*arrays, typical)))
    symbols = tuple(str(symbol) for symbol in table["close"].columns)
    times = table.index.to_numpy(np.int64)
    return Panel(name, symbols, times, bars.close, pipeline.fold(bars))
