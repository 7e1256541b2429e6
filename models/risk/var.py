"""Value at risk at 95 %: historical simulation, and a normal one of weighted variance.

Both look at what today's book would have earned in each bar of the window, so a check costs one
pass over the window, however many positions there are. Losses are positive. Sums run in time order
with ``math.fsum`` or ``cumsum``; no result depends on the order of the symbols.

References: historical simulation as in Hendricks (1996), "Evaluation of value-at-risk models using
historical data"; weights and zero mean as in J.P. Morgan and Reuters (1996), RiskMetrics.
"""

import math

import numpy as np

from models.arrays import Floats
from models.risk.limits import UNBOUNDED_LOTS

# Share of bars in which the loss may exceed the VaR, in per cent, and its quantile of the normal.
TAIL_PERCENT = 5
NORMAL_QUANTILE = 1.6448536269514722

# RiskMetrics' decay for daily returns.
EW_DECAY = 0.94

# Lots beyond this are no longer exact as floats; no account holds as many.
_FARTHEST = 2**52


def exceedances(n_bars: int) -> int:
    """Return in how many of ``n_bars`` the loss may exceed the VaR.

    Examples
    --------
    >>> exceedances(60), exceedances(250), exceedances(19)
    (3, 12, 0)
    """
    return n_bars * TAIL_PERCENT // 100


def historical_var(earned: Floats, n_bars: int) -> float:
    """Return the smallest loss that at most 5 % of ``n_bars`` bars exceed; 0 where none loses.

    Parameters
    ----------
    earned : (n_window,)
        What the book would have earned per bar, in money; no NaN, 0 where nothing is known.
    n_bars
        Bars that are known of the shortest history in the book. Counting exceedances by it, and
        not by the window, a bar without a return never makes the book look safer.

    Examples
    --------
    >>> historical_var(np.arange(-20.0, 0.0), 20)
    19.0
    """
    rank = exceedances(n_bars)
    if rank >= len(earned):
        return 0.0
    return max(-float(np.partition(earned, rank)[rank]), 0.0)


def ew_weights(n_window: int, decay: float = EW_DECAY) -> Floats:
    """Return the weights (1 - decay) decay^age of a window, the newest bar last.

    Examples
    --------
    >>> ew_weights(3, 0.5).tolist()
    [0.125, 0.25, 0.5]
    """
    powers = np.cumprod(np.concatenate([[1.0], np.full(n_window - 1, decay)]))
    weights: Floats = (1.0 - decay) * powers[::-1]
    return np.ascontiguousarray(weights)


def known_weight(weights: Floats, n_bars: int) -> float:
    """Return the weight of the newest ``n_bars``, by which a short history is scaled up."""
    return math.fsum(weights[max(len(weights) - n_bars, 0) :].tolist())


def ew_covariance(first: Floats, second: Floats, weights: Floats, n_bars: int) -> float:
    """Return the exponentially weighted covariance of two series with mean zero.

    Parameters
    ----------
    first, second : (n_window,)
        No NaN; 0 where nothing is known.
    weights : (n_window,)
        As :func:`ew_weights` gives them.
    n_bars
        Bars that are known; the weights of these are scaled to sum to one.
    """
    known = known_weight(weights, n_bars)
    if known <= 0.0:
        return 0.0
    return math.fsum((weights * first * second).tolist()) / known


def normal_var(earned: Floats, weights: Floats, n_bars: int) -> float:
    """Return 1.645 standard deviations of exponentially weighted variance, in money."""
    variance = ew_covariance(earned, earned, weights, n_bars)
    return NORMAL_QUANTILE * math.sqrt(max(variance, 0.0))


def historical_room(rest: Floats, each: Floats, start: int, limit: float, n_bars: int) -> int:
    """Return the most lots x >= start that keep the historical VaR of ``rest + x * each`` at limit.

    Every bar loses more than the limit on one side of a threshold, so the thresholds, sorted, say
    where too many do; the integers beside the first such place are then tried exactly. ``start``
    itself is not judged: it is what stands now. All lots between ``start`` and the result pass.

    Parameters
    ----------
    rest, each : (n_window,)
        What the book without the symbol earned, and what one lot earns in the order's direction.
    start
        Lots in the order's direction that count already.
    """
    allowed = exceedances(n_bars)

    def breaks(lots: int) -> bool:
        return int(np.count_nonzero(rest + float(lots) * each < -limit)) > allowed

    if breaks(start + 1):
        return start
    falling, rising = each < 0.0, each > 0.0
    worse = np.sort((rest[falling] + limit) / -each[falling])
    better = np.sort((-limit - rest[rising]) / each[rising])
    always = int(np.count_nonzero((each == 0.0) & (rest < -limit)))
    still = len(better) - np.searchsorted(better, worse, side="right")
    n_bad = always + np.arange(1, len(worse) + 1) + still
    for threshold in worse[(n_bad > allowed) & (worse >= start)].tolist():
        if threshold >= _FARTHEST:
            break
        for lots in (math.floor(threshold), math.floor(threshold) + 1, math.floor(threshold) + 2):
            if lots > start and breaks(lots):
                return int(lots) - 1
    return UNBOUNDED_LOTS


def normal_room(
    rest: Floats, each: Floats, start: int, limit: float, weights: Floats, n_bars: int
) -> int:
    """Return the most lots x >= start that keep the normal VaR of ``rest + x * each`` at limit.

    The variance is a parabola that opens upwards: from the first lot that passes on, all pass up to
    one and none after it, so bisection finds it.
    """
    a = ew_covariance(each, each, weights, n_bars)
    b = ew_covariance(rest, each, weights, n_bars)
    c = ew_covariance(rest, rest, weights, n_bars)
    most = (limit / NORMAL_QUANTILE) ** 2

    def passes(lots: int) -> bool:
        return c + lots * (2.0 * b + lots * a) <= most

    if not passes(start + 1):
        return start
    low, high = start + 1, _FARTHEST
    if passes(high):
        return UNBOUNDED_LOTS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low
