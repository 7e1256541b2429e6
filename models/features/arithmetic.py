"""Arithmetic whose bits depend on the values alone: not on other rows, nor on the processor.

A slice of 200 rows must give each row the very bits that a slice of one row gives it. Elementwise
IEEE operations do so by themselves; a reduction does so only in one fixed order, and numpy chooses
its order by shape and strides. So windows are (n_bars, n_rows), time first, and are added up by
halves with elementwise sums only, here and nowhere else. numpy's logarithm has other last bits on
a processor with AVX-512 than on one without, so `log` is made of IEEE operations as well.
"""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# A spread below this part of its scale is rounding (about 1e-16 a term), not market.
NOISE = 1e-12

_LN_2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476
# ln(m) = 2 s + s^3 (2/3 + 2/5 s^2 + ...), s = (m - 1) / (m + 1); with |s| < 0.172 the first term
# left out, 2/21 s^21, is below a fifth of a last bit.
_SERIES = tuple(2.0 / degree for degree in range(19, 1, -2))


def log(values: FloatArray) -> FloatArray:
    """Give natural logarithms, elementwise, of positive finite numbers; NaN stays NaN.

    The relative error is below 5e-16, near 1 too, and the bits are the same on every processor.

    >>> log(np.array([1.0, 2.0])).tolist()
    [0.0, 0.6931471805599453]
    """
    mantissa, exponent = np.frexp(values)
    low = mantissa < _SQRT_HALF
    mantissa = np.where(low, 2.0 * mantissa, mantissa)
    part = (mantissa - 1.0) / (mantissa + 1.0)
    square = part * part
    series = np.full_like(square, _SERIES[0])
    for coefficient in _SERIES[1:]:
        series *= square
        series += coefficient
    return (exponent - low) * _LN_2 + (2.0 * part + part * square * series)


def window_sum(values: FloatArray) -> FloatArray:
    """Sum each window: (n_bars, n_rows) -> (n_rows,), pairwise, so rounding grows with log n_bars.

    >>> window_sum(np.array([[1.0], [2.0], [4.0]])).tolist()
    [7.0]
    """
    while len(values) > 1:
        half = len(values) // 2
        pairs = values[:half] + values[half : 2 * half]
        if len(values) % 2:
            pairs[0] += values[-1]
        values = pairs
    total: FloatArray = values[0]
    return total


def centred(values: FloatArray) -> FloatArray:
    """Subtract from each window its mean: (n_bars, n_rows), same shape, same unit.

    >>> centred(np.array([[1.0], [2.0], [6.0]])).tolist()
    [[-2.0], [-1.0], [3.0]]
    """
    return values - window_sum(values) / len(values)


def deviation(centred_values: FloatArray, ddof: int) -> FloatArray:
    """Give the standard deviation of windows that are centred already: (n_rows,), same unit.

    Two passes (mean first, squares of the differences after it), so nothing cancels.

    >>> deviation(np.array([[-1.0], [0.0], [1.0]]), ddof=1).tolist()
    [1.0]
    """
    squares = window_sum(centred_values * centred_values)
    return np.sqrt(squares / (len(centred_values) - ddof))


def above_noise(spread: FloatArray, scale: FloatArray | float = 1.0) -> FloatArray:
    """Give the spread, or exactly 0 where it is no more than the rounding of its scale.

    >>> above_noise(np.array([1e-17, 0.5])).tolist()
    [0.0, 0.5]
    """
    return np.where(spread <= NOISE * scale, 0.0, spread)


def ratio(numerator: FloatArray, denominator: FloatArray, neutral: float) -> FloatArray:
    """Divide elementwise; where the denominator is 0 the answer is the neutral value.

    >>> ratio(np.array([1.0, 0.0]), np.array([4.0, 0.0]), neutral=0.5).tolist()
    [0.25, 0.5]
    """
    answer = np.full(np.shape(denominator), neutral)
    np.divide(numerator, denominator, out=answer, where=denominator != 0.0)
    return answer
