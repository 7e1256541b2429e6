"""Faults beside kills, outages and rebalances: what is promised, and how often each is played."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from streams.failpoints import STEP
from streams.topics import EXECUTIONS
from tests.chaos.asking import ask_and_die, ask_through_outages
from tests.chaos.cache_faults import read_through_faults
from tests.chaos.campaign import Played, begin_together, die, feed, flood, follow, judged, play
from tests.chaos.explain_faults import die_in_explain
from tests.chaos.faults import Fault, How, Place, Struck, outage
from tests.chaos.groups import settled
from tests.chaos.load_faults import double_load, kill_wide, slow_consumer
from tests.chaos.recorded import PORTFOLIOS, execution
from tests.chaos.recovery_faults import OUTAGE_RECOVERING
from tests.chaos.row_faults import (
    AWAY_FROM_BAR,
    DIE_IN_ARCHIVE,
    ROWS,
    freeze_until_the_end,
    kill_until_the_end,
)
from tests.chaos.tick_faults import damaged, disordered
from tests.chaos.worker_faults import JUMP, REFUSE, REFUSED_BARS, ROLL, SLEEP
from tests.runs import TAPE, Moment, Trial

_JITTER_BARS = 10
# The second worker joins, and the tape is long enough for both to be at work when the broker goes.
_JOINS, _OUTAGES = 40, (300, 600)
_REFUSALS = range(30, 930, REFUSED_BARS + _JITTER_BARS)

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

    async def all_booked(struck: Struck) -> None:
        """Compare the reports that were sent with those that were booked, by their names."""
        sent = {f"v{bar}-{n}" for bar in bars for n in range(_REPORTS)}
        found: dict[str, set[bytes]] = {}
        for record in await struck.trial.records(EXECUTIONS.name):
            name = msgspec.json.decode(record.value)["venue_execution_id"]
            found.setdefault(name, set()).add(record.value)
        booked = {name for name, values in found.items() if len(values) == 1}
        if not sent or sent != booked:
            struck.violations.append(
                f"{len(sent & booked)} of {len(sent)} reports are booked once, "
                f"{len(found.keys() - sent)} are of nobody"
            )

    return await die(place, deaths, seed, how, reports, all_booked)


async def _refused(place: Place, seed: int) -> Played:
    """Let changelogs refuse, far enough from each other for every stage to have met it."""
    draw = random.Random(seed)  # noqa: S311  a seeded experiment
    drawn = draw.sample(_REFUSALS, REFUSE.per_run)
    plan = {bar + draw.randrange(_JITTER_BARS): REFUSE.strike for bar in sorted(drawn)}
    return await follow(place, f"{REFUSE.name}-{seed}", plan, draw, REFUSE.how)


async def _outages_of_two(place: Place, seed: int) -> Played:
    """Let the broker go twice while two workers share the partitions, both at work."""
    draw = random.Random(seed)  # noqa: S311  a seeded experiment

    async def join(trial: Trial) -> None:
        trial.start("1")
        await settled(trial, 2)

    async def run(struck: Struck) -> None:
        struck.trial.start()
        plan = {bar + draw.randrange(_JITTER_BARS): outage for bar in _OUTAGES}
        await feed(struck, plan, How(), {_JOINS: join})
        if not all(n > 0 for n in struck.under_way):
            struck.violations.append(f"no work under way: {struck.under_way} bars")

    return await judged(place, f"outage-of-two-{seed}", draw, run, How())


async def _rows_away(place: Place, seed: int) -> Played:
    """Take the database away for nearly a whole tape, killed and frozen in turn."""
    strike = (kill_until_the_end, freeze_until_the_end)[seed % 2]
    draw = random.Random(seed)  # noqa: S311  a seeded experiment
    return await follow(place, f"rows-away-{seed}", {AWAY_FROM_BAR: strike}, draw, ROWS.how)


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
        _refused,
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
        "rows-away",
        "PostgreSQL killed or frozen for nearly a whole tape, back shortly before its end",
        f"{_SAME} meanwhile; every row once in the end",
        4,
        _rows_away,
    ),
    Promise(
        "archive",
        "a death at each failpoint of the archive: rows half copied, offsets not yet committed",
        f"{_SAME}; every row once in the end",
        12,
        _of(DIE_IN_ARCHIVE),
    ),
    Promise(
        "asking",
        "the broker stopped or killed for 20 s under requests, half the workers killed as well",
        "every answer is a decision in the log, every key has one",
        20,
        ask_through_outages,
    ),
    Promise(
        "spill",
        "a death at each failpoint of the outage buffer under requests: half written, not synced",
        "every answer is a decision in the log, every key has one",
        6,
        ask_and_die,
    ),
    Promise(
        "outage-of-two",
        "the broker stopped or killed for 60 s under two workers",
        _SAME,
        6,
        _outages_of_two,
    ),
    Promise(
        "outage-recovering",
        "the broker frozen for 45 s or killed for 20 s while a worker recovers from kill -9",
        f"{_SAME}, by the same worker or one that is started when it ends",
        6,
        _of(OUTAGE_RECOVERING),
    ),
    Promise(
        "kill-wide",
        "kill -9 at random moments while 400 symbols are decided, twelve bars on their way",
        _SAME,
        30,
        kill_wide,
    ),
    Promise(
        "slow",
        "a consumer of decisions that reads one a second",
        f"{_SAME}, memory grows by at most 200 MB",
        5,
        slow_consumer,
    ),
    Promise(
        "double",
        "200 symbols, 20,000 ticks and 400 decisions a second for twelve minutes, ten of them warm",
        f"{_SAME}, at most 12 bars behind, memory grows by at most 200 MB",
        2,
        double_load,
    ),
    Promise(
        "cache",
        "Redis killed, frozen, flushed, full of nonsense, 3 s each, while features are read",
        f"{_SAME}; no answer older than the last decided bar",
        12,
        read_through_faults,
    ),
    Promise(
        "execution",
        "a death at each failpoint of the stage that takes executions",
        "every report is booked once",
        18,
        _die_in_execution,
    ),
    Promise(
        "explain",
        "a death at each failpoint of the worker that explains decisions",
        "the same explanations to the byte as of the same decisions in one go",
        21,
        die_in_explain,
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
        "together",
        "two workers that begin a run within a second, while its first ticks come",
        "every tick in a bar, every slot decided",
        20,
        begin_together,
    ),
    Promise(
        "flood",
        "all ticks of a tape at once",
        f"{_SAME}, memory grows by at most 200 MB",
        20,
        flood,
    ),
)
