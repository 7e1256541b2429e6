"""Score rows with the trained specialists, in numpy.

The networks are small enough that a framework costs more than the arithmetic. Rows go through in
tiles of a fixed size, padded with zeros, because a matrix product may round differently for other
shapes: so a row's score depends neither on its company nor on its position.
"""

import math
from typing import NamedTuple

import numpy as np

from models.arrays import Floats, Indices, Mask
from models.errors import ShapeError
from models.regime.posterior import REGIMES
from models.specialists import window
from models.specialists.window import ATTENDED, COLUMNS, LENGTH_BARS, WindowState

TILE_ROWS = 32
"""A multiple of the row blocks of the usual matrix kernels; a single row pays for a whole tile."""


class Specialists(NamedTuple):
    """Networks with an attention layer, a few members to each regime, and their inputs' scaling.

    A network asks the last L bars a question made of the current bar's features (scaled dot-product
    attention, Vaswani et al. 2017, with a bias for each lag); the answer of D numbers joins the
    features at the foot of an F + D-64-32-1 network of rectified units. The first axis of the
    weights is the network, N of them: the members of the first of ``REGIMES``, then the second's,
    then the third's.

    Attributes
    ----------
    mean, scale : (F,)
        Inputs are standardised as (x - mean) / scale, those of the window as well.
    clip : float
        Standardised inputs are held within plus and minus this many scales.
    query_weights : (N, F, D)
    query_biases : (N, D)
    key_weights : (N, 8, D)
        Of the features ``window.ATTENDED``; a bias of the keys would not change the attention.
    lag_biases : (N, L)
        The oldest bar first.
    value_weights : (N, 8, D)
    value_biases : (N, D)
    weights_1 : (N, F + D, 64)
    biases_1 : (N, 64)
    weights_2 : (N, 64, 32)
    biases_2 : (N, 32)
    weights_3 : (N, 32)
    biases_3 : (N,)
    """

    mean: Floats
    scale: Floats
    clip: float
    query_weights: Floats
    query_biases: Floats
    key_weights: Floats
    lag_biases: Floats
    value_weights: Floats
    value_biases: Floats
    weights_1: Floats
    biases_1: Floats
    weights_2: Floats
    biases_2: Floats
    weights_3: Floats
    biases_3: Floats


def standardised(features: Floats, mean: Floats, scale: Floats, clip: float) -> Floats:
    """Scale features as in training and hold them within plus and minus ``clip``.

    Parameters
    ----------
    features : (..., F)
        NaN stays NaN.
    mean, scale : (F,)
    clip : float

    Returns
    -------
    (..., F)

    Examples
    --------
    >>> standardised(np.array([3.0, 99.0]), np.array([1.0, 1.0]), np.array([2.0, 2.0]), 5.0)
    array([1., 5.])
    """
    # In place: of a month of minutes each copy would take hundreds of MB.
    known = features - mean
    known /= scale
    return np.clip(known, -clip, clip, out=known)


def step(
    specialists: Specialists, state: WindowState, rows: Indices, features: Floats
) -> tuple[WindowState, Floats]:
    """Fold one slice into the windows of its symbols, and score it.

    Parameters
    ----------
    specialists : Specialists
    state : WindowState
        Not changed. It knows nothing of the models and stays valid when others take over.
    rows : (n,)
        Each row's symbol, without repetition.
    features : (n, F)
        A row with any value that is not finite has no score, and is remembered as a bar.

    Returns
    -------
    state : WindowState
    scores : (n, 3)
        Log odds of each specialist that the next bar closes up; NaN in rows without a score.

    Raises
    ------
    ShapeError
        If the arrays do not belong together, or to the models.
    """
    state, windows = window.step(state, rows, features)
    scores, _ = attend(specialists, features, windows)
    return state, scores


