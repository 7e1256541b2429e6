"""Each point of a step and each stage, once in every push: the worker dies there and comes back."""

from pathlib import Path

import pytest

from streams.failpoints import STEP
from tests.chaos.campaign import die
from tests.chaos.faults import STAGES, Place
from tests.runs import Outcome

pytestmark = pytest.mark.broker


def test_plan_when_read_then_has_every_point_and_every_stage() -> None:
    """The quick profile leaves out pairs, and neither a point nor a stage."""
    assert {point for _, point, _ in QUICK} == set(STEP)
    assert {stage for stage, _, _ in QUICK} == set(STAGES)


QUICK = (
    ("bars", "after-fetch", 40),
    ("features", "before-send", 20),
    ("regime", "after-send", 10),
    ("weights", "after-ack", 10),
    ("prediction", "after-send", 10),
    ("risk", "before-send", 10),
    ("risk", "after-send", 5),
    ("risk", "before-table", 1),
    ("risk", "after-table", 1),
    ("risk", "before-commit", 1),
)


async def test_worker_when_it_dies_at_the_failpoints_then_decisions_are_the_same(
    broker: str, home: Path, fitted: str, undisturbed: Outcome
) -> None:
    """Nothing is lost, nothing has other bytes, whatever was half done."""
    played = await die(Place(broker, home, fitted, undisturbed), QUICK, seed=1)
    assert played.violations == []
    assert played.n_strikes == len(QUICK)
