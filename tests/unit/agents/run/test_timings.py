"""Seconds of the steps of a fit, by a clock that the test holds."""

from pathlib import Path

import pytest

from agents.run import timings
from agents.run.timings import Timings, kept


def test_timings_when_a_step_says_when_it_begins_then_its_first_pass_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Begun at 10 s, first heard of again at 14 s, done at 19 s: nine seconds; and what was passed.

    2,000 episodes in 4 s of the controller are 1,800,000 an hour.
    """
    times_s = iter((10.0, 14.0, 19.0, 30.0, 34.0))
    monkeypatch.setattr(timings, "monotonic_s", lambda: next(times_s))
    heard: list[tuple[str, float]] = []
    timed = Timings(lambda step, share: heard.append((step, share)))
    said = [("bull", 0.0), ("bull", 0.5), ("bull", 1.0), ("controller", 0.0), ("controller", 1.0)]
    for step, share in said:
        timed(step, share)
    timed.keep(tmp_path, "d", 2_000)
    assert heard == said
    assert kept(tmp_path, "d") == {
        "fit_seconds.bull": 9.0,
        "fit_seconds.controller": 4.0,
        "episodes_per_hour": 1_800_000.0,
    }
