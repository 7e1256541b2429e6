"""Executions of a venue: every kind, expected or not, changes the book once and as it says."""

from collections.abc import Callable

import pytest

from models.errors import Refused
from models.portfolio.ledger import MONEY_SCALE
from models.portfolio.reservation import OpenOrder
from models.risk.account import Account
from models.risk.changes import Opening, open_book, split
from models.risk.decide import Outcome
from models.risk.sessions import DAY_NS
from models.risk.venue import Report, take_report
from tests.oracles import account_of

DOLLAR = MONEY_SCALE


def waiting(lots: int = 5, held: int = 0) -> Account:
    """Build an account of 1000 with one open order of AAA, named d."""
    account = account_of({"AAA": 100.0, "BBB": 10.0}, held={"AAA": held}, is_external=True)
    account.advance(1)
    account.reserve(OpenOrder("AAA", lots, 1, order_id="d"))
    return account


def report(**changes: object) -> Report:
    """Build the fill of that order at 101 with a fee of a dollar, changed where asked."""
    fields: dict[str, object] = {
        "execution_id": "e1",
        "order_id": "d",
        "symbol": "AAA",
        "kind": "fill",
        "lots": 5,
        "price_e8": 101 * 10**8,
        "fee": DOLLAR,
        "ts_ns": 2,
    }
    return Report(**(fields | changes))  # type: ignore[arg-type]  fields by name


def cash(account: Account) -> float:
    """Return the cash in dollars."""
    return account.book.cash / MONEY_SCALE


def test_fill_when_expected_then_posts_and_releases() -> None:
    """Five lots at 101 and a dollar: 1000 less 506, nothing open, witness and book agree."""
    account = waiting()
    outcome = take_report(account, report())
    assert (account.book.position("AAA").lots, cash(account)) == (5, 494.0)
    assert account.reservations.orders == []
    (executed,) = outcome.executions
    assert (executed.lots, executed.venue_kind, executed.venue_id) == (5, "fill", "e1")
    assert outcome.alerts == ()
    assert account.verify() == []


def test_fill_when_partial_then_the_rest_stays_reserved() -> None:
    """Two and three of five: exposure is five lots all the while."""
    account = waiting()
    take_report(account, report(kind="partial_fill", lots=2))
    assert account.reservations.buying("AAA") == 3
    assert account.exposure.of("AAA").up == 500 * DOLLAR
    take_report(account, report(execution_id="e2", lots=3))
    assert account.reservations.orders == []
    assert account.exposure.of("AAA").held == 500 * DOLLAR


def test_fill_when_repeated_then_changes_nothing() -> None:
    """The same id once more is the same execution, whatever else it says."""
    account = waiting()
    take_report(account, report())
    assert take_report(account, report(lots=4, price_e8=1)) == Outcome()
    assert (account.book.position("AAA").lots, cash(account)) == (5, 494.0)


@pytest.mark.parametrize("kind", ["cancel", "expire", "reject"])
@pytest.mark.parametrize("lots", [5, -5])
def test_end_when_an_order_ends_without_a_trade_then_is_released(kind: str, lots: int) -> None:
    """Nothing is posted, the reservation goes, and the decision learns of it."""
    account = waiting(lots, held=5)
    (executed,) = take_report(account, report(kind=kind, lots=0)).executions
    assert (executed.fill, executed.lots, executed.venue_kind) == (None, lots, kind)
    assert (account.reservations.orders, cash(account)) == ([], 1_000.0)
    assert take_report(account, report(kind=kind, lots=0)) == Outcome()


def test_end_when_partly_filled_before_then_only_the_rest_ends() -> None:
    """Two of five traded; the cancel is about the other three."""
    account = waiting()
    take_report(account, report(kind="partial_fill", lots=2))
    (executed,) = take_report(account, report(execution_id="e2", kind="cancel", lots=0)).executions
    assert executed.lots == 3
    assert account.book.position("AAA").lots == 2


