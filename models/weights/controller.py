"""The controller: how much each specialist counts for a symbol at a bar.

Three policies share one state and one protocol. OPTIONS is learned (``models.weights.options``),
HEDGE trusts who has been right lately and stands in where the learned one fails, and BLEND
multiplies Hedge with the regime probabilities. The weights walk towards what a policy wants by a
limited step per bar, because every step moves the book. For options that is a bound on how much of
the occupancy may end in one bar: scaling all termination probabilities by one factor scales the
step by the same.
"""

from typing import NamedTuple

import numpy as np

from models import simplex
from models.arrays import Floats, Indices, Mask
from models.errors import NotFitted, ShapeError
from models.weights import hedge, options

N_SPECIALISTS = 3

BLEND, HEDGE, OPTIONS = 0, 1, 2
"""Values of ``ControllerModel.policy``."""

_WITHOUT_OPTIONS = np.zeros((N_SPECIALISTS, len(options.FEATURES)))
_WITHOUT_OPTIONS.flags.writeable = False


class ControllerModel(NamedTuple):
    """Parameters of the controller.

    Attributes
    ----------
    learning_rate : float
        Hedge rate. Squared errors of probabilities are mixable up to the rate two (Vovk 1998).
    max_change_fraction : float
        Largest half L1 distance between the weights of consecutive bars.
    floor : float
        Least weight of a living specialist before the limit, so that none is beyond recall.
    half_life_bars : float
        Forgetting of past losses, and of usage and endings.
    policy : int
        ``BLEND``, ``HEDGE`` or ``OPTIONS``.
    selection, termination : (3, 8)
        Coefficients of the options; see ``options.selection`` and ``options.termination``.
    """

    learning_rate: float = 2.0
    max_change_fraction: float = 0.05
    floor: float = 0.02
    half_life_bars: float = 63.0
    policy: int = BLEND
    selection: Floats = _WITHOUT_OPTIONS
    termination: Floats = _WITHOUT_OPTIONS


class ControllerState(NamedTuple):
    """What a fold over bars remembers.

    Attributes
    ----------
    weights : (n_symbols, 3)
        On the simplex; the options' occupancy.
    log_performance : (n_symbols, 3)
        Log weights by past performance, the best of a row at zero.
    last_scores : (n_symbols, 3)
        Log odds given at the last bar; NaN before the first.
    last_close : (n_symbols,)
        Price at the last bar; NaN before the first.
    repairs : (n_symbols,)
        int64 count of bars whose probabilities or weights had to be brought onto the simplex.
    fallbacks : (n_symbols,)
        int64 count of bars on which the options gave no weights and Hedge stood in.
    occupied_bars : (n_symbols, 3)
        Discounted sum of the weights; ``options.usage`` and ``options.collapsed`` read it.
    endings : (n_symbols, 3)
        Discounted sum of the occupancy that ended; ``options.length_bars`` reads both.
    """

    weights: Floats
    log_performance: Floats
    last_scores: Floats
    last_close: Floats
    repairs: Indices
    fallbacks: Indices
    occupied_bars: Floats
    endings: Floats


def initial_state(n_symbols: int) -> ControllerState:
    """Start every symbol at equal weights and without a past.

    Examples
    --------
    >>> initial_state(1).log_performance.tolist()
    [[0.0, 0.0, 0.0]]
    """
    return ControllerState(
        weights=simplex.uniform(n_symbols, N_SPECIALISTS),
        log_performance=np.zeros((n_symbols, N_SPECIALISTS)),
        last_scores=np.full((n_symbols, N_SPECIALISTS), np.nan),
        last_close=np.full(n_symbols, np.nan),
        repairs=np.zeros(n_symbols, np.int64),
        fallbacks=np.zeros(n_symbols, np.int64),
        occupied_bars=np.zeros((n_symbols, N_SPECIALISTS)),
        endings=np.zeros((n_symbols, N_SPECIALISTS)),
    )


def target(
    model: ControllerModel, probabilities: Floats, log_performance: Floats, alive: Mask
) -> Floats:
    """Combine regime and performance: w_k proportional to p_k exp(L_k), over living specialists.

    Parameters
    ----------
    model : ControllerModel
    probabilities : (n, 3)
        Regime probabilities, on the simplex.
    log_performance : (n, 3)
    alive : (n, 3)
        At least one true in each row.

    Returns
    -------
    (n, 3)
        On the simplex, zero for the dead; NaN where ``log_performance`` holds a NaN.

    Examples
    --------
    >>> thirds, alive = np.full((1, 3), 1 / 3), np.array([[True, True, False]])
    >>> target(ControllerModel(), thirds, np.zeros((1, 3)), alive).tolist()
    [[0.5, 0.5, 0.0]]
    """
    product = np.where(alive, probabilities * hedge.weights(log_performance), 0.0)
    total = simplex.row_sum(product)[:, None]
    n_alive = simplex.row_sum(alive.astype(np.float64))[:, None]
    # A regime without a living specialist says nothing about the others: they share equally.
    share = np.where(total == 0.0, 1.0 / n_alive, product / np.where(total == 0.0, 1.0, total))
    return np.where(alive, model.floor + (1.0 - model.floor * n_alive) * share, 0.0)


