"""The document on scaling is what is calculated from the numbers that other documents state."""

import pytest

from tests.evidence.validation import scaling
from tests.evidence.validation.scaling import SOURCES, Source, limits, measured, size

# Round numbers: 100 ms for 200 decisions, of which the book takes 30; a worker takes 1,000 ticks/s.
KNOWN = {
    "ticks_per_s": 1_000.0,
    "chain_ms": 100.0,
    "book_ms": 30.0,
    "rows_per_s": 1_000.0,
    "explained_per_s": 100.0,
    "audited_per_s": 1_000.0,
    "decision_kb": 3.0,
    "slice_bytes": 500.0,
    "state_bytes": 1_000.0,
    "regime_bytes": 600.0,
    "weights_bytes": 700.0,
    "decided": 100.0,
    "ordered": 50.0,
}


def test_document_when_calculated_then_is_the_committed_one() -> None:
    """A measured number that changes changes what follows from it."""
    assert scaling.FILE.read_text() == scaling.text(), "python -m tests.evidence.validation.scaling"


def test_size_when_one_worker_is_enough_then_is_what_was_measured() -> None:
    """200 symbols are the measurement itself."""
    one = size(KNOWN, 200, 1)
    assert (one.n_workers, one.n_books, one.n_partitions, one.bound_by) == (1, 1, 2, "closes")
    assert one.latency_ms == pytest.approx(100.0)


def test_size_when_symbols_grow_then_close_in_time() -> None:
    """1,000 symbols: books of 0.15 ms an order in 75 ms are 2; 350 ms over 75 ms are 5 workers."""
    one = size(KNOWN, 1_000, 1)
    assert (one.n_books, one.n_workers) == (2, 5)
    assert one.latency_ms == pytest.approx(350 / 5 + 150 / 2)


def test_size_when_ticks_are_many_then_they_decide() -> None:
    """200 symbols with 50 ticks a second are 10,000, ten workers' worth."""
    one = size(KNOWN, 200, 50)
    assert (one.n_workers, one.bound_by) == (10, "ticks")


def test_size_when_written_then_three_copies_of_ticks_and_rows_count() -> None:
    """A symbol at a tick a second: 86,400 ticks, 1,440 bars of 500 + 600 + 700 + 3,000 bytes."""
    one = size(KNOWN, 1, 1)
    a_day = 86_400 * scaling.tick_bytes() + 1_440 * 4_800
    assert one.written_gb == pytest.approx(3 * a_day / 1e9)
    assert one.mb_per_s == pytest.approx(3 * a_day / 86_400 / 1e6)


def test_kept_when_topics_differ_then_each_counts_for_its_time() -> None:
    """With the open segment: 7 h, 3.5 d, 3.5 d and 7 * 7/6 d of bars, and 28 h of ticks."""
    bars = 1_440 * (500 * 7 / 24 + 600 * 3.5 + 700 * 3.5 + 3_000 * 49 / 6)
    ticks = 28 * 3_600 * scaling.tick_bytes()
    assert scaling.kept_bytes(KNOWN, 2, 1) == pytest.approx(2 * (bars + ticks))


def test_limits_when_ordered_then_the_first_to_give_way_comes_first() -> None:
    """300 symbols fill 150 ms, 1,000 a book and a worker's ticks, 11,294 explanations of 17/32."""
    at = [int(row[0].replace(",", "")) for row in limits(KNOWN)]
    assert at == [300, 1_000, 1_000, 11_294, 60_000, 256_000]


def test_costs_when_counted_then_are_seconds_of_a_processor() -> None:
    """A million at 1,000/s are 1,000 s; 0.5 ms each are 500 s; 17/32 at 100/s 5,312 s."""
    assert [row[1] for row in scaling.costs(KNOWN)] == [
        "1,000 s", "500 s", "5,312 s", "1,000 s", "14.4 GB",
    ]  # fmt: skip


def test_measured_when_a_document_is_silent_then_says_which(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is calculated from a number that nobody states."""
    assert set(measured()) == set(SOURCES)
    gone = Source("README.md", r"never (\d+) said", "x", "")
    monkeypatch.setitem(SOURCES, "ticks_per_s", gone)
    with pytest.raises(ValueError, match=r"README\.md does not state ticks_per_s"):
        measured()
