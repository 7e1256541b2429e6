"""The fold of a rollout."""

import pytest

from models.errors import Refused
from models.rollout import stages
from models.rollout.stages import Act, Kind, Rollout, is_due, start, step

HOUR = 3_600 * 10**9
DAY = 24 * HOUR


def begun() -> Rollout:
    """Return a rollout in shadow."""
    return start("r1", "old", "new", Act("start", 0, "me", "first"))


def act(kind: Kind, at_ns: int = 1) -> Act:
    """Return an act that the evidence carries."""
    return Act(kind, at_ns, "me", reasons_against=(), evidence={"n_bars": 500})


def all_the_way(at_ns: int = 1) -> Rollout:
    """Return a rollout that is done."""
    rollout = begun()
    for _ in stages.STAGES:
        rollout = step(rollout, act("advance", at_ns))
    return rollout


def test_start_when_begun_then_is_in_shadow() -> None:
    """Nobody is decided for, and the champion is named."""
    rollout = begun()
    assert (rollout.share, rollout.models, rollout.is_over) == (0.0, "old", False)
    assert [(t.kind, t.stage, t.by, t.reason) for t in rollout.transitions] == [
        ("start", "shadow", "me", "first")
    ]


@pytest.mark.parametrize(
    ("challenger", "dwell_ns", "code"), [("old", 1, "SAME_MODELS"), ("new", 0, "BAD_DWELL")]
)
def test_start_when_it_cannot_be_then_is_refused(challenger: str, dwell_ns: int, code: str) -> None:
    """Models against themselves are no rollout, and a stage has a length."""
    with pytest.raises(Refused, match=code):
        start("r1", "old", challenger, Act("start", 0, "me"), dwell_ns)


def test_start_when_a_stage_is_as_short_as_can_be_then_begins() -> None:
    """A nanosecond is a time above zero."""
    assert start("r1", "old", "new", Act("start", 5, "me"), 1).entered_ns == 5


def test_step_when_advanced_then_goes_through_all_shares() -> None:
    """5 %, 25 %, all, the end; each stage begins when it is entered, with its evidence."""
    rollout, shares = begun(), []
    for at_ns in (10, 20, 30, 40):
        assert (rollout.state, rollout.models) == ("running", "old")
        rollout = step(rollout, act("advance", at_ns))
        shares.append(rollout.share)
        assert rollout.entered_ns == at_ns
        assert rollout.transitions[-1].evidence == {"n_bars": 500}
    assert shares == [0.05, 0.25, 1.0, 1.0]
    assert (rollout.state, rollout.models) == ("done", "new")


def test_step_when_the_challenger_decides_for_all_then_is_a_stage_like_the_others() -> None:
    """It lasts, can be held, needs evidence to end, and goes back without any."""
    rollout = begun()
    for at_ns in (10, 20, 30):
        rollout = step(rollout, act("advance", at_ns))
    assert (rollout.share, rollout.is_over) == (1.0, False)
    assert not is_due(rollout, 30 + 7 * DAY - 1)
    assert is_due(rollout, 30 + 7 * DAY)
    with pytest.raises(Refused, match="NO_EVIDENCE"):
        step(rollout, Act("advance", 40, "me"))
    assert step(rollout, act("hold")).state == "held"
    assert step(rollout, Act("rollback", 40, "automatic", "slow")).share == 0.0


def test_step_when_there_is_no_evidence_then_never_advances() -> None:
    """No data never promotes, whoever asks; the state stays."""
    rollout = begun()
    with pytest.raises(Refused, match="NO_EVIDENCE"):
        step(rollout, Act("advance", 1, "me"))
    with pytest.raises(Refused, match="TOO_FEW_BARS"):
        step(rollout, Act("advance", 1, "me", reasons_against=("TOO_FEW_BARS",)))
    assert rollout.stage == 0


def test_step_when_held_then_waits_for_resume() -> None:
    """A held rollout does not advance, by itself or by hand, and keeps its stage's time."""
    held = step(begun(), act("hold"))
    assert not is_due(held, 100 * DAY)
    with pytest.raises(Refused, match="NOT_NOW"):
        step(held, act("advance"))
    resumed = step(held, act("resume"))
    assert (resumed.state, resumed.entered_ns) == ("running", 0)


@pytest.mark.parametrize(
    "kinds", [(), ("advance",), ("hold",), ("advance", "advance"), ("advance",) * 3]
)
def test_step_when_rolled_back_then_the_champion_decides(kinds: tuple[Kind, ...]) -> None:
    """From every stage, held or not, without evidence; and nothing goes on behind it."""
    rollout = begun()
    for kind in kinds:
        rollout = step(rollout, act(kind))
    back = step(rollout, Act("rollback", 9, "automatic", "slow"))
    assert (back.state, back.share, back.models, back.is_over) == ("rolled_back", 0.0, "old", True)
    for kind in ("advance", "hold", "resume", "rollback", "start"):
        with pytest.raises(Refused, match="NOT_NOW"):
            step(back, act(kind))


def test_step_when_done_within_four_weeks_then_can_be_undone() -> None:
    """The replaced champion is kept for 28 days, and no longer promised."""
    done = all_the_way()
    assert step(done, act("rollback", 1 + 28 * DAY)).models == "old"
    with pytest.raises(Refused, match="TOO_LATE"):
        step(done, act("rollback", 2 + 28 * DAY))


def test_step_when_held_and_resumed_for_ever_then_ends_at_a_bound() -> None:
    """The record of a rollout has a largest size; a rollback always goes."""
    rollout = begun()
    kinds: tuple[Kind, ...] = ("hold", "resume")
    for number in range(stages.MOST_TRANSITIONS - 1):
        rollout = step(rollout, act(kinds[number % 2]))
    with pytest.raises(Refused, match="TOO_MANY"):
        step(rollout, act("resume"))
    assert step(rollout, act("rollback")).is_over


def test_is_due_when_the_dwell_is_over_then_says_so() -> None:
    """Seven days by default, counted from the stage's begin."""
    assert not is_due(begun(), 7 * DAY - 1)
    assert is_due(begun(), 7 * DAY)
    assert not is_due(all_the_way(), 100 * DAY)
