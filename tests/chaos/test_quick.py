"""The faults of every push: few strikes, each of another kind, on runs that several of them share.

``make nightly`` plays them by the hundred; deaths at failpoints and outages have their own files,
and the database's faults are those of the test of the archive.
"""

import random
from functools import partial
from pathlib import Path

import pytest

from streams.sources.synthetic import SyntheticTape
from tests.chaos.campaign import follow, play
from tests.chaos.faults import Fault, How, Place, kill
from tests.chaos.tick_faults import DamagedTape, DisorderedTape
from tests.chaos.worker_faults import REFUSED_BARS, ROLL, jump, refuse, sleep
from tests.runs import Outcome

pytestmark = pytest.mark.broker

_SEED = 3

# Longer than the session time-out of 10 s, so that another has the partitions when it wakes.
_ASLEEP_S = 12.0

_SHORT = SyntheticTape(symbols=8, bars=90, ticks_per_bar=18, seed=6)


@pytest.fixture
def place(broker: str, home: Path, fitted: str, undisturbed: Outcome) -> Place:
    """Return where the runs are played."""
    return Place(broker, home, fitted, undisturbed)


async def test_workers_when_ended_in_order_then_say_the_same_and_nothing_twice(
    place: Place,
) -> None:
    """A rolling restart of two workers: SIGTERM ends a step, keeps its state and commits."""
    played = await play(place, ROLL, _SEED, n=3)
    assert played.violations == []
    assert played.n_repeats == 0
    assert len(played.recoveries_s) == 3


async def test_worker_when_refused_misled_frozen_and_killed_then_decisions_are_the_same(
    place: Place,
) -> None:
    """A changelog that refuses, a clock that jumps, a sleeper that wakes up, a SIGKILL: no byte."""
    behind = 50 + REFUSED_BARS
    asleep = partial(sleep, asleep_s=_ASLEEP_S)
    plan = {50: refuse, behind: jump, 180: asleep, 255: kill, 280: kill}
    draw = random.Random(_SEED)  # noqa: S311  a seeded experiment
    played = await follow(place, "rough", plan, draw)
    assert played.violations == []
    assert played.n_strikes == len(plan)
    assert len(played.under_way) == 2
    assert all(n > 0 for n in played.under_way)  # bars were sent that nobody had decided yet


async def test_run_when_ticks_are_damaged_and_in_disorder_then_every_one_is_accounted_for(
    place: Place,
) -> None:
    """Late, twice, swapped, missing, and one in ten unusable: the judge makes the same bars."""
    tape = DisorderedTape(DamagedTape(_SHORT, 0.1, _SEED), _SEED)
    played = await play(place, _still("damaged-and-disordered", tape), _SEED)
    assert played.violations == []


async def test_run_when_every_tick_of_some_bars_is_damaged_then_goes_on_behind_them(
    place: Place,
) -> None:
    """Bars without one good tick have no rows, and time passes all the same."""
    played = await play(place, _still("all-damaged", DamagedTape(_SHORT, 1.0, _SEED)), _SEED)
    assert played.violations == []


def _still(name: str, tape: DamagedTape) -> Fault:
    """Return a run whose only fault is its tape."""

    async def nothing(_: object) -> None:
        """Do nothing."""

    # Features warm up longer than this tape is, so nothing is ordered.
    how = How(equal=False, clean=False, tape=tape, least=("I5=0",))
    return Fault(name, "every tick is accounted for", nothing, 1, how)