def test_fill_when_the_order_is_unknown_then_is_booked_and_new_risk_stops() -> None:
    """The position is there whether we like it or not."""
    account = waiting()
    outcome = take_report(account, report(order_id="stranger", symbol="BBB", lots=7))
    assert account.book.position("BBB").lots == 7
    assert [code for code, _ in outcome.alerts] == ["UNKNOWN_ORDER"]
    assert account.kept.switches.state() == "REDUCING"
    assert account.reservations.buying("AAA") == 5
    assert account.verify() == []


def test_fill_when_more_than_was_open_then_all_is_booked_and_new_risk_stops() -> None:
    """Eight of five: the position is eight, the order has ended."""
    account = waiting()
    outcome = take_report(account, report(lots=8))
    assert account.book.position("AAA").lots == 8
    assert [code for code, _ in outcome.alerts] == ["OVER_FILL"]
    assert account.reservations.orders == []
    assert account.kept.switches.state() == "REDUCING"


@pytest.mark.parametrize("changes", [{"lots": -5}, {"symbol": "BBB"}])
def test_fill_when_it_is_of_another_side_or_symbol_then_the_order_stays(
    changes: dict[str, object],
) -> None:
    """A report that does not fit its order is booked as what it says, and the order stays open."""
    account = waiting()
    outcome = take_report(account, report(**changes))
    assert [code for code, _ in outcome.alerts] == ["ORDER_MISMATCH"]
    assert account.reservations.buying("AAA") == 5
    assert account.kept.switches.state() == "REDUCING"
    assert account.verify() == []


def test_alert_when_the_account_is_halted_then_stays_halted() -> None:
    """A surprise makes nothing less strict."""
    account = waiting()
    account.book.position("AAA").lots += 1
    account.verify()
    take_report(account, report(order_id="stranger"))
    assert account.kept.switches.state() == "HALTED"


def test_end_when_the_order_is_unknown_then_only_says_so() -> None:
    """Nothing was traded, so nothing is at risk."""
    account = waiting()
    for n, changes in enumerate(({"order_id": "stranger"}, {"symbol": "BBB"})):
        outcome = take_report(
            account, report(execution_id=f"x{n}", kind="cancel", lots=0, **changes)
        )
        assert len(outcome.alerts) == 1
        assert outcome.executions == ()
    assert account.kept.switches.state() == "ACTIVE"
    assert account.reservations.buying("AAA") == 5


def test_correction_when_the_price_was_wrong_then_cash_is_as_if_it_had_been_right() -> None:
    """Five at 101 were five at 100 with half a dollar of fee: 1000 less 500.5."""
    account = waiting()
    take_report(account, report())
    right = report(
        execution_id="e2", kind="correction", price_e8=100 * 10**8, fee=DOLLAR // 2, corrects="e1"
    )
    outcome = take_report(account, right)
    assert [executed.lots for executed in outcome.executions] == [-5, 5]
    assert (account.book.position("AAA").lots, cash(account)) == (5, 499.5)
    assert account.book.fees == DOLLAR // 2
    assert account.verify() == []
    assert take_report(account, right) == Outcome()
    assert take_report(account, report()) == Outcome()


def test_correction_when_the_trade_was_broken_then_nothing_is_left_of_it() -> None:
    """A quantity of nothing takes the trade back."""
    account = waiting()
    take_report(account, report())
    broken = report(execution_id="e2", kind="correction", lots=0, fee=0, corrects="e1")
    assert len(take_report(account, broken).executions) == 1
    assert (account.book.position("AAA").lots, cash(account)) == (0, 1_000.0)
    assert account.book.fees == 0


@pytest.mark.parametrize(("right", "left"), [(2, 3), (3, 2), (0, 5), (4, 1), (5, 0), (-1, 5)])
def test_correction_when_the_order_is_open_then_waits_for_the_difference(
    right: int, left: int
) -> None:
    """Three of five had filled; if only two had, three are still to come, and are exposure."""
    account = waiting()
    take_report(account, report(kind="partial_fill", lots=3))
    take_report(account, report(execution_id="e2", kind="correction", lots=right, corrects="e1"))
    assert account.book.position("AAA").lots == right
    assert account.reservations.buying("AAA") == left
    assert account.exposure.of("AAA").up == (right + left) * account.book.notional("AAA", 1)
    assert bool(account.reservations.orders) is (left > 0)


