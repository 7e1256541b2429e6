"""``python -m tests.chaos.jumping_clock``: the program ``tradewind`` on a wall clock that jumps.

All that asks for the time of day in this process gets it right or off by as many seconds as the
environment says, drawn anew every few calls: it jumps there and back. A fixed order could keep step
with the calls of a decision, which then never shows one of the two. Clocks that measure durations
are left alone: they never jump.
"""

import itertools
import os
import random
import time

VARIABLE = "JUMP_S"
NS_PER_S = 1_000_000_000
_CALLS_PER_JUMP = 20

_real_ns = time.time_ns
_calls = itertools.count()
_draw = random.Random(0)  # noqa: S311  a seeded experiment
_off_ns = 0


def jumping_ns() -> int:
    """Return the time of day as this process is told it."""
    global _off_ns  # noqa: PLW0603  the clock's own state, as that of a machine's is
    if next(_calls) % _CALLS_PER_JUMP == 0:
        _off_ns = _draw.choice((0, int(os.environ[VARIABLE]) * NS_PER_S))
    return _real_ns() + _off_ns


def jumping_s() -> float:
    """Return the same in seconds."""
    return jumping_ns() / NS_PER_S


if __name__ == "__main__":
    time.time_ns, time.time = jumping_ns, jumping_s  # noqa: TID251  what the program does

    from agents.cli import main

    main()
