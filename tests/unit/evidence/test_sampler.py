"""Where a stack is, and what a thread has used."""

import sys
import threading
import time
from types import FrameType

import pytest

from tests.evidence import sampler
from tests.evidence.sampler import CHANGELOG, REST, Sampler, Stacks

PACKAGES = "/x/site-packages/"


def frame_in(*stack: tuple[str, str]) -> FrameType:
    """Return the innermost frame of a stack of functions in files, the outermost one first."""
    held: list[FrameType] = []

    def hold() -> None:
        held.append(sys._getframe(1))

    call = hold
    for file, function in reversed(stack):
        scope: dict[str, object] = {"inner": call}
        exec(compile(f"def {function}():\n    inner()\n", file, "exec"), scope)  # noqa: S102  a frame of a file that is not there
        call = scope[function]  # type: ignore[assignment]
    call()
    return held[0]


STAGE = (str(sampler._ROOT / "agents/stage.py"), "_step")
PERSIST = (str(sampler._ROOT / "agents/stage.py"), "_persist")


@pytest.mark.parametrize(
    ("stack", "part"),
    [
        ([STAGE], "loop"),
        ([STAGE, (str(sampler._ROOT / "models/features/sliding.py"), "step")], "steps"),
        ([STAGE, (PACKAGES + "numpy/linalg/linalg.py", "norm")], "loop"),
        ([STAGE, (str(sampler._ROOT / "agents/risk.py"), "_outputs")], "encoding"),
        ([STAGE, (str(sampler._ROOT / "agents/risk.py"), "fold")], "decisions"),
        ([(PACKAGES + "aiokafka/conn.py", "send")], "transport"),
        ([PERSIST, (str(sampler._ROOT / "agents/signals.py"), "snapshot")], CHANGELOG),
        ([("/elsewhere.py", "run")], REST),
    ],
)
def test_part_of_when_the_innermost_known_frame_decides_then_is_its_part(
    stack: list[tuple[str, str]], part: str
) -> None:
    """What a library does counts for who asked, and all of a snapshot for the changelog."""
    # The test's own frames are below the stack, and are in no part.
    assert Stacks().part_of(frame_in(*stack))[0] == part


def test_sample_when_a_thread_works_then_finds_what_it_used() -> None:
    """The clock of the thread says how much, whatever else the machine does."""
    looked = Sampler(0)
    looked._sample()
    before = time.thread_time_ns()
    while time.thread_time_ns() - before < 20_000_000:
        pass
    looked._sample()
    used = time.thread_time_ns() - before
    found = sum(ns for _, part, ns in looked.used().buckets if part != "transport")
    assert 0.9 * 20_000_000 <= found <= 1.1 * used + 5_000_000
    assert looked._main == threading.main_thread().ident
