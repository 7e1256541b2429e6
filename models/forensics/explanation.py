"""Why the ensemble said what it said about a row: attribution, attention, regimes and weights.

What is explained are the calibrated log odds that the next bar closes up, from which confidence and
target follow. Their inputs are the row's features, by family, and the bars before it that the
specialists attend to; the weights are held as they were, because they have a history of their own.
What is not there is replaced by the mean of the training rows, which every model file carries
(docs/adr/0024). Every explanation is compared with what the serving code says about the row.
"""

from typing import NamedTuple

import numpy as np

from models import simplex
from models.arrays import Floats, Indices, Mask
from models.errors import ShapeError
from models.features.catalogue import CATALOGUE, NAMES
from models.forensics import coalitions
from models.forensics.attribution import Attribution, Game, exact, permuted
from models.model_set import ModelSet
from models.prediction.ensemble import blend
from models.specialists import serving
from models.specialists.window import ATTENDED, LENGTH_BARS

PAST_BARS = "past_bars"
"""The player that stands for the 15 bars before the current one."""

FAMILIES = (*dict.fromkeys(feature.family for feature in CATALOGUE), PAST_BARS)
"""The players, in the order of the catalogue."""

INPUTS = (*NAMES, PAST_BARS)
"""The players when every feature is one."""

_FAMILY_OF: Indices = np.array([FAMILIES.index(each.family) for each in CATALOGUE], np.int64)
_INPUT_OF: Indices = np.arange(len(NAMES))


class Explained(NamedTuple):
    """One row.

    Attributes
    ----------
    families : Attribution
        Exact, over ``FAMILIES``; log odds.
    inputs : Attribution or None
        Estimated, over ``INPUTS``; None if it was not asked for.
    logit : float
        Calibrated log odds, as served.
    probability_up : float
    residual : float
        What base and parts of the families miss of ``logit``.
    scores : (3,)
        Log odds of each specialist.
    shares : (3,)
        What each specialist adds to ``logit``, weighted and calibrated; the rest is the intercept.
    attention : (3, 16)
        How much each looked at which bar, the oldest first.
    """

    families: Attribution
    inputs: Attribution | None
    logit: float
    probability_up: float
    residual: float
    scores: Floats
    shares: Floats
    attention: Floats


def explain(
    models: ModelSet,
    features: Floats,
    window: Floats,
    weights: Floats,
    orders: Indices | None = None,
) -> Explained:
    """Explain one row.

    Parameters
    ----------
    models : ModelSet
    features : (60,)
        Finite.
    window : (16, 8)
        The features ``ATTENDED`` of the symbol's last bars, the current one last; NaN where a bar
        was not seen.
    weights : (3,)
        Of the specialists, as they were served.
    orders : (n, 61), optional
        Orders of ``INPUTS`` for values of single features; without them there are none.

    Returns
    -------
    Explained

    Raises
    ------
    ShapeError
        If the arrays have other shapes, or a feature is not finite.
    """
    _check(features, window, weights)
    scores, attention = serving.attend(models.specialists, features[None], window[None])
    logit = _logit(models, scores, weights)[0]
    families = exact(_game(models, features, window, weights, _FAMILY_OF), len(FAMILIES))
    inputs = None
    if orders is not None:
        inputs = permuted(_game(models, features, window, weights, _INPUT_OF), orders)
    return Explained(
        families=families,
        inputs=inputs,
        logit=float(logit),
        probability_up=float(simplex.sigmoid(logit)),
        residual=families.residual(float(logit)),
        scores=scores[0],
        shares=models.ensemble.slope * np.where(weights == 0.0, 0.0, weights * scores[0]),
        attention=attention[0],
    )


def orders_of(seed: int, n_orders: int) -> Indices:
    """Draw orders of ``INPUTS``; the same seed gives the same ones.

    Examples
    --------
    >>> orders_of(7, 2).shape
    (2, 61)
    """
    draw = np.random.default_rng(seed)
    return np.stack([draw.permutation(len(INPUTS)) for _ in range(n_orders)])


def _game(
    models: ModelSet, features: Floats, window: Floats, weights: Floats, player_of: Indices
) -> Game:
    """Return the log odds as a game: features by player, and the past bars as the last player."""
    row = coalitions.split(models.specialists, features, window, player_of)

    def play(there: Mask) -> Floats:
        return _logit(models, coalitions.scores(models.specialists, row, there), weights)

    return play


def _logit(models: ModelSet, scores: Floats, weights: Floats) -> Floats:
    said = blend(scores, np.repeat(weights[None], len(scores), axis=0))
    return models.ensemble.slope * said + models.ensemble.intercept


def _check(features: Floats, window: Floats, weights: Floats) -> None:
    found = (features.shape, window.shape, weights.shape)
    wanted = ((len(NAMES),), (LENGTH_BARS, len(ATTENDED)), (3,))
    if found != wanted:
        raise ShapeError(f"features, window and weights must be {wanted}, was {found}")
    if not np.isfinite(features).all():
        raise ShapeError("features must be finite: a row that warms up has no score")
