"""Score rows with the trained specialists, in numpy.

The networks are small enough that a framework costs more than the arithmetic. Rows go through in
tiles of a fixed size, padded with zeros, because a matrix product may round differently for other
shapes: so a row's score depends neither on its company nor on its position.
"""

from typing import NamedTuple

import numpy as np

from models.arrays import Floats
from models.errors import ShapeError

TILE_ROWS = 64
"""A multiple of the row blocks of the usual matrix kernels."""


class Specialists(NamedTuple):
    """Three networks F-64-32-1 with rectified units, and the scaling of their inputs.

    The first axis of the weights is the regime, in the order of ``REGIMES``.

    Attributes
    ----------
    mean, scale : (F,)
        Inputs are standardised as (x - mean) / scale.
    clip : float
        Standardised inputs are held within plus and minus this many scales.
    weights_1 : (3, F, 64)
    biases_1 : (3, 64)
    weights_2 : (3, 64, 32)
    biases_2 : (3, 32)
    weights_3 : (3, 32)
    biases_3 : (3,)
    """

    mean: Floats
    scale: Floats
    clip: float
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
    return np.clip((features - mean) / scale, -clip, clip)


def score(specialists: Specialists, features: Floats) -> Floats:
    """Give each specialist's log odds that the next bar closes up.

    Parameters
    ----------
    specialists : Specialists
    features : (n, F)
        One row per symbol. A row with any value that is not finite has no score.

    Returns
    -------
    (n, 3)
        Log odds; NaN in rows without a score.

    Raises
    ------
    ShapeError
        If the number of features differs from that of the training.
    """
    n_features = len(specialists.mean)
    if features.ndim != 2 or features.shape[1] != n_features:  # noqa: PLR2004  rows by columns
        raise ShapeError(f"features must be (n, {n_features}), was {features.shape}")
    n_rows = len(features)
    usable = np.all(np.isfinite(features), axis=1)
    padded = np.zeros((-(-n_rows // TILE_ROWS) * TILE_ROWS, n_features))
    padded[:n_rows][usable] = standardised(
        features[usable], specialists.mean, specialists.scale, specialists.clip
    )
    scores = np.empty((len(padded), len(specialists.biases_3)))
    for start in range(0, len(padded), TILE_ROWS):
        scores[start : start + TILE_ROWS] = _tile(specialists, padded[start : start + TILE_ROWS])
    return np.where(usable[:, None], scores[:n_rows], np.nan)


def _tile(specialists: Specialists, tile: Floats) -> Floats:
    hidden = np.matmul(tile, specialists.weights_1) + specialists.biases_1[:, None, :]
    np.maximum(hidden, 0.0, out=hidden)
    hidden = np.matmul(hidden, specialists.weights_2) + specialists.biases_2[:, None, :]
    np.maximum(hidden, 0.0, out=hidden)
    # A product with a single column would go to another kernel, whose rounding depends on the row.
    outputs = np.add.reduce(hidden * specialists.weights_3[:, None, :], axis=2)
    scores: Floats = (outputs + specialists.biases_3[:, None]).T
    return scores
