"""What the pages remember: bounded, and not to be stopped by any bytes."""

import pytest

from tables.views.account_history import POINTS_MAX, AccountHistory
from tables.views.dead_letter_list import LETTERS_MAX, DeadLetterList
from tables.views.figures import line_curve, stacked_bar
from tables.views.run_memory import RunMemory
from tests.unit.tables.views.played import (
    DEAD_LETTERS,
    SNAPSHOTS,
    TOPIC,
    dead_letter,
    decision,
    record,
    snapshot,
)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff", b'{"a":' + b"[" * 100_000, b'{"symbol":"\\ud800"}', b"[]"],
    ids=["empty", "cut", "not text", "nested", "surrogate", "list"],
)
@pytest.mark.parametrize("topic", [TOPIC, SNAPSHOTS])
def test_take_when_the_bytes_are_no_record_then_it_is_counted_and_reading_goes_on(
    topic: str, raw: bytes
) -> None:
    """One poisoned record is named, and the next one is read."""
    memory = RunMemory("r1.")
    memory.take(record(topic, raw, 7, partition=1))
    memory.take(record(TOPIC, decision(), 8))
    assert memory.n_unreadable == 1
    assert memory.last_unreadable.startswith(f"{topic}:1:7 ")
    assert memory.decisions.n_decided == 1


def test_take_when_the_run_has_no_prefix_then_the_live_topics_are_followed() -> None:
    """The live run's topics are the catalogue's names."""
    memory = RunMemory("")
    assert memory.topics == (
        "trading-decisions",
        "portfolio-snapshots",
        "dead-letters",
        "executions",
    )


@pytest.mark.parametrize("money", ["1e400000", "NaN", "", "9" * 30, "0x1"])
def test_add_snapshot_when_money_is_no_plain_decimal_then_it_is_unreadable(money: str) -> None:
    """A number whose text would fill the memory never reaches a page."""
    memory = RunMemory("r1.")
    memory.take(record(SNAPSHOTS, snapshot("2026-01-02T21:00:00Z", money)))
    assert "BAD_MONEY" in memory.last_unreadable


def test_points_when_there_are_many_snapshots_then_they_are_thinned_evenly_to_the_latest() -> None:
    """The curve starts at the first snapshot, ends at the latest, and never outgrows its bound."""
    history = AccountHistory()
    for second in range(3 * POINTS_MAX):
        at = f"2026-01-02T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"
        history.add(record(SNAPSHOTS, snapshot(at, f"{1000 + second}")).value)
    curve = history.curves()[0]
    equities = [point.equity for point in curve.points()]
    # 2160 snapshots with every fourth kept: 0, 4, .. 2156, and the latest.
    assert equities == [1000.0 + second for second in range(0, 2160, 4)] + [3159.0]
    assert curve.n_seen == 2160
    assert curve.latest.equity == "3159"


def test_add_snapshot_when_it_is_sent_again_then_the_curve_has_it_once() -> None:
    """A restarted stage sends its last bars again."""
    history = AccountHistory()
    for minute in (0, 1, 0, 1, 2):
        history.add(record(SNAPSHOTS, snapshot(f"2026-01-02T21:0{minute}:00Z", f"{minute}")).value)
    assert [point.equity for point in history.curves()[0].points()] == [0.0, 1.0, 2.0]


def test_curves_when_portfolios_are_invented_then_no_more_than_the_bound_are_kept() -> None:
    """Foreign keys cannot fill the memory; they show as unreadable."""
    memory = RunMemory("r1.")
    for number in range(70):
        one = snapshot("2026-01-02T21:00:00Z", "1", portfolio=f"p{number:02d}")
        memory.take(record(SNAPSHOTS, one, number))
    assert len(memory.accounts.curves()) == 64
    assert memory.n_unreadable == 6


def test_newest_when_there_are_more_letters_than_kept_then_all_are_counted() -> None:
    """The newest come first, and raw bytes are cut."""
    letters = DeadLetterList()
    for offset in range(LETTERS_MAX + 3):
        letters.add(dead_letter(offset, b"\x00" * 1000, reason="NOT_JSON"))
    kept = letters.newest()
    assert letters.n_letters == 203
    assert [row.offset for row in kept] == list(range(202, 2, -1))
    assert kept[0].n_bytes == 1000
    assert kept[0].raw_start == "b'" + "\\x00" * 160 + "' …"


def test_add_letter_when_headers_are_missing_or_not_text_then_it_is_listed_all_the_same() -> None:
    """Anyone may write to the topic."""
    letters = DeadLetterList()
    letters.add(record(DEAD_LETTERS, b"", 0, headers=[("reason", b"\xff\xfe")])._replace(key=None))
    row = letters.newest()[0]
    assert (row.reason, row.detail, row.origin) == ("\ufffd\ufffd", "", "")


@pytest.mark.parametrize("values", [(0.0, 0.0, 0.0), (-1.0, float("nan"), float("inf"))])
def test_stacked_bar_when_nothing_can_be_drawn_then_no_piece_has_a_length(
    values: tuple[float, float, float],
) -> None:
    """A void decision has a figure without pieces instead of an error."""
    assert [piece.width for piece in stacked_bar(values, 80.0)] == [0.0, 0.0, 0.0]


def test_line_curve_when_there_is_one_snapshot_then_it_lies_in_the_middle() -> None:
    """Neither a span of time nor of equity is needed."""
    history = AccountHistory()
    history.add(record(SNAPSHOTS, snapshot("2026-01-02T21:00:00Z", "5")).value)
    curve = line_curve(history.curves()[0].points(), 100.0, 40.0)
    assert (curve.points, curve.lowest, curve.highest) == ("0.0,20.0", 5.0, 5.0)
