"""The index of decisions: its bounds, its order, and ids that contradict."""

import msgspec
import pytest

from streams.errors import RecordError
from streams.records import Decision
from tables.views.decision_index import DecisionIndex
from tables.views.decision_row import Place, RowKey, decode_decision, row_of
from tests.unit.tables.views.played import TOPIC, decision, decision_id, record, refused


def put(index: DecisionIndex, event: Decision, offset: int, partition: int = 0) -> None:
    """Add a decision as the memory does."""
    stored = record(TOPIC, event, offset, partition=partition)
    index.add(row_of(decode_decision(stored.value), stored), stored.value or b"")


def minute(number: int) -> str:
    """Return a bar's close within the first hour of a day."""
    return f"2026-01-02T00:{number:02d}:00Z"


def shown(index: DecisionIndex, before: RowKey | None = None, n_rows: int = 50) -> list[str]:
    """Return the symbols of a page."""
    return [row.symbol for row in index.page(lambda _row: True, before, n_rows).rows]


def test_page_when_partitions_arrive_one_after_the_other_then_the_newest_bar_is_first() -> None:
    """Order is by bar, and within a bar as it was decided, whatever arrived first."""
    index = DecisionIndex()
    put(index, decision(1, symbol="B", timestamp=minute(1)), offset=0, partition=1)
    put(index, decision(2, symbol="D", timestamp=minute(2)), offset=1, partition=1)
    put(index, decision(3, symbol="A", timestamp=minute(1)), offset=7, partition=0)
    put(index, decision(4, symbol="C", timestamp=minute(2)), offset=8, partition=0)
    put(index, decision(5, symbol="E", timestamp=minute(2)), offset=9, partition=0)
    assert shown(index) == ["C", "E", "D", "A", "B"]
    newest = index.newest
    assert newest is not None
    assert newest.timestamp == minute(2)


def test_add_when_an_id_comes_again_with_the_same_bytes_then_it_is_one_decision() -> None:
    """A restarted stage sends its last bars again."""
    index = DecisionIndex()
    put(index, decision(1), offset=0)
    put(index, decision(1), offset=5)
    assert (index.n_decided, index.n_repeated, index.n_conflicts) == (1, 1, 0)
    assert index.find(decision_id(1)) == Place(0, 0)
    assert shown(index) == ["AAPL"]


def test_add_when_an_id_comes_again_with_other_bytes_then_it_is_a_conflict() -> None:
    """The first record stays, the second is named by its place, and nothing is counted twice."""
    index = DecisionIndex()
    put(index, decision(1), offset=4)
    put(index, decision(1, quantity=121), offset=9)
    put(index, decision(2), offset=10)
    assert (index.n_decided, index.n_conflicts) == (2, 1)
    conflict = index.conflicts_of(decision_id(1))[0]
    assert (conflict.kept, conflict.other) == (Place(0, 4), Place(0, 9))
    assert index.conflicts_of(decision_id(2)) == ()
    assert index.find(decision_id(1)) == Place(0, 4)


def test_add_when_it_is_full_then_the_oldest_bars_are_forgotten() -> None:
    """Bounds hold in any order of arrival, and what is kept is the newest; counts go on."""
    index = DecisionIndex(ids_max=4, rows_max=2)
    for offset, number in enumerate([3, 10, 1, 7, 2, 9, 5, 8, 4, 6]):
        put(index, decision(number, symbol=f"S{number}", timestamp=minute(number)), offset)
    assert shown(index) == ["S10", "S9"]
    assert [n for n in range(1, 11) if index.find(decision_id(n))] == [7, 8, 9, 10]
    assert index.n_decided == 10


def test_page_when_there_is_more_then_its_cursor_goes_on_without_gap_or_repetition() -> None:
    """Newer decisions that arrive between two pages do not shift the second one."""
    index = DecisionIndex()
    for number in range(1, 6):
        put(index, decision(number, symbol=f"S{number}", timestamp=minute(number)), number)
    first = index.page(lambda _row: True, None, 2)
    put(index, decision(6, symbol="S6", timestamp=minute(6)), 6)
    second = index.page(lambda _row: True, first.next_before, 2)
    third = index.page(lambda _row: True, second.next_before, 2)
    pages = [[row.symbol for row in page.rows] for page in (first, second, third)]
    assert pages == [["S5", "S4"], ["S3", "S2"], ["S1"]]
    assert third.next_before is None


def test_counts_when_verdicts_differ_then_each_decision_has_exactly_one() -> None:
    """Warm-up and HOLD are no approvals of orders."""
    index = DecisionIndex()
    put(index, decision(1), 0)
    put(index, refused(2), 1)
    put(index, decision(3, action="HOLD", quantity=0), 2)
    put(index, decision(4, action="HOLD", quantity=0, note="WARMING_UP"), 3)
    put(index, refused(5, action="HOLD", quantity=0, note="INPUT_VOID"), 4)
    assert index.counts == {"approved": 1, "refused": 2, "hold": 1, "warming up": 1}


@pytest.mark.parametrize(
    "changed",
    [
        {"decision_id": "latest"},
        {"decision_id": decision_id(1).upper().replace("0", "A")},
        {"symbol": "S" * 65},
        {"portfolio": "p" * 65},
    ],
    ids=str,
)
def test_decode_decision_when_a_name_is_hostile_then_it_is_refused(
    changed: dict[str, str],
) -> None:
    """What is kept for every line has a bound."""
    event = msgspec.structs.replace(decision(), **changed)
    with pytest.raises(RecordError, match=r"BAD_ID|TOO_LONG"):
        decode_decision(msgspec.json.encode(event))
