"""What hangs in an end in order does not keep a process from being started again."""

import os
import time

import pytest

from streams.late_end import end_late


def test_end_when_it_takes_too_long_then_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the code of a failure, by which whoever keeps it starts it again."""
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    end_late(0.0)
    deadline_s = time.monotonic() + 10.0
    while not ended and time.monotonic() < deadline_s:
        time.sleep(0.001)
    assert ended == [1]