def step(
    model: ControllerModel,
    state: ControllerState,
    rows: Indices,
    regime: Floats,
    scores: Floats,
    close: Floats,
) -> tuple[ControllerState, Floats]:
    """Fold one slice into the weights of its symbols.

    Performance comes from the scores of the previous bar and the move to this close; this bar's
    scores tell who is alive and are kept for the next.

    Parameters
    ----------
    model : ControllerModel
    state : ControllerState
        Not changed.
    rows : (n,)
        Each row's symbol, without repetition.
    regime : (n, 4)
        bull, bear, sideways, entropy. Probabilities off the simplex are normalised, or uniform
        where that is impossible, and count as a repair.
    scores : (n, 3)
        Log odds by specialist. A NaN takes the specialist out at once, past the limit on change;
        in a row of NaN (warming up) all three count as living.
    close : (n,)
        A price that is not finite and positive judges nobody and is not remembered.

    Returns
    -------
    state : ControllerState
    weights : (n, 3)
        Finite, sum one within 1e-9.

    Raises
    ------
    ShapeError
        If the arrays do not belong together.
    NotFitted
        If the model names no policy, or its options do not fit the features.
    """
    _check(model, rows, regime, scores, close)
    probabilities = simplex.repaired(regime[:, :N_SPECIALISTS])
    priced = np.isfinite(close) & (close > 0.0)
    performance = hedge.fold(
        state.log_performance[rows],
        hedge.losses(
            state.last_scores[rows], np.where(priced, close, np.nan) - state.last_close[rows]
        ),
        learning_rate=model.learning_rate,
        half_life_bars=model.half_life_bars,
    )
    alive = np.isfinite(scores)
    alive |= ~np.any(alive, axis=1)[:, None]
    previous = state.weights[rows]
    wanted = _wanted(model, previous, probabilities, performance, alive)
    walked = _walk(model, previous, wanted.weights, alive)
    weights = simplex.repaired(walked)
    repairs = simplex.off_simplex(regime[:, :N_SPECIALISTS]) | simplex.off_simplex(walked)
    after = ControllerState._make(array.copy() for array in state)
    after.weights[rows] = weights
    after.log_performance[rows] = performance
    after.last_scores[rows[priced]] = scores[priced]
    after.last_close[rows[priced]] = close[priced]
    after.repairs[rows] += repairs
    after.fallbacks[rows] += wanted.fell_back
    kept = 2.0 ** (-1.0 / model.half_life_bars)
    ended = _ended(previous, weights, wanted)
    after.occupied_bars[rows] = kept * state.occupied_bars[rows] + weights
    after.endings[rows] = kept * state.endings[rows] + ended
    return after, weights


class _Wanted(NamedTuple):
    """What a policy wants: (n, 3) weights, (n, 3) occupancy that would end, (n,) fallback."""

    weights: Floats
    ending: Floats
    fell_back: Mask


def _wanted(
    model: ControllerModel,
    previous: Floats,
    probabilities: Floats,
    performance: Floats,
    alive: Mask,
) -> _Wanted:
    never, nowhere = np.zeros(previous.shape), np.zeros(len(previous), np.bool_)
    if model.policy == BLEND:
        return _Wanted(target(model, probabilities, performance, alive), never, nowhere)
    indifferent = simplex.uniform(len(previous), N_SPECIALISTS)
    trusted = target(model, indifferent, performance, alive)
    if model.policy == HEDGE:
        return _Wanted(trusted, never, nowhere)
    seen = options.features(probabilities, performance)
    ending = options.termination(model.termination, seen, alive)
    chosen = options.selection(model.selection, seen, alive)
    learned = options.occupancy(previous, ending, chosen)
    failed = simplex.off_simplex(learned)
    return _Wanted(
        np.where(failed[:, None], trusted, learned),
        np.where(failed[:, None], 0.0, ending * previous),
        failed,
    )


def _ended(previous: Floats, weights: Floats, wanted: _Wanted) -> Floats:
    """Scale what would have ended by the share of the way that was walked."""
    gap = simplex.distance(previous, wanted.weights)
    walked = simplex.distance(previous, weights)
    share = np.where(gap > 0.0, np.minimum(walked / np.where(gap > 0.0, gap, 1.0), 1.0), 1.0)
    return np.where(np.isfinite(share)[:, None], share[:, None] * wanted.ending, 0.0)


def _walk(model: ControllerModel, previous: Floats, wanted: Floats, alive: Mask) -> Floats:
    limited = simplex.limited(previous, wanted, model.max_change_fraction)
    survivors = np.where(alive, limited, 0.0)
    total = simplex.row_sum(survivors)[:, None]
    heirs = np.where(total > 0.0, survivors / np.where(total > 0.0, total, 1.0), wanted)
    return np.where(np.all(alive, axis=1)[:, None], limited, heirs)


def _check(
    model: ControllerModel, rows: Indices, regime: Floats, scores: Floats, close: Floats
) -> None:
    if model.policy not in {BLEND, HEDGE, OPTIONS}:
        raise NotFitted(f"policy must be {BLEND}, {HEDGE} or {OPTIONS}, was {model.policy}")
    fitted, wanted_shape = (model.selection.shape, model.termination.shape), _WITHOUT_OPTIONS.shape
    if fitted != (wanted_shape, wanted_shape):
        raise NotFitted(f"selection and termination must be {wanted_shape}, was {fitted}")
    n = len(rows)
    wanted = ((n,), (n, N_SPECIALISTS + 1), (n, N_SPECIALISTS), (n,))
    shapes = (rows.shape, regime.shape, scores.shape, close.shape)
    if shapes != wanted:
        raise ShapeError(f"rows, regime, scores, close must be {wanted}, was {shapes}")
