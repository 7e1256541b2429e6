"""The only reader of the machine's clock."""

import re
import time

import pytest

from streams import clock


def test_wall_when_read_then_is_the_machines_time_in_nanoseconds() -> None:
    """The wall clock lies between two readings of the machine's."""
    before = time.time_ns()
    assert before <= clock.wall_ns() <= time.time_ns()


def test_monotonic_when_read_twice_then_does_not_go_back() -> None:
    """Durations are never negative."""
    assert clock.monotonic_s() <= clock.monotonic_s()


def test_run_stamp_when_the_second_is_known_then_is_that_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names of runs sort by time and hold no colon."""
    monkeypatch.setattr(clock, "wall_ns", lambda: 1_704_153_661_999_999_999)
    assert clock.run_stamp() == "20240102t000101"


def test_random_id_when_drawn_often_then_never_repeats() -> None:
    """Ids without meaning are 128 random bits in hex."""
    drawn = {clock.random_id() for _ in range(100)}
    assert len(drawn) == 100
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in drawn)
