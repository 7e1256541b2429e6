"""Train the options, hold them against Hedge on later bars, and say which of the two serves.

The rule: Hedge serves only where it is better for certain, that is where the whole 95 % interval
of the difference of utilities lies on its side. On a tie the options serve, and Hedge stands in on
bars where they give no weights.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from models import measures
from models.arrays import Floats
from models.weights import episodes, options, policy_gradient, replay
from models.weights.controller import HEDGE, N_SPECIALISTS, OPTIONS, ControllerModel
from models.weights.episodes import Episode
from models.weights.policy_gradient import DEFAULTS, Settings
from models.weights.windows import TINY, Track

BLOCK_BARS = 60
"""A quarter of daily bars: blocks long enough for what lasts in markets and weights."""

N_DRAWS = 1_000

FEWEST_BLOCKS = 5
"""Fewer blocks of a draw say nothing about how much the draws differ."""


class Past(NamedTuple):
    """What the controller learns from, (n_bars, n_symbols, ...).

    Attributes
    ----------
    regime : (n_bars, n_symbols, 4)
    scores : (n_bars, n_symbols, 3)
        Log odds of the specialists.
    close : (n_bars, n_symbols)
        NaN where the symbol has no bar.
    positions : (n_bars, n_symbols, 3)
        What each specialist alone would hold, fractions of equity.
    next_returns : (n_bars, n_symbols)
    """

    regime: Floats
    scores: Floats
    close: Floats
    positions: Floats
    next_returns: Floats


class Choice(NamedTuple):
    """What was learned and chosen.

    Attributes
    ----------
    model : ControllerModel
        Holds the options whichever policy serves.
    episodes : list of Episode
        In the order of training.
    report : dict
        JSON values: policy, why, the difference on the validation bars, a summary of training.
    """

    model: ControllerModel
    episodes: list[Episode]
    report: dict[str, Any]


def fit(
    past: Past,
    training: slice,
    validation: slice,
    *,
    seed: int,
    settings: Settings = DEFAULTS,
    progress: Callable[[float], None] = lambda _: None,
) -> Choice:
    """Train on one stretch of bars and choose on a later one.

    Parameters
    ----------
    past : Past
    training, validation : slice
        Of bars. Both policies are folded from the first bar on, so that they are warm.
    seed : int
        The same seed and past give the same bytes on one machine.
    settings : Settings
    progress : callable
        Called with the finished share of training, in [0, 1].

    Returns
    -------
    Choice

    Raises
    ------
    ShapeError
        If the arrays do not belong together.
    HistoryTooShort
        If no training bar has scores and a next return.
    """
    trusting = ControllerModel(policy=HEDGE, max_change_fraction=settings.max_change_fraction)
    course = replay.replay(trusting, past.regime, past.scores, past.close)
    coefficients, learned = policy_gradient.fit(
        _track(past, course.log_performance, training),
        seed=seed,
        settings=settings,
        progress=progress,
    )
    skilled = trusting._replace(policy=OPTIONS, **coefficients._asdict())
    served = replay.replay(skilled, past.regime, past.scores, past.close)
    learned_book, trusting_book = (
        net_returns(past, each.weights, settings.cost_fraction)[validation]
        for each in (served, course)
    )
    gain = _gain(learned_book, trusting_book, settings)
    hedged = gain["interval"] is not None and gain["interval"][1] < 0.0
    report = {
        "policy": "hedge" if hedged else "options",
        "rule": "hedge only if the 95 % interval of the difference lies below zero",
        "validation": gain,
        "training": episodes.summary(learned),
    }
    return Choice(skilled._replace(policy=HEDGE) if hedged else skilled, learned, report)


def net_returns(past: Past, weights: Floats, cost_fraction: float) -> Floats:
    """Return of each symbol's own book from each bar to the next, after costs.

    Parameters
    ----------
    past : Past
    weights : (n_bars, n_symbols, 3)
    cost_fraction : float
        For every unit of equity traded to reach the bar's position; the first position is free.

    Returns
    -------
    (n_bars, n_symbols)
        NaN where a position or the return is unknown.
    """
    held = (weights * past.positions).sum(axis=2)
    traded = np.abs(np.diff(held, axis=0, prepend=held[:1]))
    net: Floats = held * past.next_returns - cost_fraction * np.nan_to_num(traded)
    return net


def _track(past: Past, log_performance: Floats, training: slice) -> Track:
    part = past.regime[training][..., :N_SPECIALISTS]
    known = np.all(np.isfinite(part), axis=2) & np.all(np.isfinite(log_performance[training]), 2)
    seen = np.full((*known.shape, len(options.FEATURES)), np.nan)
    seen[known] = options.features(part[known], log_performance[training][known])
    silent = np.any(~np.isfinite(past.scores[training]), axis=2)
    positions = np.where(silent[..., None], np.nan, past.positions[training])
    return Track(seen, positions, past.next_returns[training])


def _gain(first: Floats, second: Floats, settings: Settings) -> dict[str, Any]:
    """Compare utilities of two books, per bar, in risks of the second."""
    known = np.isfinite(first) & np.isfinite(second)
    n_known = known.sum(axis=1)
    bars = n_known > 0
    if not bars.any():
        return {"difference": None, "interval": None, "n_bars": 0}
    books = [
        np.where(known, each, 0.0)[bars].sum(axis=1) / n_known[bars] for each in (first, second)
    ]
    risk = max(float(np.sqrt((books[1] ** 2).mean())), TINY)
    better, worse = (
        book / risk - 0.5 * settings.risk_aversion * (book / risk) ** 2 for book in books
    )
    n = int(bars.sum())
    by_bar = better - worse
    found: dict[str, Any] = {"difference": float(by_bar.mean()), "interval": None, "n_bars": n}
    # A circular block as long as the history is the history: its draws would all be equal.
    block_bars = min(BLOCK_BARS, n // FEWEST_BLOCKS)
    if block_bars > 0:
        counts = measures.block_counts(n, block_bars=block_bars, n_draws=N_DRAWS, seed=BLOCK_BARS)
        found["interval"] = list(measures.interval(counts @ by_bar / n))
    return found
