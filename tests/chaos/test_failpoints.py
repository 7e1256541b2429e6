"""Each point of a step and each stage, once in every push: the worker dies there and comes back.

On the real broker, and in this process with more pairs of stage and point.
"""

from pathlib import Path

import pytest

from models.features.catalogue import WARMUP_BARS
from streams.failpoints import STEP
from streams.sources.synthetic import SyntheticTape
from tests.chaos.campaign import die
from tests.chaos.faults import STAGES, Place
from tests.runs import Outcome
from tests.simulation.chain import Simulation

# Every second pair: each stage and each point is among them.
SIMULATED = [
    (stage, point, 1 + (i + j) % 3 * (point not in {"before-table", "after-table"}))
    for i, stage in enumerate(STAGES)
    for j, point in enumerate(STEP)
    if (i + j) % 2 == 0
]


def test_plan_when_read_then_has_every_point_and_every_stage() -> None:
    """The quick profile leaves out pairs, and neither a point nor a stage."""
    assert {point for _, point, _ in QUICK} == set(STEP)
    assert {stage for stage, _, _ in QUICK} == set(STAGES)
    assert {point for _, point, _ in SIMULATED} == set(STEP)
    assert {stage for stage, _, _ in SIMULATED} == set(STAGES)


# The book keeps its state behind 16 bars and a pause, or 64 steps: on a fast machine the tape is
# over before it has done so three times, unless the steps before that are few.
QUICK = (
    ("bars", "after-fetch", 8),
    ("signals", "before-send", 5),
    ("signals", "after-send", 3),
    ("signals", "after-ack", 4),
    ("signals", "after-fetch", 6),
    ("risk", "before-send", 3),
    ("risk", "after-send", 2),
    ("risk", "before-table", 1),
    ("risk", "after-table", 1),
    ("risk", "before-commit", 1),
)


@pytest.mark.broker
async def test_worker_when_it_dies_at_the_failpoints_then_decisions_are_the_same(
    broker: str, home: Path, fitted: str, undisturbed: Outcome
) -> None:
    """Nothing is lost, nothing has other bytes, whatever was half done."""
    played = await die(Place(broker, home, fitted, undisturbed), QUICK, seed=1)
    assert played.violations == []
    assert played.n_strikes == len(QUICK)


def test_stages_when_they_die_in_this_process_then_say_the_same(home: Path, fitted: str) -> None:
    """Real stages on a log that survives: every topic has the same values in the same order."""
    tape = SyntheticTape(symbols=4, bars=WARMUP_BARS + 60, ticks_per_bar=2, seed=5)
    simulation = Simulation(home, fitted, tape)
    assert simulation.dies(SIMULATED, seed=2) == ""
