"""Arms of the controller studies: what weighs the specialists, and the figures of its book."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models import measures, simplex
from models.weights import choice, hedge, options, replay
from models.weights.choice import Past
from models.weights.controller import BLEND, HEDGE, OPTIONS, ControllerModel

Floats = npt.NDArray[np.float64]

LEARNED, HARD, SOFT, EQUAL = "options", "hard routing", "soft regime, smoothed", "equal weights"
CONSTANT, HINDSIGHT = "constant blend, fitted", "best single, in hindsight"
TRUSTING, EARNING, PRODUCT = "Hedge", "Hedge on earnings", "regime times Hedge"
COST = 0.0005
BARS_PER_YEAR = 252

# Of the reference study; no forgetting.
_EARNING_RATE = 0.05
_GRID = 10


class Walk(NamedTuple):
    """One seed's arms on one set of specialists: weights (n_bars, n_symbols, 3) by arm.

    ``seconds``: how long the controller took to train and to be chosen, None if not by itself.
    """

    seed: int
    past: Past
    test: slice
    labels: npt.NDArray[np.int64]
    arms: dict[str, Floats]
    model: ControllerModel
    report: dict[str, Any]
    use: dict[str, Any]
    best_single: int
    seconds: float | None = None


def walk(seed: int, past: Past, hard: Floats, parts: tuple[slice, slice], learned: Any) -> Walk:  # noqa: ANN401  a Choice, or a model with its report
    """Follow every arm through all bars; ``hard`` (n_bars, n_symbols, 3) is what routing obeys."""
    training, test = parts
    n_bars, n_symbols, k = past.scores.shape
    known = np.isfinite(hard).all(axis=2, keepdims=True)
    shape = (n_bars, n_symbols, k)
    course = _course(learned.model, OPTIONS, past)
    arms = {
        LEARNED: course.weights,
        HARD: np.where(known, np.eye(k)[np.nan_to_num(hard).argmax(axis=2)], np.nan),
        SOFT: past.regime[..., :k],
        EQUAL: np.full(shape, 1.0 / k),
        CONSTANT: np.broadcast_to(_constant(past, training), shape),
        TRUSTING: _course(learned.model, HEDGE, past).weights,
        EARNING: _earning(past, training),
        PRODUCT: _course(learned.model, BLEND, past).weights,
    }
    singles = [np.broadcast_to(vertex, shape) for vertex in np.eye(k)]
    ratios = [sharpes(net(past, single)[test]).mean() for single in singles]
    best = int(np.argmax(ratios))
    arms[HINDSIGHT] = singles[best]
    labels = np.where(known[..., 0], np.nan_to_num(hard).argmax(axis=2), -1)
    use = _use(learned.model, past, course, test)
    return Walk(seed, past, test, labels, arms, learned.model, learned.report, use, best)


def _course(model: ControllerModel, policy: int, past: Past) -> replay.Replay:
    return replay.replay(model._replace(policy=policy), past.regime, past.scores, past.close)


def net(past: Past, weights: Floats, cost: float = COST) -> Floats:
    """Return of each symbol's book per bar, after costs."""
    return choice.net_returns(past, weights, cost)


def sharpes(returns: Floats, counts: Floats | None = None) -> Floats:
    """Sharpe ratio of each asset; of each draw and asset with ``counts``."""
    once = np.ones((1, len(returns)))
    return measures.resampled_sharpe(once if counts is None else counts, returns, BARS_PER_YEAR)


def moves(walked: Walk, arm: str) -> tuple[Floats, np.ndarray, np.ndarray]:
    """Disruption per bar of the blended books, hard flips, own flips; assets one by one."""
    parts = []
    for symbol in range(walked.past.close.shape[1]):
        weights = walked.arms[arm][walked.test, symbol]
        held = walked.past.positions[walked.test, symbol]
        parts.append(
            (
                measures.moved(weights, np.stack([held, 1.0 - held], axis=2)),
                measures.flips(walked.labels[walked.test, symbol]),
                measures.flips(weights.argmax(axis=1)),
            )
        )
    first, second, third = (np.concatenate(column) for column in zip(*parts, strict=True))
    known = np.isfinite(first)
    return first[known], second[known], third[known]


def mixture_moved(walked: Walk, arm: str) -> float:
    """Mean half L1 step of the weights at the flips of the hard label."""
    weights = walked.arms[arm][walked.test]
    steps = 0.5 * np.abs(np.diff(weights, axis=0)).sum(axis=2)
    flips = np.stack([measures.flips(column) for column in walked.labels[walked.test].T], axis=1)
    return float(np.nanmean(steps[flips[1:]]))


def _constant(past: Past, training: slice) -> Floats:
    """Find the fixed weights, in tenths, with the best Sharpe ratio on the training bars."""
    mixes = [
        np.array([a, b, _GRID - a - b]) / _GRID
        for a in range(_GRID + 1)
        for b in range(_GRID + 1 - a)
    ]
    early = Past(*(column[training] for column in past))
    ratios = [sharpes(net(early, np.broadcast_to(mix, early.scores.shape))).mean() for mix in mixes]
    return mixes[int(np.argmax(ratios))]


def _earning(past: Past, training: slice) -> Floats:
    """Follow Hedge on what the specialists earned, in units of the training bars' usual size."""
    size = np.sqrt(np.nanmean(past.next_returns[training] ** 2, axis=0))
    weights = np.empty(past.scores.shape)
    performance = np.zeros(past.scores.shape[1:])
    for bar in range(len(weights)):
        if bar:
            earned = past.positions[bar - 1] * past.next_returns[bar - 1][:, None] / size[:, None]
            performance = hedge.fold(
                performance, -earned, learning_rate=_EARNING_RATE, half_life_bars=math.inf
            )
        weights[bar] = hedge.weights(performance)
    return weights


def _use(model: ControllerModel, past: Past, course: replay.Replay, test: slice) -> dict[str, Any]:
    """Sum up how the options were used on the test bars."""
    k = course.weights.shape[2]
    before = slice(test.start - 1, test.stop - 1)
    previous, weights = course.weights[before].reshape(-1, k), course.weights[test].reshape(-1, k)
    seen = options.features(
        past.regime[test][..., :k].reshape(-1, k), course.log_performance[test].reshape(-1, k)
    )
    alive = np.isfinite(past.scores[test].reshape(-1, k))
    alive |= ~alive.any(axis=1, keepdims=True)
    ending = options.termination(model.termination, seen, alive)
    chosen = options.selection(model.selection, seen, alive)
    gap = simplex.distance(previous, options.occupancy(previous, ending, chosen))
    share = model.max_change_fraction / np.maximum(gap, model.max_change_fraction)
    ended = (share[:, None] * ending * previous).sum(axis=0)
    used = weights.mean(axis=0)
    return {
        "usage": used.round(4).tolist(),
        "usage_entropy": float(simplex.entropy_bits(used[None])[0] / math.log2(k)),
        "entropy_of_a_bar": float(simplex.entropy_bits(weights).mean() / math.log2(k)),
        "length_bars": (weights.sum(axis=0) / ended).round(1).tolist(),
        "at_the_limit": float((share < 1.0).mean()),
        "collapsed": float(options.collapsed(course.state.occupied_bars).mean()),
        "repairs": int(course.state.repairs.sum()),
        "fallbacks": int(course.state.fallbacks.sum()),
    }
