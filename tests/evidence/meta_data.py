"""Real specialists for the controller study: 20 stocks and their index, 1990 to 2022, daily.

Three simple ones, stated in full, and the system's own three networks with their sized bets.
"""

import time
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models import training
from models.features.catalogue import NAMES
from models.history import BarHistory
from models.model_set import ModelSet
from models.prediction import ensemble
from models.prepared import prepare
from models.regime import mixture, posterior
from models.specialists import serving, window
from models.specialists.split import EMBARGO_BARS
from models.weights import choice
from models.weights.choice import Past
from tests.evidence.meta_arms import Floats, Walk, walk
from tests.evidence.regime_data import COLUMNS, features_of, first_usable, index, stocks

SIMPLE, OWN = "simple specialists", "own networks"
TEST_FROM = np.datetime64("2008-01-01")
VALIDATION_BARS = 756

# Log odds of a specialist that is all in: 55 % against 45 %.
FULL_SCORE = 0.2
TREND_BARS, REVERSION_BARS = 200, 5

_DAY_NS = 86_400 * 10**9


class Stretches(NamedTuple):
    """Bars to learn from, to choose on, and to test on, with an embargo between them."""

    training: slice
    validation: slice
    test: slice


@cache
def closes() -> Floats:
    """Give the stocks' closes and the index beside them, (n_bars, 21)."""
    return np.concatenate([stocks().close, index().close], axis=1)


@cache
def features() -> Floats:
    """Give the pipeline's features of all of them."""
    return np.concatenate([features_of(stocks().name), features_of(index().name)], axis=1)


def stretches() -> Stretches:
    """Cut the days: test from 2008 on, validation the three years before."""
    days = stocks().days
    begin = int(np.searchsorted(days, TEST_FROM.astype("datetime64[D]").astype(np.int64)))
    middle = begin - VALIDATION_BARS
    return Stretches(
        slice(first_usable(), middle - EMBARGO_BARS - 1),
        slice(middle, begin - EMBARGO_BARS - 1),
        slice(begin, len(days) - 1),
    )


def simple_walk(seed: int) -> Walk:
    """Fit the regimes and the controller on bars before 2008, and follow all arms."""
    parts = stretches()
    model = mixture.fit(features()[: parts.validation.stop], columns=COLUMNS, seed=seed)
    raw, regime = _regimes(model, features())
    past = Past(regime, *_simple(), next_returns(closes()))
    began = time.perf_counter()
    learned = choice.fit(past, parts.training, parts.validation, seed=seed)
    seconds = time.perf_counter() - began
    walked = walk(seed, past, raw, (parts.training, parts.test), learned)
    return walked._replace(seconds=seconds)


def own_walk(seed: int) -> Walk:
    """Fit the whole system on the stocks' bars before 2008, and follow all arms."""
    parts, close = stretches(), stocks().close
    history = prepare(_history(parts.validation.stop))
    models = training.fit(history, timeframe="1day", seed=seed, progress=lambda *_: None)
    known = features_of(stocks().name)
    raw, regime = _regimes(models.regime, known)
    scores = _own_scores(models.specialists, known)
    flat = known.reshape(-1, known.shape[2])
    positions = _bets(models, flat, scores.reshape(-1, 3)).reshape(*close.shape, 3)
    past = Past(regime, scores, close, positions, next_returns(close))
    learned = choice.Choice(models.controller, [], models.metadata["controller"])
    return walk(seed, past, raw, (parts.training, parts.test), learned)


def _simple() -> tuple[Floats, Floats, Floats]:
    """Give scores, closes and positions of long, trend-defensive and mean reversion."""
    close = closes()
    volatility = features()[..., NAMES.index("volatility_21")]
    average = np.full(close.shape, np.nan)
    window = np.lib.stride_tricks.sliding_window_view(close, TREND_BARS, axis=0)
    average[TREND_BARS - 1 :] = window.mean(axis=2)
    stretch = np.full(close.shape, np.nan)
    moved = np.log(close[REVERSION_BARS:] / close[:-REVERSION_BARS])
    usual = volatility[REVERSION_BARS:] * np.sqrt(REVERSION_BARS)
    stretch[REVERSION_BARS:] = moved / np.where(usual > 0.0, usual, np.inf)
    views = np.stack(
        [np.ones(close.shape), np.where(close > average, 1.0, -1.0), -np.clip(stretch, -1, 1)], 2
    )
    unknown = ~np.isfinite(average) | ~np.isfinite(stretch)
    views[unknown] = np.nan
    return FULL_SCORE * views, close, np.maximum(views, 0.0)


def _own_scores(specialists: serving.Specialists, known: Floats) -> Floats:
    n_bars, n_symbols, _ = known.shape
    scores, rows = np.full((n_bars, n_symbols, 3), np.nan), np.arange(n_symbols)
    state = window.initial_state(n_symbols)
    for bar in range(n_bars):
        state, scores[bar] = serving.step(specialists, state, rows, known[bar])
    return scores


def _bets(models: ModelSet, flat: Floats, scores: Floats) -> Floats:
    alone = [
        ensemble.predict(models.ensemble, flat, scores, np.tile(vertex, (len(flat), 1)))[2]
        for vertex in np.eye(3)
    ]
    return np.maximum(np.stack(alone, axis=1), 0.0)


def _regimes(model: posterior.RegimeModel, known: Floats) -> tuple[Floats, Floats]:
    """Give the raw posterior and the served one, bar by bar."""
    n_bars, n_symbols, _ = known.shape
    raw, regime = np.full((n_bars, n_symbols, 3), np.nan), np.full((n_bars, n_symbols, 4), np.nan)
    state, rows = posterior.initial_state(n_symbols), np.arange(n_symbols)
    for bar in range(n_bars):
        raw[bar] = posterior.posterior(model, known[bar][:, COLUMNS])
        state, regime[bar] = posterior.step(model, state, rows, known[bar])
    return raw, regime


def _history(stop: int) -> BarHistory:
    market = stocks()
    close = market.close[:stop]
    times: npt.NDArray[np.int64] = market.days[:stop] * _DAY_NS
    silent = np.where(np.isnan(close), np.nan, 0.0)
    return BarHistory(market.symbols, times, close, close, close, close, silent, close)


def next_returns(close: Floats) -> Floats:
    """Return of each bar's next bar, NaN in the last."""
    returns = np.full(close.shape, np.nan)
    returns[:-1] = close[1:] / close[:-1] - 1.0
    return returns
