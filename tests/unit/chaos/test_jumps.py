"""What a decision's time tells of the clock that its worker lives on."""

import pytest

from tests.chaos.jumping_clock import NS_PER_S
from tests.chaos.worker_faults import JUMPS_S, shows


@pytest.mark.parametrize("seen_s", [0, 2])
@pytest.mark.parametrize("jump_s", [0, *JUMPS_S])
def test_time_when_its_clock_has_jumped_then_shows_that_jump_alone(
    jump_s: int, seen_s: int
) -> None:
    """A clock that never jumps shows no jump, whenever its decision is seen."""
    late_ns = (seen_s - jump_s) * NS_PER_S
    assert [s for s in (0, *JUMPS_S) if shows(s, late_ns)] == [jump_s]


@pytest.mark.parametrize("late_s", [4.5, -0.5, 1_800, -7_200])
def test_time_when_its_clock_is_off_by_something_else_then_shows_nothing(late_s: float) -> None:
    """Nor does one that was seen too late to tell."""
    assert not any(shows(s, int(late_s * NS_PER_S)) for s in (0, *JUMPS_S))
