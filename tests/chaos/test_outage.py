"""The broker goes and comes back in the middle of a run: the worker waits, and nothing is lost."""

import random
from functools import partial
from pathlib import Path

import pytest

from streams.brokers.embedded import open_embedded
from tests.chaos.campaign import follow
from tests.chaos.faults import OUTAGE, Place, outage
from tests.runs import Outcome

pytestmark = pytest.mark.broker

# Longer than the group's session time-out, and than a produce request of the settings waits.
_AWAY_S = 22.0

# By this seed the broker is killed; `chaos-broker` stops it in order as well.
_KILLS = 1

# The worker has been at work for a while.
_BAR = 240


async def test_broker_when_it_is_killed_then_the_same_worker_goes_on_and_decides_the_same(
    home: Path, fitted: str, undisturbed: Outcome, tmp_path: Path
) -> None:
    """The broker's absence neither ends the worker nor changes a byte."""
    broker = open_embedded(tmp_path, port=None, detach=False)
    place = Place(broker.bootstrap_servers, home, fitted, undisturbed, brokers=[broker])
    plan = {_BAR: partial(outage, away_s=_AWAY_S)}
    draw = random.Random(_KILLS)  # noqa: S311  a seeded experiment
    try:
        played = await follow(place, "outage", plan, draw, OUTAGE.how)
    finally:
        place.brokers[-1].stop()
    assert played.violations == []
    assert played.n_repeats == 0
    assert all(n > 0 for n in played.under_way)  # bars were sent that nobody had decided yet