@pytest.mark.parametrize(
    ("right", "state"), [(5, "ACTIVE"), (6, "REDUCING"), (0, "ACTIVE"), (-1, "REDUCING")]
)
def test_correction_when_more_filled_than_was_ordered_then_takes_no_new_risk(
    right: int, state: str
) -> None:
    """Of five ordered, three had filled: six, or one on the other side, is a surprise."""
    account = waiting()
    take_report(account, report(kind="partial_fill", lots=3))
    said = report(execution_id="e2", kind="correction", lots=right, corrects="e1")
    outcome = take_report(account, said)
    assert account.kept.switches.state() == state
    assert [code for code, _ in outcome.alerts] == ([] if state == "ACTIVE" else ["OVER_FILL"])


@pytest.mark.parametrize(
    "changes", [{"corrects": "never"}, {"corrects": "e1", "symbol": "BBB"}, {"corrects": "c1"}]
)
def test_correction_when_what_it_corrects_is_not_known_then_is_refused(
    changes: dict[str, object],
) -> None:
    """Of another symbol, of no trade, or never seen: the message says what to do."""
    account = waiting()
    take_report(account, report())
    account.reserve(OpenOrder("AAA", 1, 1, order_id="f"))
    take_report(account, report(execution_id="c1", order_id="f", kind="cancel", lots=0))
    with pytest.raises(Refused, match="UNKNOWN_EXECUTION"):
        take_report(account, report(execution_id="e9", kind="correction", **changes))
    assert (account.book.position("AAA").lots, cash(account)) == (5, 494.0)


def test_correction_when_corrected_itself_then_only_the_last_counts() -> None:
    """A correction is an execution, and can be corrected; the first one cannot be again."""
    account = waiting()
    take_report(account, report())
    take_report(account, report(execution_id="e2", kind="correction", lots=4, corrects="e1"))
    take_report(account, report(execution_id="e3", kind="correction", lots=3, corrects="e2"))
    assert account.book.position("AAA").lots == 3
    with pytest.raises(Refused):
        take_report(account, report(execution_id="e4", kind="correction", corrects="e1"))


@pytest.mark.parametrize(
    "change",
    [lambda of: split(of, "AAA", 2, 1), lambda of: open_book(of, 0, [Opening("AAA", 7, 10**8)])],
)
def test_correction_when_the_lots_are_others_since_then_is_refused(
    change: Callable[[Account], Outcome],
) -> None:
    """Five lots before a split are ten after it, and an opening states what is held by itself."""
    account = waiting()
    take_report(account, report())
    change(account)
    before = (account.book.position("AAA").lots, cash(account))
    assert take_report(account, report()) == Outcome()
    with pytest.raises(Refused, match="UNKNOWN_EXECUTION"):
        take_report(account, report(execution_id="e9", kind="correction", lots=0, corrects="e1"))
    assert (account.book.position("AAA").lots, cash(account)) == before


def test_report_when_older_than_what_is_remembered_then_is_refused() -> None:
    """An id that may have been forgotten could be booked twice."""
    account = waiting()
    account.advance(4 * DAY_NS)
    with pytest.raises(Refused, match="EXECUTION_TOO_OLD"):
        take_report(account, report(ts_ns=1, order_id="closed"))
    assert account.book.position("AAA").lots == 0


def test_report_when_its_order_is_still_open_then_is_never_too_old() -> None:
    """All executions of an open order are remembered, so an unknown one is new, and once only."""
    account = waiting()
    take_report(account, report(kind="partial_fill", lots=2))
    account.advance(4 * DAY_NS)
    assert take_report(account, report(kind="partial_fill", lots=2)) == Outcome()
    take_report(account, report(execution_id="e2", kind="partial_fill", lots=1, ts_ns=3))
    take_report(account, report(execution_id="e3", kind="correction", lots=1, corrects="e1"))
    assert account.book.position("AAA").lots == 2
    assert account.verify() == []
