"""Requests under way while the broker is away: answered, in the log, and one decision a key."""

from pathlib import Path

import pytest

from streams.brokers.embedded import open_embedded
from tests.chaos.asking import ask_through_outages
from tests.chaos.faults import Place
from tests.runs import Outcome

pytestmark = pytest.mark.broker

_AWAY_S = 8.0


async def test_requests_when_the_broker_goes_then_every_answer_is_in_the_log_once(
    home: Path, fitted: str, undisturbed: Outcome, tmp_path: Path
) -> None:
    """The judge has nothing to say about targets, nor about decisions that were made aside."""
    broker = open_embedded(tmp_path, port=None, detach=False)
    place = Place(broker.bootstrap_servers, home, fitted, undisturbed, brokers=[broker])
    try:
        played = await ask_through_outages(place, seed=1, n=1, away_s=_AWAY_S)
    finally:
        place.brokers[-1].stop()
    assert played.violations == []
    assert played.n_aside > 0
