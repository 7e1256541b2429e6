"""The chain by seeds: whatever befalls the workers, every topic has the same values in order."""

import logging
import os
import random
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.simulation.careless import ALL, Careless
from tests.simulation.chain import Simulation, play_many

pytestmark = pytest.mark.no_cover

IS_NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
# The seeds of every push, in parts that run beside one another; at night they are drawn.
N_SEEDS, N_PARTS = 200, 4
ALL_STRIKES = {
    "failpoint",
    "freeze",
    "join",
    "kill",
    "leave",
    "outage",
    "people",
    "quiet",
    "stop",
}
FIRST_SEED = random.SystemRandom().randrange(10**9) if IS_NIGHTLY else 1


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the stages' own alarms out: they are meant to sound here."""
    caplog.set_level(logging.CRITICAL, "tradewind")


@pytest.fixture(scope="module")
def simulation(home: Path, fitted: str) -> Simulation:
    """Return the chain as it stands before every seed."""
    return Simulation(home, fitted)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(N_PARTS))
def test_chain_when_workers_die_sleep_come_and_go_then_nothing_is_said_otherwise(
    simulation: Simulation, part: int
) -> None:
    """Two hundred seeds: rebalances, lag, deliveries again, crashes, outages, people who speak."""
    first = FIRST_SEED + part * N_SEEDS // N_PARTS
    strikes, wrong = play_many(simulation, range(first, first + N_SEEDS // N_PARTS))
    assert wrong == []
    assert strikes.keys() == ALL_STRIKES


@pytest.mark.parametrize("careless", ALL, ids=lambda one: one.name)
def test_chain_when_somebody_is_careless_then_a_seed_says_so(
    simulation: Simulation, careless: Careless
) -> None:
    """The seeds can fail: they find what is planted, what was a bug once among it."""
    with patch(careless.target, careless.instead):
        assert play_many(simulation, [careless.seed])[1] != []
    assert play_many(simulation, [careless.seed])[1] == []


def test_seed_when_played_twice_then_has_one_trace(simulation: Simulation) -> None:
    """Times, turns and bytes are the seed's alone."""
    first, second, other = (simulation.play(seed).trace for seed in (7, 7, 8))
    assert first == second != other
