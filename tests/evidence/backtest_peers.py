"""The same decisions in backtesting.py's own way: one symbol, indicators first, then bar by bar.

It is given more than its users have: our 60 features, computed for the whole series at once, and
the same models as functions. What is left is its own loop: the row of indicators, regime,
specialists, weights, target, a limit on one asset, orders.
"""

import contextlib
import io
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from models.features import pipeline
from models.features.bars import Bars
from models.features.catalogue import NAMES
from models.model_set import ModelSet
from models.prediction.ensemble import predict
from models.regime import posterior
from models.specialists import serving, window
from models.weights import controller

_ROW = np.array([0])
_CASH = 1_000_000.0
_MAX_ASSET_FRACTION = 0.25


class Peer(NamedTuple):
    """What a bar took on the processor, and the targets that the peer came to."""

    processor_us_per_bar: float
    targets: np.ndarray


class _Chain:
    """The models of one symbol, bar by bar."""

    def __init__(self, models: ModelSet) -> None:
        self.models = models
        self.belief = posterior.initial_state(1)
        self.looked_back = window.initial_state(1)
        self.remembered = controller.initial_state(1)

    def step(self, features: np.ndarray, close: float) -> float:
        """Return the target of one bar."""
        row = features[None]
        self.belief, regime = posterior.step(self.models.regime, self.belief, _ROW, row)
        self.looked_back, scores = serving.step(
            self.models.specialists, self.looked_back, _ROW, row
        )
        self.remembered, weights = controller.step(
            self.models.controller, self.remembered, _ROW, regime, scores, np.array([close])
        )
        _, _, target = predict(self.models.ensemble, row, scores, weights)
        return float(target[0])


def backtesting_py(models: ModelSet, bars: Bars) -> Peer:
    """Run one symbol; ``bars`` has columns of shape (n_bars,)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from backtesting import Backtest, Strategy  # noqa: PLC0415  the extra `bench`

    targets: list[float] = []

    class Written(Strategy):  # type: ignore[misc]  it has no types
        """The strategy as its documentation shows one: indicators in init, orders in next."""

        def init(self) -> None:
            """Compute all indicators, and let the models see the bars that warm up."""
            columns = Bars(*(column[:, None] for column in bars))
            features = pipeline.fold(columns)[:, 0]
            # It cuts what is an attribute of the strategy to the bars so far, and nothing else.
            for name, values in zip(NAMES, features.T, strict=True):
                setattr(self, name, self.I(lambda values=values: values, name=name, plot=False))
            self.chain = _Chain(models)
            # It calls next from the second bar on which all indicators are there.
            first = int(np.argmax(np.isfinite(features).all(axis=1)))
            closes = bars.close.tolist()
            targets.extend(self.chain.step(features[bar], closes[bar]) for bar in range(first + 1))

        def next(self) -> None:
            """Decide one bar."""
            row = np.array([getattr(self, name)[-1] for name in NAMES])
            close = float(self.data.Close[-1])
            target = self.chain.step(row, close)
            targets.append(target)
            wanted = min(max(target, 0.0), _MAX_ASSET_FRACTION) * self.equity
            change = int((wanted - self.position.size * close) / close)
            if change > 0:
                self.buy(size=change)
            elif change < 0:
                self.sell(size=-change)

    frame = pd.DataFrame(
        {
            "Open": bars.open,
            "High": bars.high,
            "Low": bars.low,
            "Close": bars.close,
            "Volume": bars.volume,
        },
        index=pd.date_range("2024-01-01", periods=len(bars.close), freq="min"),
    )
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        test: Any = Backtest(frame, Written, cash=_CASH, commission=0.0, exclusive_orders=False)
        started = time.process_time()
        test.run()
        took_s = time.process_time() - started
    return Peer(1e6 * took_s / len(bars.close), np.array(targets))
