"""Failpoints: armed by one variable, they end the process at the named visit and nowhere else."""

import subprocess
import sys

import pytest

from streams.errors import SettingsError
from streams.failpoints import EXIT_STATUS, Failpoint

VISITS = """
from streams.failpoints import reach
for n in range(1, 5):
    reach("risk", "before-send"), reach("bars", "after-ack")
    print(n, flush=True)
"""


@pytest.mark.parametrize(
    ("armed", "status", "said"),
    [
        ({}, 0, ["1", "2", "3", "4"]),
        ({"TRADEWIND_FAILPOINT": "risk.before-send:3"}, EXIT_STATUS, ["1", "2"]),
        ({"TRADEWIND_FAILPOINT": "bars.after-ack"}, EXIT_STATUS, []),
        ({"TRADEWIND_FAILPOINT": "risk.after-ack"}, 0, ["1", "2", "3", "4"]),
    ],
)
def test_process_when_it_comes_to_the_place_then_ends_there(
    armed: dict[str, str], status: int, said: list[str]
) -> None:
    """At the third visit of three asked for; another stage's place is another place."""
    ended = subprocess.run(
        [sys.executable, "-c", VISITS], env=armed, capture_output=True, check=False, text=True
    )
    assert (ended.returncode, ended.stdout.split()) == (status, said)


@pytest.mark.parametrize(
    "text", ["", "risk", "risk.", ".after-ack", "risk.never", "risk.after-ack:x"]
)
def test_failpoint_when_misspelt_then_is_refused(text: str) -> None:
    """A test that kills nothing proves nothing."""
    with pytest.raises(SettingsError, match="TRADEWIND_FAILPOINT was"):
        Failpoint(text)
