"""Rollouts on the wire, and the epochs that they make."""

import msgspec
import pytest

from models.rollout.stages import Act, Rollout, start, step
from streams.epochs import Challenge
from streams.errors import RecordError
from streams.rollouts import FeatureFlag
from tables.archive import run_key
from tables.rollout import (
    AB_RESULTS,
    epoch_by,
    read_stage_record,
    result_rows,
    rollout_of,
    state_event,
)
from tables.stores.migrations import migrations
from tests.builders import epoch

OLD, NEW, OTHER = "0" * 64, "1" * 64, "2" * 64

FIGURES = {
    "n_decisions": 3, "n_refused": 1, "n_violations": 0, "p50_ms": 20.0, "p95_ms": None,
    "loss": 0.69, "earned_fraction": 0.01,
}  # fmt: skip
EVIDENCE = {
    "n_bars": 500, "n_rows": 900, "reasons_against": [], "champion": FIGURES,
    "challenger": FIGURES, "loss_lower": -0.01, "loss_upper": 0.01, "loss_degradation_pct": 0.5,
    "earned_lower": None, "earned_upper": None, "agreement_pct": 99.0, "weight_distance": 0.1,
    "target_correlation": 0.98, "largest_target_difference": 0.2, "window_p95_ms": 30.0,
    "n_champion_units": 9, "n_challenger_units": 1, "n_misplaced_units": 0,
    "sample_ratio_p_value": None, "judged_seconds": 600_000.0,
}  # fmt: skip


def begun() -> Rollout:
    """Return a rollout in shadow."""
    return start("r1", OLD, NEW, Act("start", 1_700_000_000_000_000_001, "me", "try it"))


def advanced(rollout: Rollout) -> Rollout:
    """Return it one stage further, with evidence."""
    return step(rollout, Act("advance", 1_700_000_001_000_000_000, "automatic", "", (), EVIDENCE))


def test_record_when_read_back_then_is_the_same_rollout() -> None:
    """Nothing is lost on the wire, neither the nanosecond nor the evidence."""
    rollout = advanced(begun())
    raw = msgspec.json.encode(state_event(rollout))
    assert read_stage_record(raw) == rollout
    assert rollout_of(state_event(rollout)) == rollout
    assert msgspec.json.decode(raw)["event_type"] == "rollout"


def test_record_when_it_is_a_flag_then_is_read_as_one() -> None:
    """Both kinds are in one log, and say which they are."""
    flag = FeatureFlag(
        timestamp="2026-01-01T00:00:00Z", name="auto-advance", is_on=False, by="me", reason=""
    )
    assert read_stage_record(msgspec.json.encode(flag)) == flag


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "NOT_JSON"),
        (b'{"event_type":"other"}', "WRONG_TYPE"),
        (
            msgspec.json.encode(msgspec.structs.replace(state_event(begun()), transitions=[])),
            "NO_TRANSITIONS",
        ),
    ],
)
def test_record_when_it_is_none_then_is_refused(raw: bytes, reason: str) -> None:
    """What the role cannot have written has a name."""
    with pytest.raises(RecordError) as caught:
        read_stage_record(raw)
    assert caught.value.reason == reason


def test_epoch_when_a_rollout_goes_on_then_follows_it() -> None:
    """Shadow, shares, the end and the way back are epochs of the same universe and accounts."""
    first, rollout = epoch(models=OLD), begun()
    shadow = epoch_by(first, rollout)
    assert shadow == epoch(models=OLD, rollout=Challenge(id="r1", challenger=NEW))
    assert shadow is not None
    few = epoch_by(shadow, advanced(rollout))
    assert few == epoch(models=OLD, rollout=Challenge(id="r1", challenger=NEW, share=0.05))
    assert few is not None
    held = step(advanced(rollout), Act("hold", 1_700_000_002_000_000_000, "me"))
    assert epoch_by(few, held) == few
    every = advanced(advanced(advanced(rollout)))
    beside = epoch_by(few, every)
    assert beside == epoch(models=OLD, rollout=Challenge(id="r1", challenger=NEW, share=1.0))
    assert beside is not None
    done = advanced(every)
    everything = epoch_by(beside, done)
    assert everything == epoch(models=NEW)
    assert everything is not None
    back = step(done, Act("rollback", 1_700_000_003_000_000_000, "me"))
    assert epoch_by(everything, back) == first
    assert epoch_by(few, step(rollout, Act("rollback", 1_700_000_003_000_000_000, "me"))) == first


def test_epoch_when_others_decide_then_stays() -> None:
    """Who was put in charge by hand is not replaced by a rollout of others."""
    assert epoch_by(epoch(models=OTHER), begun()) is None


def test_rows_when_a_rollout_went_on_then_each_arm_has_its_own() -> None:
    """Two rows a transition; numbers of the evidence where there is one, else null."""
    of = run_key("s-1", "")
    table, values = result_rows(of, state_event(advanced(begun())))
    assert (table, len(values)) == (AB_RESULTS, 4)
    rows = [dict(zip(table.columns, row, strict=True)) for row in values]
    assert [(r["transition"], r["arm"], r["models"]) for r in rows] == [
        (0, "champion", OLD), (0, "challenger", NEW), (1, "champion", OLD), (1, "challenger", NEW),
    ]  # fmt: skip
    assert {r["n_bars"] for r in rows[:2]} == {None}
    assert rows[3]["n_bars"] == 500
    assert (rows[3]["loss_nats"], rows[3]["decided_by"], rows[3]["stage"]) == (
        0.69,
        "automatic",
        "5%",
    )
    assert msgspec.json.decode(rows[3]["evidence"]) == EVIDENCE
    made = "".join(step.up for step in migrations())
    assert all(f"    {name} " in made for name in table.columns)