def attend(specialists: Specialists, features: Floats, windows: Floats) -> tuple[Floats, Floats]:
    """Score rows, and say how much each specialist looked at which of the last bars.

    Parameters
    ----------
    specialists : Specialists
    features : (n, F)
        One row per symbol. A row with any value that is not finite has no score.
    windows : (n, L, 8)
        The features ``window.ATTENDED`` of its last bars, the current one last. A bar with any
        value that is not finite is not looked at: its attention is zero.

    Returns
    -------
    scores : (n, 3)
        Mean log odds of a regime's networks that the next bar closes up; NaN without a score.
    attention : (n, 3, L)
        Mean of the networks' attention, the oldest bar first; sums to one over the bars, NaN where
        the score is.

    Raises
    ------
    ShapeError
        If the arrays do not belong together, or to the models.
    """
    _check(specialists, features, windows)
    n_rows, n_tiles = len(features), -(-len(features) // TILE_ROWS)
    seen = np.all(np.isfinite(windows), axis=2)
    usable = np.all(np.isfinite(features), axis=1) & np.any(seen, axis=1)
    inputs = np.zeros((n_tiles * TILE_ROWS, len(specialists.mean)))
    past = np.zeros((len(inputs), *windows.shape[1:]))
    visible = np.ones(past.shape[:2], np.bool_)
    inputs[:n_rows][usable] = standardised(
        features[usable], specialists.mean, specialists.scale, specialists.clip
    )
    scaled = standardised(
        windows, specialists.mean[COLUMNS], specialists.scale[COLUMNS], specialists.clip
    )
    past[:n_rows][usable] = np.where(seen[..., None], scaled, 0.0)[usable]
    visible[:n_rows][usable] = seen[usable]
    scores = np.empty((len(inputs), len(REGIMES)))
    attention = np.empty((len(inputs), len(REGIMES), LENGTH_BARS))
    for start in range(0, len(inputs), TILE_ROWS):
        tile = slice(start, start + TILE_ROWS)
        scores[tile], attention[tile] = _tile(specialists, inputs[tile], past[tile], visible[tile])
    return (
        np.where(usable[:, None], scores[:n_rows], np.nan),
        np.where(usable[:, None, None], attention[:n_rows], np.nan),
    )


def _tile(
    specialists: Specialists, inputs: Floats, past: Floats, visible: Mask
) -> tuple[Floats, Floats]:
    attention = _attention(specialists, inputs, past, visible)
    # The value of a mean is the mean of the values: so the bars are averaged before the product.
    attended = np.matmul(attention, past).transpose(1, 0, 2)
    context = np.matmul(attended, specialists.value_weights)
    context += specialists.value_biases[:, None, :]
    n_features = inputs.shape[1]
    hidden = np.matmul(inputs, specialists.weights_1[:, :n_features])
    hidden += np.matmul(context, specialists.weights_1[:, n_features:])
    hidden += specialists.biases_1[:, None, :]
    np.maximum(hidden, 0.0, out=hidden)
    hidden = np.matmul(hidden, specialists.weights_2)
    hidden += specialists.biases_2[:, None, :]
    np.maximum(hidden, 0.0, out=hidden)
    # A product with a single column would go to another kernel, whose rounding depends on the row.
    hidden *= specialists.weights_3[:, None, :]
    outputs = np.add.reduce(hidden, axis=2)
    outputs += specialists.biases_3[:, None]
    return _by_regime(outputs).T, _by_regime(attention.transpose(1, 0, 2)).transpose(1, 0, 2)


def _attention(specialists: Specialists, inputs: Floats, past: Floats, visible: Mask) -> Floats:
    """Softmax over bars of query times key; (TILE_ROWS, N, L), zero where not visible.

    A row's bars meet all networks in one product, a small one of fixed shape for each row.
    """
    query = np.matmul(inputs, specialists.query_weights)
    query += specialists.query_biases[:, None, :]
    # q (W x) = (q W) x: one product for all bars of the window instead of one each.
    asked = np.matmul(query, specialists.key_weights.transpose(0, 2, 1)).transpose(1, 0, 2)
    weight: Floats = np.matmul(asked, past.transpose(0, 2, 1))
    weight /= math.sqrt(query.shape[2])
    weight += specialists.lag_biases
    np.copyto(weight, -np.inf, where=~visible[:, None, :])
    weight -= np.maximum.reduce(weight, axis=2, keepdims=True)
    np.exp(weight, out=weight)
    weight /= np.add.reduce(weight, axis=2, keepdims=True)
    return weight


def _by_regime(of_networks: Floats) -> Floats:
    """Average the members of each regime in their order; (N, ...) to (3, ...)."""
    members = of_networks.reshape(len(REGIMES), -1, *of_networks.shape[1:])
    total: Floats = members[:, 0].copy()
    for member in range(1, members.shape[1]):
        total += members[:, member]
    total /= members.shape[1]
    return total


def _check(specialists: Specialists, features: Floats, windows: Floats) -> None:
    wanted = (len(features), len(specialists.mean))
    if features.shape != wanted:
        raise ShapeError(f"features must be (n, {wanted[1]}), was {features.shape}")
    wanted_windows = (len(features), LENGTH_BARS, len(ATTENDED))
    if windows.shape != wanted_windows:
        raise ShapeError(f"windows must be {wanted_windows}, was {windows.shape}")
