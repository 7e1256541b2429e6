"""Long stories under the judge: a few that hypothesis can shrink, and many by seed."""

import logging
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from models.risk.controls import CONTROLS
from tests.simulation.bulk import play_many
from tests.simulation.rules import RULES
from tests.simulation.setting import Draw, setting
from tests.simulation.story import Story

# Millions of calls, which coverage would trace.
pytestmark = pytest.mark.no_cover

IS_NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
N_STEPS = 1_000_000 if IS_NIGHTLY else 20_000
# The seeds of every push; at night they are drawn, and printed.
FIRST_SEED = random.SystemRandom().randrange(10**9) if IS_NIGHTLY else 1

DRAWS = st.randoms(use_true_random=False)
ACTIONS = [action for action, weight in RULES for _ in range(min(weight, 4))]


class RiskMachine(RuleBasedStateMachine):
    """The rules of the stories, drawn by hypothesis, so that a failing log is made short."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()

    @initialize(draw=DRAWS)
    def begin(self, draw: Draw) -> None:
        """Draw a portfolio."""
        has_hours = draw.choice((False, True))
        self.story = Story(Path(self.folder.name), setting(draw), has_hours=has_hours).warm()

    @rule(draw=DRAWS, action=st.sampled_from(ACTIONS))
    def happen(self, draw: Draw, action: Any) -> None:  # noqa: ANN401  a rule of the stories
        """Let something happen; the judge speaks up by raising."""
        action(self.story, draw)

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.folder.cleanup()


TestRiskMachine = RiskMachine.TestCase


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the fold's own alarms out: they are meant to sound here."""
    caplog.set_level(logging.CRITICAL, "tradewind.risk")


@pytest.mark.timeout(6 * 3_600 if IS_NIGHTLY else 300)
def test_stories_when_played_by_seed_then_no_limit_is_broken_at_any_prefix(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every record is judged: limits, ledger, reservations, tightness, bytes after restarts."""
    tally = play_many(N_STEPS, FIRST_SEED)
    with capsys.disabled():
        print(f"\nfrom seed {FIRST_SEED}: {tally}")  # noqa: T201  the count is the result
    assert tally.steps >= N_STEPS
    assert min(tally.restarts, tally.approved, tally.letters) > N_STEPS // 200
    assert tally.codes.keys() == {code for control in CONTROLS for code in control.codes}
