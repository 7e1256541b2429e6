"""All interleavings of three orders, with a crash at every point."""

import logging
import os
from pathlib import Path

import pytest

from tests.simulation.small_model import ENDS, walk

# Millions of calls: to trace each for coverage takes twice as long as the walk itself.
pytestmark = pytest.mark.no_cover

IS_NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the fold's own alarms out."""
    caplog.set_level(logging.CRITICAL, "tradewind.risk")


@pytest.mark.timeout(3_600 if IS_NIGHTLY else 300)
@pytest.mark.parametrize("ends", [ENDS if IS_NIGHTLY else ENDS[:1]])
def test_orders_when_all_fit_then_every_interleaving_is_walked(
    tmp_path: Path, ends: tuple[str, ...]
) -> None:
    """Nine events of three lives: 9! / (3!)^3 orders, times the ends, each with every crash."""
    counts = walk(tmp_path, "two symbols", ends)
    assert counts.interleavings == 1_680 * len(ends) ** 3
    assert counts.crashes == 2 * counts.steps


@pytest.mark.parametrize("layout", ["three symbols", "one symbol"])
def test_orders_when_not_all_fit_then_no_crash_changes_what_is_approved(
    tmp_path: Path, layout: str
) -> None:
    """What is refused depends on what was cancelled before, and on nothing else."""
    counts = walk(tmp_path, layout)
    assert 1_680 < counts.interleavings < 1_680 * len(ENDS) ** 3
    assert counts.crashes == 2 * counts.steps
