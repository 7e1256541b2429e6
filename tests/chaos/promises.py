"""Faults beside kills, outages and rebalances: what is promised, and how often each is played."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from streams.failpoints import STEP
from tests.chaos.campaign import Played, die, flood, play
from tests.chaos.faults import Fault, How, Place
from tests.chaos.recorded import PORTFOLIOS, execution
from tests.chaos.row_faults import ROWS
from tests.chaos.tick_faults import damaged, disordered
from tests.chaos.worker_faults import JUMP, REFUSE, ROLL, SLEEP
from tests.runs import TAPE, Moment, Trial

# The stage keeps its progress and no state, so it writes no table.
_POINTS = tuple(point for point in STEP if point != "after-table")

# Bars before the first report: the book shall know what time it is.
_FIRST_REPORT = 20
# Of each bar: the stage keeps its progress after 256.
_REPORTS = 12


class Promise(NamedTuple):
    """One row: a fault, what must be so all the same, how often it is played, and one run of it."""

    name: str
    fault: str
    promise: str
    n: int
    run: Callable[[Place, int], Awaitable[Played]]


def _of(fault: Fault) -> Callable[[Place, int], Awaitable[Played]]:
    async def run(place: Place, seed: int) -> Played:
        return await play(place, fault, seed)

    return run


def _reported(bar: int) -> Moment:
    async def act(run: Trial) -> None:
        reports = (execution(bar, f"v{bar}-{n}", "partial_fill", 1) for n in range(_REPORTS))
        await asyncio.gather(*(report(run) for report in reports))

    return act


async def _die_in_execution(place: Place, seed: int) -> Played:
    """Die at every point of the stage that takes executions, while a venue reports some."""
    venue = tuple(one for one in PORTFOLIOS if one.venue == "external")
    bars = range(_FIRST_REPORT, len(TAPE.closes_ns()))
    reports = {bar: _reported(bar) for bar in bars}
    deaths = [("execution", point, 1) for point in _POINTS]
    how = How(equal=False, portfolios=venue, tape=TAPE)
    return await die(place, deaths, seed, how, reports)


async def _damaged(place: Place, seed: int) -> Played:
    return await play(place, damaged((1, 10, 100)[seed % 3], seed), seed)


async def _disordered(place: Place, seed: int) -> Played:
    return await play(place, disordered(seed), seed)


_SAME = "the same bytes as undisturbed"

PROMISES = (
    Promise(
        "roll",
        "SIGTERM to one of two workers, started again",
        f"{_SAME}, nothing said twice, ready in <= 3 s (P95)",
        100,
        _of(ROLL),
    ),
    Promise(
        "sleep",
        "SIGSTOP for twice the session time-out while another takes over, SIGCONT",
        f"{_SAME}, whatever the sleeper still writes",
        50,
        _of(SLEEP),
    ),
    Promise(
        "refuse",
        "a changelog topic that refuses every record",
        f"the worker ends at once; mended, {_SAME}",
        50,
        _of(REFUSE),
    ),
    Promise(
        "jump",
        "the wall clock of a worker jumps by 5 s, 1 h and 1 day, both ways",
        _SAME,
        20,
        _of(JUMP),
    ),
    Promise(
        "rows",
        "PostgreSQL killed, frozen, a table locked, the archive frozen, 1 to 8 s each",
        f"{_SAME} meanwhile; every row once in the end",
        80,
        _of(ROWS),
    ),
    Promise(
        "execution",
        "a death at each failpoint of the stage that takes executions",
        "every report is booked once",
        18,
        _die_in_execution,
    ),
    Promise(
        "damaged",
        "1, 10 and 100 % of the ticks of a third of the bars cannot be used",
        "every tick in a bar or a dead letter, every slot decided",
        9,
        _damaged,
    ),
    Promise(
        "disordered",
        "ticks late, twice, swapped and missing",
        "the bars of what came in time, once each, in time order",
        10,
        _disordered,
    ),
    Promise(
        "flood",
        "all ticks of a tape at once",
        f"{_SAME}, memory grows by at most 200 MB",
        20,
        flood,
    ),
)
