"""Laws of probability vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models import simplex

ANY_ROWS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.floats(allow_nan=True, allow_infinity=True),
)
FINITE_ROWS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.floats(-700, 700),
)


@given(ANY_ROWS)
def test_repaired_when_given_anything_then_lies_on_the_simplex(rows: np.ndarray) -> None:
    """Whatever comes in, NaN and infinity included, leaves as probability vectors."""
    kept = rows.copy()
    repaired = simplex.repaired(rows)
    assert not simplex.off_simplex(repaired).any()
    np.testing.assert_array_equal(rows, kept)


@given(FINITE_ROWS)
def test_repaired_when_on_the_simplex_then_returns_the_same_bits(rows: np.ndarray) -> None:
    """Repairing twice changes nothing more."""
    once = simplex.repaired(simplex.softmax(rows))
    assert simplex.repaired(once).tobytes() == once.tobytes()


def test_repaired_when_rows_are_positive_then_divides_by_their_sum() -> None:
    """A row off by a factor keeps its proportions; a hopeless one becomes uniform."""
    rows = np.array([[2.0, 6.0], [1e308, 1e308], [0.0, 0.0], [np.inf, 1.0], [-1.0, 2.0]])
    expected = [[0.25, 0.75], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    np.testing.assert_allclose(simplex.repaired(rows), expected, rtol=1e-15)


@given(FINITE_ROWS)
def test_softmax_when_finite_then_equals_the_definition(rows: np.ndarray) -> None:
    """The shifted form equals exp(x) / sum exp(x), evaluated in extended precision."""
    exponentials = np.exp(rows.astype(np.longdouble))
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(simplex.softmax(rows), expected.astype(float), atol=1e-14)


@given(FINITE_ROWS)
def test_entropy_when_on_the_simplex_then_lies_between_zero_and_the_maximum(
    rows: np.ndarray,
) -> None:
    """Entropy is neither negative nor more than log2 of the number of entries."""
    bits = simplex.entropy_bits(simplex.softmax(rows))
    assert (bits >= 0.0).all()
    assert (bits <= np.log2(rows.shape[1])).all()


def test_entropy_when_uniform_then_is_the_logarithm() -> None:
    """Three equal regimes have log2 3 = 1.585 bits."""
    assert simplex.entropy_bits(simplex.uniform(1, 3))[0] == pytest.approx(np.log2(3), abs=1e-15)


@given(FINITE_ROWS, st.floats(0.0, 1.0))
def test_limited_when_target_is_far_then_moves_by_the_limit(rows: np.ndarray, limit: float) -> None:
    """A step is the smaller of the gap and the limit, and stays on the simplex."""
    previous = simplex.uniform(*rows.shape)
    target = simplex.softmax(rows)
    moved = simplex.limited(previous, target, limit)
    gap = simplex.distance(previous, target)
    np.testing.assert_allclose(
        simplex.distance(previous, moved), np.minimum(gap, limit), atol=1e-12
    )
    assert not simplex.off_simplex(moved).any()


@given(FINITE_ROWS, st.randoms(use_true_random=False))
def test_functions_when_rows_come_alone_or_permuted_then_give_the_same_bits(
    rows: np.ndarray, random: object
) -> None:
    """A row's result depends neither on its company nor on its position."""
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis hands out random.Random
    for function in (simplex.softmax, simplex.row_sum, simplex.sigmoid):
        whole = function(rows)
        assert function(rows[order]).tobytes() == whole[order].tobytes()
        assert b"".join(function(row[None]).tobytes() for row in rows) == whole.tobytes()


def test_off_simplex_when_a_sum_is_beyond_the_tolerance_then_marks_the_row() -> None:
    """The tolerance of 1e-9 separates rounding from error."""
    rows = np.array([[0.5, 0.5 + 5e-10], [0.5, 0.5 + 2e-9], [1.5, -0.5], [0.5, np.inf]])
    assert simplex.off_simplex(rows).tolist() == [False, True, True, True]


def test_sigmoid_when_logits_are_moderate_then_equals_the_textbook_form() -> None:
    """The tangent form equals 1 / (1 + exp(-x))."""
    logits = np.linspace(-30.0, 30.0, 601)
    np.testing.assert_allclose(simplex.sigmoid(logits), 1 / (1 + np.exp(-logits)), atol=1e-15)
