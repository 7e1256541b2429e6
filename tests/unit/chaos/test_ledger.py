"""The judge's account: amounts by hand."""

from typing import Any

from tests.chaos.judge.changes import CHANGES
from tests.chaos.judge.exact import E16
from tests.unit.chaos.world import account, record

AT = record("executions")


def execution(side: str, quantity: str, price: str, fee: str = "0", **said: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a record
    """Return a fill of A."""
    filled = {"symbol": "A", "kind": "fill", "side": side, "quantity": quantity, "price": price}
    return filled | {"fee": fee, "decision_id": "d"} | said


def test_account_when_part_of_a_position_is_sold_then_its_average_cost_goes() -> None:
    """Bought 2 at 10 and 1 at 13, so 11 each; 1 sold at 12 realises 1 and leaves a cost of 22."""
    book, ledger = account(venue="external")
    book.execute(execution("BUY", "2", "10", "0.1"), AT)
    book.execute(execution("BUY", "1", "13"), AT)
    book.execute(execution("SELL", "1", "12", "0.1"), AT)
    held = book.position("A")
    assert (held.lots, held.cost, book.realised) == (4, 22 * E16, 1 * E16)
    assert (book.cash, book.fees) == (1000 * E16 - 33 * E16 + 12 * E16 - E16 // 5, E16 // 5)
    assert ledger.n_broken == 0


def test_account_when_a_sale_turns_it_short_then_the_rest_has_a_new_cost() -> None:
    """Of 3 sold at 12 one closes what cost 10 and realises 2; two are short and cost -24."""
    book, _ = account(venue="external")
    book.execute(execution("BUY", "1", "10"), AT)
    book.execute(execution("SELL", "3", "12"), AT)
    held = book.position("A")
    assert (held.lots, held.cost, book.realised) == (-4, -24 * E16, 2 * E16)


def test_account_when_a_paper_order_stays_open_too_long_then_it_is_found() -> None:
    """After two bars it must have filled or expired."""
    book, ledger = account()
    book.approve("d", "A", 2, -1)
    book.age("bar 1", 1)
    assert ledger.n_broken == 0
    book.age("bar 2", 2)
    assert ledger.first is not None
    assert ledger.first.found == "order d is open after 2 bars"


def test_account_when_a_paper_fill_is_not_its_order_then_it_is_found() -> None:
    """One lot is half a unit; the order was of two."""
    book, ledger = account()
    book.approve("d", "A", 2, -1)
    book.execute(execution("BUY", "1.5", "10"), AT)
    assert ledger.first is not None
    assert ledger.first.found == "fill of 3 lots of A"
    assert ledger.first.expected == "2 open lots of A of d"


def test_account_when_a_venue_corrects_a_fill_then_the_order_waits_for_the_rest() -> None:
    """Of 4 lots 3 filled; corrected to 1, three are open again."""
    book, ledger = account(venue="external")
    book.approve("d", "A", 4, -1)
    book.execute(execution("BUY", "1.5", "10", venue_kind="partial_fill"), AT)
    book.execute(execution("SELL", "1.5", "10", venue_kind="correction"), AT)
    book.execute(execution("BUY", "0.5", "10", venue_kind="correction"), AT)
    assert (book.orders["d"].lots, book.position("A").lots, ledger.n_broken) == (3, 1, 0)


def test_account_when_a_split_leaves_a_fraction_then_it_is_paid() -> None:
    """Three lots, three for two, are 4.5: four stay at 20/3 rounded down, the rest is cash."""
    book, _ = account(venue="external")
    book.execute(execution("BUY", "1.5", "10"), AT)
    CHANGES["split"](book, {"symbol": "A", "new": 3, "old": 2})
    held = book.position("A")
    assert (held.lots, held.price) == (4, 666_666_666)
    assert book.equity() == 1000 * E16


def test_account_when_a_number_has_too_many_decimals_then_it_is_found() -> None:
    """A price of nine decimals is none that the book can have booked."""
    book, ledger = account(venue="external")
    book.execute(execution("BUY", "1", "10.000000001"), AT)
    assert ledger.n_broken == 1
