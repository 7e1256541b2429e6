"""What ``tradewind explain`` says, and limits as they are typed."""

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from agents.cli import program
from agents.cli.explain import Answer, lines, status_of
from agents.cli.recompute import limits_of
from streams.errors import SettingsError
from tables.explanations import explanation
from tests.builders import models
from tests.unit.tables.test_explanations import at_bar, bars
from tests.unit.tables.views.played import TOO_MUCH, refused

AUDIT = {"row": 4, "partition": 1, "offset": 9, "is_proved": True, "head": 2}


def answer(**changed: object) -> Answer:
    """Return what is known of a refused purchase."""
    said = refused(1, TOO_MUCH)
    made = explanation(said, "demand", None, None)
    found = Answer(msgspec.to_builtins(said), made, is_stored=False, audit=AUDIT)
    return msgspec.structs.replace(found, **changed)


def test_lines_when_refused_then_name_control_way_out_and_proof() -> None:
    """The order, why not, what would have passed, and whether the record is proved."""
    assert lines(answer()) == [
        "main AAPL 1day 2026-01-02T21:00:00Z: BUY 120, refused",
        "  MAX_ASSET_FRACTION: the position would be too large",
        "  Would have passed: 80 (-40).",
        "No model: features were warming up, or the input was void: no model was asked.",
        "Audit trail: row 4 of partition 1, proved by signed head 2.",
    ]


def test_lines_when_nothing_would_have_passed_then_say_so() -> None:
    """An allowed quantity of zero is no order; a row without a head is not proved yet."""
    said = msgspec.structs.replace(refused(1, TOO_MUCH), allowed_quantity=0)
    made = explanation(said, "demand", None, None)
    found = answer(explanation=made, audit=AUDIT | {"is_proved": False})
    assert lines(found)[2] == "  Would have passed: nothing (-120)."
    assert lines(found)[-1].endswith("not proved (yet).")


def test_lines_when_the_model_is_explained_then_the_parts_stand_by_size() -> None:
    """Families first, then the largest single inputs, then each specialist."""
    made = explanation(at_bar(19), "demand", models(2), bars(20))
    told = lines(answer(explanation=made))
    families = [line.split()[0] for line in told[3:10]]
    assert families == sorted(made.families, key=lambda name: -abs(made.families[name]))
    assert sum(line.startswith("    ") for line in told) == 8
    assert [line.split()[0] for line in told if "specialist " in line] == [
        "bull",
        "bear",
        "sideways",
    ]


@pytest.mark.parametrize("is_identical", [True, False])
def test_lines_when_recomputed_then_say_whether_the_bytes_are_the_same(
    *, is_identical: bool
) -> None:
    """A difference is named by field, and where the fold began is told."""
    made = {
        "is_identical": is_identical,
        "differs_in": [] if is_identical else ["quantity"],
        "begin": 5,
        "beginning": "an empty book" if is_identical else "the stage's snapshot",
        "offset": 70,
    }
    line = lines(answer(recomputed=made))[-1]
    assert line == (
        "Recomputed: the same bytes; risk folded from an empty book, offsets 5 to 70."
        if is_identical
        else "Recomputed: DIFFERENT in quantity; risk folded from the stage's snapshot, offsets 5 "
        "to 70."
    )


@pytest.mark.parametrize(
    ("recomputed", "rebuilt", "status"),
    [(True, True, 0), (True, None, 3), (False, None, 1), (True, False, 1)],
)
def test_status_when_it_could_not_be_rebuilt_then_is_neither_success_nor_difference(
    *, recomputed: bool, rebuilt: bool | None, status: int
) -> None:
    """A script that asks for proof must not take silence for it."""
    assert status_of(answer()) == 0
    made = {"is_identical": recomputed}
    assert status_of(answer(recomputed=made, rebuilt={"is_identical": rebuilt})) == status


def test_lines_when_the_beginnings_are_deleted_then_say_what_is_kept_and_what_is_not() -> None:
    """What is missing by topic, and how far the proof goes all the same."""
    gone = [f"market-{what} begins at offsets 5: it was deleted" for what in ("ticks", "bars")]
    line = lines(answer(rebuilt={"is_identical": None, "missing": gone}))[-1]
    assert line.startswith(f"Not rebuilt: {gone[0]}; {gone[1]}. ")
    assert "none of these is kept. Kept are the decision's bytes, and the log of its book" in line


def test_lines_when_limits_were_other_then_say_what_would_have_been() -> None:
    """The counterfactual decision in one line."""
    other = {
        "limits": {"max_asset_fraction": 0.5},
        "action": "BUY",
        "quantity": 120,
        "approved": True,
        "refused_by": [],
    }
    assert lines(answer(what_if=other))[-1] == (
        "With max_asset_fraction 0.5 from this bar on: BUY 120, approved."
    )


@pytest.mark.parametrize("text", ["risk.max_leverage", "max_leverage=1", "risk.max_leverage=high"])
def test_limits_when_typed_wrong_then_say_what_was_expected(text: str) -> None:
    """A slip is named before anything is folded."""
    with pytest.raises(SettingsError, match="--what-if"):
        limits_of([text])


def test_explain_when_the_id_is_malformed_then_says_so_before_any_database_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way out is in the message; no server is started for what cannot be there."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    done = CliRunner().invoke(program(["explain"]), ["explain", "abc"])
    assert (done.exit_code, "the id was 'abc'; expected a UUID" in done.output) == (1, True)
    known = "00000000-0000-5000-8000-000000000001"
    done = CliRunner().invoke(program(["explain"]), ["explain", known])
    assert (done.exit_code, "expected one that exists: none yet" in done.output) == (1, True)
