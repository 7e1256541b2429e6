"""The judge on a real run: it passes, and the smallest defects of each kind are found."""

import asyncio
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.chaos.defects import DEFECTS, Defect
from tests.chaos.judge.record import all_records
from tests.chaos.judge.recording import RecordedSource, write
from tests.chaos.judge.trial import judge
from tests.chaos.planting import Kept, body
from tests.chaos.recorded import record

pytestmark = [pytest.mark.broker, pytest.mark.postgres]

_RUN = "judged"
_SEED = 7
_ASKED = ("--clean", "--least=I7=1")

# One or two for each invariant, I1 to I7; ``tradewind evidence judge-mutants`` plants them all.
_HANDFUL = (
    "decision lost",
    "decision again, one digit changed",
    "two bars' decisions swapped",
    "fee off by 1e-16",
    "order approved over MAX_NET_EXPOSURE",
    "tick of a list lost",
    "good tick told as one that came twice",
    "good report told as refused, and not copied",
    "decision made aside lost",
    "good order told as refused",
    "cash of a row off by 1e-16",
)


@pytest.fixture(scope="module")
def recording(
    broker: str, home: Path, fitted: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a file with a short run that has a bit of everything in it."""
    path = tmp_path_factory.mktemp("judged") / "run.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRADEWIND_HOME", str(home.parent))
        asyncio.run(record(broker, home, fitted, _RUN, path))
    return path


@pytest.fixture(scope="module")
def sound(recording: Path) -> Kept:
    """Return the recording in memory; copies of it are changed."""
    return Kept(RecordedSource(recording))


def _command(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.chaos.judge", *options],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_judge_when_the_run_is_sound_then_finds_nothing(sound: Kept) -> None:
    """Restarts, bad ticks, people, targets, decisions made aside and a venue break nothing."""
    verdict = judge(sound)
    assert verdict.broken() == (), verdict.table()
    assert verdict.holds()
    kinds = {body(record).get("record") for record in all_records(sound, "portfolio-events")}
    assert {"order_intent", "target_intent", "decided_intent"} <= kinds
    assert not any("not compared" in note for note in verdict.audit.notes)


def test_judge_when_the_run_goes_on_then_what_is_on_its_way_is_not_missing(
    sound: Kept,
) -> None:
    """Bars behind the last account of a portfolio are judged when it is there."""
    kept = sound.copy()
    for partition in range(kept.topics()["portfolio-snapshots"]):
        del kept.of["portfolio-snapshots", partition][-40:]
    verdict = judge(kept, is_running=True)
    assert verdict.broken() == (), verdict.table()
    assert "I4" in judge(kept).broken()


def test_judge_when_the_input_is_said_to_be_clean_then_no_dead_letter_is_allowed(
    sound: Kept,
) -> None:
    """The same run with bad ticks in it: each refusal is right, and there should be none."""
    verdict = judge(sound, is_clean=True)
    assert verdict.broken() == ("I6",)
    assert verdict.flow.first is not None
    assert verdict.flow.first.expected == "none: the input is clean"


def test_judge_when_too_little_was_checked_then_does_not_hold(sound: Kept) -> None:
    """A promise at which nobody has looked is not kept, though nothing of it is broken."""
    kept = sound.copy()
    verdict = judge(kept, least={"I5": 10**9})
    assert (verdict.broken(), verdict.unseen()) == ((), ("I5",))
    assert not verdict.holds()
    assert "too little was checked" in verdict.table()


@pytest.mark.parametrize(
    "defect", [d for d in DEFECTS if d.name in _HANDFUL], ids=lambda d: f"{d.code} {d.name}"
)
def test_judge_when_a_defect_is_planted_then_its_invariant_finds_it(
    sound: Kept, defect: Defect
) -> None:
    """One record of thousands, or one unit of 1e-16, is enough."""
    kept = sound.copy()
    defect.act(kept, Random(_SEED))  # noqa: S311  a seeded place
    assert defect.code in judge(kept).broken()


def test_program_when_the_broker_has_the_run_then_says_what_holds(
    recording: Path, broker: str, home: Path
) -> None:
    """Without a database the rows are not compared, and that is said."""
    del recording  # the run must have been played
    artifacts = home / "artifacts"
    ended = _command(f"--bootstrap={broker}", f"--run={_RUN}", f"--artifacts={artifacts}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "no rows are at hand" in ended.stdout
    ended = _command(f"--bootstrap={broker}", f"--run={_RUN}", f"--artifacts={artifacts}", *_ASKED)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "none: the input is clean" in ended.stdout
    assert "too little was checked; expected at least 1" in ended.stdout


def test_program_when_the_recording_has_a_defect_then_ends_with_one_and_its_place(
    sound: Kept, tmp_path: Path
) -> None:
    """A script sees the verdict by the exit status, a person where to look."""
    kept = sound.copy()
    kept.of["trading-decisions", 0].pop()
    write(kept, tmp_path / "changed.parquet")
    ended = _command(f"--recording={tmp_path / 'changed.parquet'}")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "expected one on" in ended.stdout


def test_program_when_there_is_no_such_run_then_cannot_judge(recording: Path, broker: str) -> None:
    """Nothing found is no verdict."""
    del recording
    ended = _command(f"--bootstrap={broker}", "--run=nobody")
    assert ended.returncode == 2
    assert "is it --run?" in ended.stderr
