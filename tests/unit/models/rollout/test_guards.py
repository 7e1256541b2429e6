"""The window of latencies."""

import pytest

from models.rollout import guards
from models.rollout.guards import LatencyWindow, Timed

SECOND = 10**9
# No clock begins at zero.
BEGIN_NS = 1_704_153_600 * SECOND


def filled(*decisions: tuple[float, float]) -> LatencyWindow:
    """Return a window behind decisions of (second, latency in ms)."""
    window = LatencyWindow()
    for second, latency_ms in decisions:
        window.add(Timed(BEGIN_NS + int(second * SECOND), latency_ms))
    return window


def test_p95_when_there_is_one_burst_then_is_no_window() -> None:
    """Two hundred decisions of one bar are within a moment."""
    assert filled(*[(0.001 * k, 900.0) for k in range(200)]).p95_ms() is None


def test_p95_when_they_span_just_the_time_then_is_a_window() -> None:
    """Two hundred within exactly ten seconds are one; a nanosecond less is none."""
    first = [(0.0, 900.0)] * 199
    assert filled(*first, (10.0, 900.0)).p95_ms() == 900.0
    assert filled(*first, (10.0 - 1e-9, 900.0)).p95_ms() is None


def test_p95_when_decisions_are_few_then_is_no_window() -> None:
    """A minute with 199 decisions says nothing yet."""
    assert filled(*[(k, 900.0) for k in range(199)]).p95_ms() is None


@pytest.mark.parametrize(("slow", "is_broken"), [(10, False), (11, True)])
def test_is_broken_when_slow_ones_pass_five_percent_then_says_so(
    slow: int, *, is_broken: bool
) -> None:
    """Of 200, the 190th in order is the percentile: ten slow ones are behind it, eleven not."""
    window = filled(*[(k, 201.0 if k < slow else 1.0) for k in range(200)])
    assert window.is_broken is is_broken


def test_is_broken_when_the_bound_is_met_then_holds() -> None:
    """Exactly 200 ms is borne."""
    assert not filled(*[(k, 200.0) for k in range(200)]).is_broken


def test_add_when_slow_ones_are_long_past_then_forgets_them() -> None:
    """The window is the shortest that has its count and its time."""
    window = filled(*[(k, 999.0) for k in range(200)], *[(200 + k, 1.0) for k in range(200)])
    assert window.p95_ms() == 1.0


def test_add_when_one_more_comes_then_lets_the_first_go() -> None:
    """Eleven slow ones of 200 are too many; with the next one behind them ten are left."""
    decisions = [(k, 201.0 if k < 11 else 1.0) for k in range(201)]
    assert filled(*decisions[:200]).is_broken
    assert not filled(*decisions).is_broken


def test_add_when_decisions_are_dense_then_holds_a_bounded_number() -> None:
    """Memory has a bound, whatever the rate, and the guard is not deaf at it: 20,000 in 2 s."""
    n = guards.MOST_DECISIONS
    assert filled(*[(k * 1e-4, 300.0) for k in range(n - 1)]).p95_ms() is None
    assert filled(*[(k * 1e-4, 300.0) for k in range(n + 100)]).p95_ms() == 300.0
