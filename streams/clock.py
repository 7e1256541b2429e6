"""The only reader of the machine's clock and of its random ids; nothing that decides calls it."""

import time
import uuid
from datetime import UTC, datetime


def wall_ns() -> int:
    """Return the wall clock in nanoseconds since the epoch."""
    return time.time_ns()


def monotonic_s() -> float:
    """Return a clock that never goes back, in seconds, for time-outs and durations."""
    return time.monotonic()


def run_stamp() -> str:
    """Return the present second as ``YYYYMMDDthhmmss`` (UTC), for names of runs."""
    return datetime.fromtimestamp(wall_ns() // 1_000_000_000, UTC).strftime("%Y%m%dt%H%M%S")


def random_id() -> str:
    """Return a random id for something whose identity carries no meaning, such as a request."""
    return uuid.uuid4().hex  # noqa: TID251  this is the one place for random ids
