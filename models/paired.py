"""Two arms on the same bars: their losses, what they earned, and what that proves at any time."""

import math

import numpy as np

from models.arrays import Floats, Mask

LEVEL = 0.05
"""Error probability of the confidence sequence, over all bars together."""

MAX_DEGRADATION_FRACTION = 0.30
"""What is worse by more than this share is refused, or goes back."""

TOLERANCE_FRACTION = 0.05
"""Who takes over must be shown to lose at most this share more than who decides."""

UNINFORMED_NATS = math.log(2.0)
"""The loss of who knows nothing."""

SMALLEST_GAIN_NATS = 0.01 * UNINFORMED_NATS
"""A share of a gain is one of at least this, that of 56 hits in 100: of none nothing could be lost,
and what differs by rounding could not be let in."""

MOST_CERTAIN = 1e-3
"""Probabilities are held this far from 0 and 1, so that one bar's loss has a bound."""


def losses(probability_up: Floats, next_returns: Floats, known: Mask) -> Floats:
    """Mean log loss of each bar's known symbols, in nats.

    Parameters
    ----------
    probability_up, next_returns : (n_bars, n_symbols)
        NaN where they are not known.
    known : (n_bars, n_symbols)
        What counts; a return of zero counts as half a rise.

    Returns
    -------
    (n_bars,)
        Zero in a bar without a known symbol.

    Examples
    --------
    >>> losses(np.array([[0.5, np.nan]]), np.array([[0.01, 0.02]]), np.array([[True, False]]))
    array([0.69314718])
    """
    up = np.clip(np.where(known, probability_up, 0.5), MOST_CERTAIN, 1.0 - MOST_CERTAIN)
    happened = 0.5 + 0.5 * np.sign(np.where(known, next_returns, 0.0))
    each = -(happened * np.log(up) + (1.0 - happened) * np.log1p(-up))
    mean: Floats = np.where(known, each, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return mean


def tolerated(loss: float) -> float:
    """Return by how much a mean loss may rise: a share of what it gains over knowing nothing.

    A share of the loss itself would be one of ln 2, which is more than most models gain: who says
    one half of everything would pass.

    Parameters
    ----------
    loss : float
        Mean log loss of who decides, in nats.

    Returns
    -------
    float
        Nats; NaN where the loss is not known.

    Examples
    --------
    >>> round(tolerated(UNINFORMED_NATS - 0.1), 4)
    0.005
    """
    return TOLERANCE_FRACTION * max(UNINFORMED_NATS - loss, SMALLEST_GAIN_NATS)


def beyond(loss: float, other_loss: float) -> float:
    """Return what the other one lost beyond a share of the gain over knowing nothing, in a bar.

    Its mean is above zero where more is lost than :func:`tolerated` says of a gain that is not the
    smallest; unlike that, it has a bound that holds however the gain came out by chance.

    Examples
    --------
    >>> round(beyond(UNINFORMED_NATS - 0.1, UNINFORMED_NATS - 0.09), 4)
    0.005
    """
    return other_loss - loss - TOLERANCE_FRACTION * (UNINFORMED_NATS - loss)


def earned(target_fraction: Floats, next_returns: Floats, known: Mask) -> Floats:
    """Return of each bar's book of long targets, marked at the next close, without costs.

    Shapes and NaN are those of :func:`losses`; a target that is not known is none.

    Examples
    --------
    >>> earned(np.array([[0.5, -0.5]]), np.array([[0.01, 0.02]]), np.array([[True, True]]))
    array([0.005])
    """
    held = np.where(known, np.maximum(np.nan_to_num(target_fraction), 0.0), 0.0)
    total: Floats = (held * np.where(known, next_returns, 0.0)).sum(axis=1)
    return total


def radius(
    count: Floats | float, deviation: Floats | float, *, tightest_at: float, level: float = LEVEL
) -> Floats:
    """Half the width of a confidence sequence for a mean, valid at every count together.

    The asymptotic sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), theorem 2.2.
    It may be looked at as often as one likes only while ``tightest_at`` stays what it was at the
    first look.

    Parameters
    ----------
    count, deviation : (n,) or float
        Observations so far and their standard deviation; at least one observation.
    tightest_at : float
        The count at which the sequence is narrowest.
    level : float
        Error probability over all counts.

    Returns
    -------
    (n,) or float
        Infinite below two observations: a deviation needs two.

    Examples
    --------
    >>> float(radius(100.0, 1.0, tightest_at=100.0).round(4))
    0.3035
    """
    spread = -2.0 * math.log(level)
    squared = (spread + math.log(spread) + 1.0) / tightest_at
    count = np.asarray(count, np.float64)
    scaled = count * squared + 1.0
    wide = deviation * np.sqrt(
        2.0 * scaled / (count * count * squared) * np.log(np.sqrt(scaled) / level)
    )
    found: Floats = np.where(count < 2, np.inf, wide)  # noqa: PLR2004  a deviation needs two
    return found
