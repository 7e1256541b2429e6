"""A book is shown from when it is found, at records as at bars."""

import math
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from agents.risk_shown import ALERTS
from streams.shown import forget
from tests.unit.agents.test_risk import all_at
from tests.unit.agents.test_risk_records import Book


def state() -> float | None:
    """Return what the gauge of the portfolio's state says."""
    labels = {"portfolio": "main", "partition": "0"}
    return REGISTRY.get_sample_value("tradewind_portfolio_state", labels)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """Give a book that has seen three bars."""
    warm = Book(tmp_path)
    warm.warm()
    return warm


def test_book_when_a_record_halts_it_then_is_shown_before_the_next_bar(book: Book) -> None:
    """TradingHalted must not wait for an hour or a day."""
    assert state() == 0.0
    book.give(book.switch(1, "halt"))
    assert state() == 2.0
    book.give(book.switch(2, "resume"))
    assert state() == 0.0


def test_book_when_found_after_a_restart_then_is_shown_at_once(book: Book) -> None:
    """The last bar is read again and decides nothing; the halt stands all the same."""
    last = book.bar(1, all_at(100.0, target=math.nan))
    book.give(*last)
    book.give(book.switch(1, "halt"))
    book.run.persist()
    book.run.restart()
    forget("risk", 0)
    assert state() is None
    assert book.give(last[0]) == []
    assert state() == 2.0


def test_slices_when_they_wait_then_are_shown_by_the_partition_of_the_book(book: Book) -> None:
    """Another partition of books must not overwrite it."""
    first, second = book.bar(1, all_at(100.0, target=math.nan))
    name, labels = "tradewind_barrier_waiting_slices", {"partition": "0"}
    book.give(first)
    assert REGISTRY.get_sample_value(name, labels) == 1.0
    book.give(second)
    assert REGISTRY.get_sample_value(name, labels) == 0.0


@pytest.mark.usefixtures("book")
def test_counters_when_a_book_is_found_then_are_there_before_they_count() -> None:
    """An increase is seen from a sample of 0 on."""
    assert state() is not None
    for code in ALERTS:
        labels = {"portfolio": "main", "code": code}
        assert REGISTRY.get_sample_value("tradewind_risk_alerts_total", labels) is not None
    name = "tradewind_risk_violations_total"
    assert REGISTRY.get_sample_value(name, {"portfolio": "main"}) is not None
