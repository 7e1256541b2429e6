"""``python -m tests.chaos.jumping_clock``: the program ``tradewind`` on a wall clock that jumps.

All that asks for the time of day in this process gets it an hour or a day off, forwards and
backwards, or five seconds back, and another jump every few calls. Clocks that measure durations
are left alone: they never jump.
"""

import itertools
import time

_JUMPS_S = (0, 3_600, -3_600, 86_400, -86_400, -5)
_CALLS_PER_JUMP = 20
_NS_PER_S = 1_000_000_000

_real_ns = time.time_ns
_calls = itertools.count()


def jumping_ns() -> int:
    """Return the time of day as this process is told it."""
    jump = next(_calls) // _CALLS_PER_JUMP % len(_JUMPS_S)
    return _real_ns() + _JUMPS_S[jump] * _NS_PER_S


def jumping_s() -> float:
    """Return the same in seconds."""
    return jumping_ns() / _NS_PER_S


if __name__ == "__main__":
    time.time_ns, time.time = jumping_ns, jumping_s  # noqa: TID251  what the program does

    from agents.cli import main

    main()
