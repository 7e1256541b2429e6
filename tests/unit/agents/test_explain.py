"""The fold of explanations: once each, the same after any restart."""

from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from agents.explain import SNAPSHOT_DECISIONS, ExplainFold
from agents.stage import Output
from streams import metrics
from streams.dead_letters import DeadLetter
from streams.records import Decision
from streams.timestamps import format_ns, parse_ns
from streams.transport import Record
from tables.explanations import read_decision, read_explanation
from tables.stamped import Stamped
from tables.stores.artifacts import Artifacts
from tests.builders import models
from tests.unit.tables.test_explanations import at_bar
from tests.unit.tables.views.played import decision, refused

N_BARS = 24
NAMED = "00000000-0000-5000-b000-000000000001"


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Return a folder with the models of the decisions."""
    found = Artifacts(tmp_path)
    found.put_models(models(2))
    return found


def log(artifacts: Artifacts) -> list[Record]:
    """Return decisions of two portfolios about one symbol, and one from outside."""
    (digest,) = artifacts.list_models()
    made: list[Decision] = []
    for number in range(N_BARS):
        digests = msgspec.structs.replace(at_bar(number).digests, models=digest)
        made.append(at_bar(number, digests=digests))
        other = f"00000000-0000-5000-9000-{number:012x}"
        made.append(at_bar(number, digests=digests, portfolio="other", decision_id=other))
    made.append(refused(999, intent_id="mine"))
    return [record(offset, each) for offset, each in enumerate(made)]


def record(offset: int, said: Decision) -> Record:
    """Return a decision as it is read."""
    value = msgspec.json.encode(said)
    return Record("trading-decisions", 0, offset, b"main", value, [("epoch", b"1")])


def folded(fold: ExplainFold, records: list[Record]) -> list[Output]:
    """Fold records; none of them is a dead letter."""
    outputs = [output for each in records for output in fold.apply(each)]
    assert all(isinstance(output, Output) for output in outputs)
    return [output for output in outputs if isinstance(output, Output)]


def test_apply_when_decisions_come_then_each_is_explained_by_the_served_networks(
    artifacts: Artifacts,
) -> None:
    """Two portfolios have the same bar once in the window; an order from outside has no model."""
    outputs = folded(ExplainFold(artifacts, lambda _: None), log(artifacts))
    said = [read_explanation(output.value) for output in outputs]
    assert [output.key for output in outputs] == [each.decision_id.encode() for each in said]
    assert len(said) == 2 * N_BARS + 1
    assert {each.explained for each in said[:-1]} == {"model"}
    assert [a.families for a in said[:-1:2]] == [b.families for b in said[1:-1:2]]
    assert (said[-1].explained, said[-1].why) == ("controls", "refusal")


def test_apply_when_a_wish_between_two_bars_comes_then_the_model_is_explained(
    artifacts: Artifacts,
) -> None:
    """It says what its bar said, so the bars before it are known; of another bar they are not."""
    fold, records = ExplainFold(artifacts, lambda _: None), log(artifacts)
    bars = folded(fold, records[:-1])
    last = read_decision(records[-2].value or b"")
    late = format_ns(parse_ns(last.timestamp) + 30_000_000_000)
    wish = msgspec.structs.replace(last, decision_id=NAMED, timestamp=late, intent_id="wish")
    (output,) = folded(fold, [record(100, wish)])
    said = read_explanation(output.value)
    assert (said.explained, said.timestamp) == ("model", late)
    assert said.families == read_explanation(bars[-1].value).families
    older = read_decision(records[0].value or b"")
    other = msgspec.structs.replace(wish, features=older.features)
    (output,) = folded(fold, [record(101, other)])
    assert read_explanation(output.value).explained == "controls"
    assert (
        folded(fold, [record(102, msgspec.structs.replace(wish, timestamp=older.timestamp))]) == []
    )


@pytest.mark.parametrize("cut", [1, 7, 30, 48])
def test_apply_when_begun_again_from_a_snapshot_then_the_outputs_are_the_same(
    artifacts: Artifacts, cut: int
) -> None:
    """What was folded before the snapshot causes nothing, what comes after it the same bytes."""
    records = log(artifacts)
    whole = folded(ExplainFold(artifacts, lambda _: None), records)
    first = ExplainFold(artifacts, lambda _: None)
    before = folded(first, records[:cut])
    kept: dict[bytes, Stamped] = dict(first.snapshot().states)
    again = ExplainFold(artifacts, kept.get)
    after = folded(again, records[max(cut - 3, 0) :])
    assert [*before, *after] == whole
    assert first.snapshot().states == {}


def test_apply_when_risk_sends_a_bar_again_then_it_is_not_explained_again(
    artifacts: Artifacts,
) -> None:
    """A decision of before a restart of risk comes at a new offset; it was explained then."""
    fold, records = ExplainFold(artifacts, lambda _: None), log(artifacts)
    folded(fold, records)
    again = records[0]
    assert folded(fold, [again._replace(offset=99)]) == []


def test_apply_when_the_models_are_not_there_then_says_so_and_goes_on(tmp_path: Path) -> None:
    """The controls are explained; the detail names what is missing."""
    fold = ExplainFold(Artifacts(tmp_path), lambda _: None)
    digests = msgspec.structs.replace(at_bar(0).digests, models="ab" * 32)
    (output,) = folded(fold, [record(0, at_bar(0, digests=digests))])
    said = read_explanation(output.value)
    assert (said.explained, "not in the artifacts" in said.detail) == ("controls", True)


def test_apply_when_a_record_is_no_decision_then_it_is_a_dead_letter(tmp_path: Path) -> None:
    """Poison stops nothing and does not vanish."""
    fold = ExplainFold(Artifacts(tmp_path), lambda _: None)
    (letter,) = fold.apply(Record("trading-decisions", 0, 4, b"k", b"poison", []))
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.stage, letter.raw) == ("NOT_JSON", "explain", b"poison")
    assert fold.snapshot().next_offset == 5


def test_apply_when_a_decision_only_holds_then_most_are_left_out(tmp_path: Path) -> None:
    """One in sixteen by its id, and the bar counts all the same."""
    fold = ExplainFold(Artifacts(tmp_path), lambda _: None)
    held = decision(1, action="HOLD", quantity=0)
    other = msgspec.structs.replace(held, decision_id="00000001-0000-5000-8000-000000000001")
    assert len(folded(fold, [record(0, held)])) == 1
    assert folded(fold, [record(1, other)]) == []
    assert len(fold.snapshot().states) == 1


def test_snapshot_when_enough_was_read_then_is_due(tmp_path: Path) -> None:
    """A restart reads a bounded number of decisions again."""
    fold = ExplainFold(Artifacts(tmp_path), lambda _: None)
    fold.n_since = SNAPSHOT_DECISIONS - 1
    assert not fold.due()
    folded(fold, [record(0, decision(1, intent_id="x"))])
    assert fold.due()
    fold.snapshot()
    assert not fold.due()


def test_metrics_when_a_decision_is_not_reproduced_then_count_it(artifacts: Artifacts) -> None:
    """A confidence that other networks gave is an alarm, not a detail."""
    counter = metrics.EXPLANATIONS_OFF.labels("confidence")
    before = counter._value.get()
    folded(ExplainFold(artifacts, lambda _: None), log(artifacts)[:1])
    assert counter._value.get() == before + 1


def test_apply_when_the_disk_is_full_then_nothing_is_kept_and_bars_go_on(
    artifacts: Artifacts, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once and counted; afterwards the attention sees the bars of meanwhile, too."""
    full = [False]
    fold = ExplainFold(artifacts, lambda _: None, lambda: "full" if full[0] else "")
    records = log(artifacts)
    whole = folded(ExplainFold(artifacts, lambda _: None), records)
    before = REGISTRY.get_sample_value("tradewind_explanations_refused_total") or 0.0
    said = folded(fold, records[:10])
    full[0] = True
    assert folded(fold, records[10:20]) == []
    full[0] = False
    said += folded(fold, records[20:])
    assert said == [*whole[:10], *whole[20:]]
    assert REGISTRY.get_sample_value("tradewind_explanations_refused_total") == before + 10
    lines = [each.message for each in caplog.records]
    assert lines == [
        "explanations are not kept, only made on demand: full",
        "explanations are kept again, after 10 that were not",
    ]
