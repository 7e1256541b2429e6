"""The controller: how much each specialist counts for a symbol at a bar.

Two opinions meet on the simplex: the regime probabilities (which specialist is meant for this
market) and Hedge (which one has been right lately). Their product is the target; the weights walk
towards it by a limited step per bar, because every step moves the book.
"""

from typing import NamedTuple

import numpy as np

from models import simplex
from models.arrays import Floats, Indices, Mask
from models.errors import ShapeError
from models.weights import hedge

N_SPECIALISTS = 3


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
        Forgetting of past losses.
    """

    learning_rate: float = 2.0
    max_change_fraction: float = 0.05
    floor: float = 0.02
    half_life_bars: float = 63.0


class ControllerState(NamedTuple):
    """What a fold over bars remembers.

    Attributes
    ----------
    weights : (n_symbols, 3)
        On the simplex.
    log_performance : (n_symbols, 3)
        Log weights by past performance, the best of a row at zero.
    last_scores : (n_symbols, 3)
        Log odds given at the last bar; NaN before the first.
    last_close : (n_symbols,)
        Price at the last bar; NaN before the first.
    repairs : (n_symbols,)
        int64 count of bars whose probabilities or weights had to be brought onto the simplex.
    """

    weights: Floats
    log_performance: Floats
    last_scores: Floats
    last_close: Floats
    repairs: Indices


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
    """
    _check_shapes(rows, regime, scores, close)
    probabilities = regime[:, :N_SPECIALISTS]
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
    wanted = target(model, simplex.repaired(probabilities), performance, alive)
    walked = _walk(model, state.weights[rows], wanted, alive)
    weights = simplex.repaired(walked)
    repairs = simplex.off_simplex(probabilities) | simplex.off_simplex(walked)
    after = ControllerState(
        weights=state.weights.copy(),
        log_performance=state.log_performance.copy(),
        last_scores=state.last_scores.copy(),
        last_close=state.last_close.copy(),
        repairs=state.repairs.copy(),
    )
    after.weights[rows] = weights
    after.log_performance[rows] = performance
    after.last_scores[rows[priced]] = scores[priced]
    after.last_close[rows[priced]] = close[priced]
    after.repairs[rows] += repairs
    return after, weights


def _walk(model: ControllerModel, previous: Floats, wanted: Floats, alive: Mask) -> Floats:
    limited = simplex.limited(previous, wanted, model.max_change_fraction)
    survivors = np.where(alive, limited, 0.0)
    total = simplex.row_sum(survivors)[:, None]
    heirs = np.where(total > 0.0, survivors / np.where(total > 0.0, total, 1.0), wanted)
    return np.where(np.all(alive, axis=1)[:, None], limited, heirs)


def _check_shapes(rows: Indices, regime: Floats, scores: Floats, close: Floats) -> None:
    n = len(rows)
    wanted = ((n,), (n, N_SPECIALISTS + 1), (n, N_SPECIALISTS), (n,))
    shapes = (rows.shape, regime.shape, scores.shape, close.shape)
    if shapes != wanted:
        raise ShapeError(f"rows, regime, scores, close must be {wanted}, was {shapes}")
