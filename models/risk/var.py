"""Value at risk at 95 %: historical simulation, and a normal one of weighted variance.

Both look at what today's book would have earned in each bar of the window, so a check costs one
pass over the window, however many positions there are. Losses are positive. Sums run over time, in
numpy's fixed pairwise order.

References: historical simulation as in Hendricks (1996), "Evaluation of value-at-risk models using
historical data"; weights and zero mean as in J.P. Morgan and Reuters (1996), RiskMetrics.
"""

import math
from functools import cache
from typing import NamedTuple

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
    return max(0.0, -float(np.partition(earned, rank)[rank]))


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


@cache
def known_weights(n_window: int, decay: float = EW_DECAY) -> tuple[float, ...]:
    """Return the weight of the newest 0, 1, ... n_window bars, by which short histories scale.

    Examples
    --------
    >>> known_weights(3, 0.5)
    (0.0, 0.5, 0.75, 0.875)
    """
    newest_first = ew_weights(n_window, decay)[::-1].tolist()
    return tuple(math.fsum(newest_first[:n]) for n in range(n_window + 1))


def ew_covariance(first: Floats, second: Floats, n_bars: int) -> float:
    """Return the exponentially weighted covariance of two series with mean zero.

    Parameters
    ----------
    first, second : (n_window,)
        No NaN; 0 where nothing is known.
    n_bars
        Bars that are known; the weights of these are scaled to sum to one.
    """
    n_window = len(first)
    known = known_weights(n_window)[min(n_bars, n_window)]
    if known <= 0.0:
        return 0.0
    return float(np.add.reduce(_weights(n_window) * first * second)) / known


@cache
def _weights(n_window: int) -> Floats:
    return ew_weights(n_window)


def normal_var(earned: Floats, n_bars: int) -> float:
    """Return 1.645 standard deviations of exponentially weighted variance, in money."""
    return NORMAL_QUANTILE * math.sqrt(max(ew_covariance(earned, earned, n_bars), 0.0))


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
    for threshold in _crossings(rest, each, start, limit, allowed):
        if threshold >= _FARTHEST:
            break
        for lots in (math.floor(threshold), math.floor(threshold) + 1, math.floor(threshold) + 2):
            if lots > start and breaks(lots):
                return int(lots) - 1
    return UNBOUNDED_LOTS


def keeps_historical(rest: Floats, each: Floats, most: int, limit: float, n_bars: int) -> bool:
    """Tell whether it is plain that no lots from 0 to ``most`` break the historical limit.

    What a bar earns moves in one direction with the lots, also as rounded, so it is least at one
    end. Where too few bars lose too much even if each is taken at its worse end, none of the lots
    between breaks the limit. The converse does not hold: False leaves it open.

    Examples
    --------
    >>> rest, each = np.array([-1.0] * 19 + [0.0]), np.array([0.0] * 19 + [-1.0])
    >>> keeps_historical(rest, each, 1, 1.0, 20), keeps_historical(rest, each, 2, 1.0, 19)
    (True, False)
    """
    losing = np.minimum(rest, rest + float(most) * each) < -limit
    return int(np.count_nonzero(losing)) <= exceedances(n_bars)


def _crossings(rest: Floats, each: Floats, start: int, limit: float, allowed: int) -> list[float]:
    """Return, rising, the lots beyond ``start`` just behind which too many bars lose too much."""
    now = rest + float(start) * each
    bad, falling = now < -limit, each < 0.0
    sinking = falling & ~bad
    worse = (rest[sinking] + limit) / -each[sinking]
    n_bad = int(np.count_nonzero(bad))
    if n_bad <= allowed and not (n_bad and (each[bad] > 0.0).any()):
        spare = allowed - n_bad
        return [float(np.partition(worse, spare)[spare])] if spare < len(worse) else []
    recovering = bad & (each > 0.0)
    worse = np.sort(worse)
    better = np.sort((-limit - rest[recovering]) / each[recovering])
    counts = n_bad + np.arange(1, len(worse) + 1) - np.searchsorted(better, worse, side="left")
    crossings: list[float] = worse[counts > allowed].tolist()
    return crossings


class Variance(NamedTuple):
    """The weighted variance of ``rest + x * each``, a parabola in x: ``c + 2 b x + a x^2``."""

    a: float
    b: float
    c: float

    @classmethod
    def of(cls, rest: Floats, each: Floats, n_bars: int) -> "Variance":
        """Return the parabola of two series over the window.

        Its coefficients are :func:`ew_covariance` of each with each, of rest with each, and of rest
        with rest, to the last bit.
        """
        n_window = len(rest)
        known = known_weights(n_window)[min(n_bars, n_window)]
        if known <= 0.0:
            return cls(0.0, 0.0, 0.0)
        weights, add = _weights(n_window), np.add.reduce
        weighted = weights * rest
        return cls(
            float(add(weights * each * each)) / known,
            float(add(weighted * each)) / known,
            float(add(weighted * rest)) / known,
        )

    def at(self, lots: int) -> float:
        """Return the variance at so many lots."""
        return self.c + lots * (2.0 * self.b + lots * self.a)

    def var(self, lots: int) -> float:
        """Return the normal value at risk at so many lots."""
        return NORMAL_QUANTILE * math.sqrt(max(self.at(lots), 0.0))

    def room(self, start: int, limit: float) -> int:
        """Return the most lots x >= start that keep the normal VaR at limit.

        The parabola opens upwards: from the first lot that passes on, all pass up to one and none
        after it. The root says where, and the integers beside it are tried exactly.
        """
        most = (limit / NORMAL_QUANTILE) ** 2
        if self.at(start + 1) > most:
            return start
        low, high = start + 1, _FARTHEST
        if self.at(high) <= most:
            return UNBOUNDED_LOTS
        root = (-self.b + math.sqrt(max(self.b**2 - self.a * (self.c - most), 0.0))) / self.a
        near = math.floor(min(root, float(_FARTHEST)))
        if low < near - 1 and self.at(near - 1) <= most:
            low = near - 1
        if low < near + 2 < high and self.at(near + 2) > most:
            high = near + 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.at(middle) <= most else (low, middle)
        return low
