"""Past performance of the specialists as log weights: Hedge with forgetting.

Hedge (Freund and Schapire 1997) multiplies the weight of each expert by exp(-rate * loss). For
losses in [0, 1] and without forgetting, its total loss exceeds the best expert's by at most
ln(K) / rate + rate * T / 8 over T bars. Forgetting lets it follow a change of the best expert.
"""

import math

import numpy as np

from models import simplex
from models.arrays import Floats


def losses(scores: Floats, moves: Floats) -> Floats:
    """Squared error of each specialist's probability that the bar closes up (Brier 1950).

    Parameters
    ----------
    scores : (n, K)
        Log odds given at the previous bar.
    moves : (n,)
        Change of price to the bar that has just closed, or its return: only the sign counts, and
        zero counts as half up.

    Returns
    -------
    (n, K)
        In [0, 1]; NaN where the score or the move is NaN.

    Examples
    --------
    >>> losses(np.array([[0.0, 1e6, -1e6]]), np.array([0.01])).tolist()
    [[0.25, 0.0, 1.0]]
    """
    happened = 0.5 + 0.5 * np.sign(moves)
    return (simplex.sigmoid(scores) - happened[:, None]) ** 2


def fold(
    log_performance: Floats, loss: Floats, *, learning_rate: float, half_life_bars: float
) -> Floats:
    """Add one bar's losses to the log weights.

    L <- L 2^(-1 / half_life_bars) - learning_rate * loss. A constant added to a row changes no
    weight, so each row is shifted to have the maximum zero.

    Parameters
    ----------
    log_performance : (n, K)
        Finite.
    loss : (n, K)
        A NaN loss leaves that specialist at the average of the row's known losses, or the whole row
        as it is where none is known.
    learning_rate : float
    half_life_bars : float
        Infinity forgets nothing.

    Returns
    -------
    (n, K)

    Examples
    --------
    >>> fold(np.zeros((1, 2)), np.array([[0.0, 1.0]]), learning_rate=0.5, half_life_bars=9.0)
    array([[ 0. , -0.5]])
    """
    known = np.isfinite(loss)
    n_known = simplex.row_sum(known.astype(np.float64))
    total = simplex.row_sum(np.where(known, loss, 0.0))
    average = total / np.maximum(n_known, 1.0)
    complete = np.where(known, loss, average[:, None])
    kept = math.exp(-math.log(2.0) / half_life_bars)
    moved = kept * log_performance - learning_rate * complete
    moved -= moved.max(axis=1)[:, None]
    return np.where((n_known > 0.0)[:, None], moved, log_performance)


def weights(log_performance: Floats) -> Floats:
    """Turn log weights into weights; (n, K) to (n, K) on the simplex.

    Examples
    --------
    >>> weights(np.log(np.array([[1.0, 3.0]]))).tolist()
    [[0.25, 0.75]]
    """
    return simplex.softmax(log_performance)
