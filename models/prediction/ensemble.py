"""The ensemble: three scores and three weights become a probability and a target.

Units: returns and volatilities are fractions per bar, targets are fractions of equity.
"""

import math
from typing import NamedTuple

import numpy as np

from models import simplex
from models.arrays import Floats
from models.errors import NotFitted, ShapeError

MAX_TARGET_FRACTION = 0.40
"""Bound on a target; above the risk stage's own limit, so that the refusal is seen there."""

GROSS_BUDGET = 1.0
"""Mean gross exposure of all long bets of a bar, as a fraction of equity; the limit is 1.5."""

ASSET_BUDGET = 0.1
"""Mean exposure per asset that a few symbols may not exceed; the limit of one asset is 0.25."""

NORMAL_ABSOLUTE_MEAN = math.sqrt(2.0 / math.pi)


class EnsembleModel(NamedTuple):
    """Calibration of the blended score and the size of a bet.

    Attributes
    ----------
    slope, intercept : float
        Platt scaling of the blended log odds.
    volatility_column : int
        Position of the volatility feature.
    volatility_scale : float
        Root mean square of the next return, in units of that feature.
    move_scale : float
        Mean absolute next return, in units of that feature.
    kelly_fraction : float
        Share of the growth-optimal bet. The formula sees one asset at a time; training chooses the
        share so that the bets of all assets together fit a budget.
    max_target_fraction : float
        Bound on the target.
    """

    slope: float
    intercept: float
    volatility_column: int
    volatility_scale: float = 1.0
    move_scale: float = NORMAL_ABSOLUTE_MEAN
    kelly_fraction: float = 0.1
    max_target_fraction: float = MAX_TARGET_FRACTION


def blend(scores: Floats, weights: Floats) -> Floats:
    """Average the specialists' log odds; (n, 3) and (n, 3) to (n,).

    A specialist of weight zero has no say, even without a score; any other NaN gives NaN.

    Examples
    --------
    >>> blend(np.array([[1.0, 3.0, np.nan]]), np.array([[0.5, 0.5, 0.0]])).tolist()
    [2.0]
    """
    return simplex.row_sum(np.where(weights == 0.0, 0.0, weights * scores))


def predict(
    model: EnsembleModel, features: Floats, scores: Floats, weights: Floats
) -> tuple[Floats, Floats, Floats]:
    """Turn scores into a calibrated probability and a signed target.

    The target is a fraction of the growth-optimal bet (Kelly 1956, for small returns): expected
    return over variance, with the expected return (2 p - 1) E|r|, and E|r| and the variance
    proportional to the volatility feature and its square.

    Parameters
    ----------
    model : EnsembleModel
    features : (n, F)
        Only the volatility column is read.
    scores : (n, 3)
        Log odds of the specialists.
    weights : (n, 3)
        On the simplex.

    Returns
    -------
    confidence : (n,)
        Probability that the likelier direction is right, in [0.5, 1].
    probability_up : (n,)
    target_fraction : (n,)
        Of equity, signed; zero where the volatility is zero.

        All three are NaN while a needed score or the volatility is NaN (warming up).

    Raises
    ------
    ShapeError
        If the arrays do not belong together.
    NotFitted
        If the features have no volatility column.

    Examples
    --------
    >>> model = EnsembleModel(slope=1.0, intercept=0.0, volatility_column=0)
    >>> predict(model, np.array([[0.02]]), np.zeros((1, 3)), np.full((1, 3), 1 / 3))
    (array([0.5]), array([0.5]), array([0.]))
    """
    _check(model, features, scores, weights)
    volatility = features[:, model.volatility_column]
    ready = np.isfinite(volatility) & (volatility >= 0.0)
    logit = model.slope * blend(scores, weights) + model.intercept
    up = np.where(ready, simplex.sigmoid(logit), np.nan)
    moving = np.where(ready & (volatility > 0.0), volatility, 1.0)
    expected_return = (2.0 * up - 1.0) * model.move_scale * moving
    variance = (model.volatility_scale * moving) ** 2
    bet = model.kelly_fraction * expected_return / variance
    bound = model.max_target_fraction
    target = np.clip(np.where(volatility == 0.0, 0.0 * up, bet), -bound, bound)
    return np.maximum(up, 1.0 - up), up, target


def _check(model: EnsembleModel, features: Floats, scores: Floats, weights: Floats) -> None:
    n = len(features)
    if features.ndim != 2 or scores.shape != (n, 3) or weights.shape != (n, 3):  # noqa: PLR2004  axes
        raise ShapeError(
            f"features (n, F), scores and weights (n, 3) are needed, "
            f"was {features.shape}, {scores.shape}, {weights.shape}"
        )
    if not 0 <= model.volatility_column < features.shape[1]:
        raise NotFitted(
            f"the ensemble reads volatility from column {model.volatility_column}, "
            f"was given {features.shape[1]} columns"
        )
