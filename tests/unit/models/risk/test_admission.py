"""May it be traded at all: switches, restricted symbols, hours and short sales, each by hand."""

import pytest

from models.risk.account import Account
from models.risk.admission import halted, market_hours, reducing, restricted, short_sale
from models.risk.controls import check
from models.risk.limits import UNBOUNDED_LOTS, Order
from models.risk.sessions import DAY_NS, Sessions
from models.risk.switches import Scope, Switch, SwitchState
from tests.oracles import FREE, account_of

BUY, SELL = Order("AAA", 1, 0, "model"), Order("AAA", -1, 0, "model")


def stopped(state: SwitchState, scope: Scope = "portfolio", name: str = "") -> Account:
    """Build an account that holds 3 lots under a thrown switch."""
    account = account_of({"AAA": 100.0, "BBB": 100.0}, held={"AAA": 3})
    account.kept.switches.throw(scope, name, Switch(state, "test", "ann", 0))
    return account


@pytest.mark.parametrize("order", [BUY, SELL])
def test_halted_when_the_switch_is_thrown_then_refuses_both_sides(order: Order) -> None:
    """HALTED is halted: not even what is held may be sold."""
    breaches, allowed = check(stopped("HALTED"), order)
    assert [b.code for b in breaches] == ["HALTED"]
    assert allowed == 0
    assert breaches[0].message == "portfolio is HALTED by ann: test"


def test_halted_when_the_switch_is_anothers_then_passes() -> None:
    """Another strategy's and another symbol's switch stop nothing here."""
    for scope, name in (("strategy", "other"), ("symbol", "BBB")):
        account = stopped("HALTED", scope, name)  # type: ignore[arg-type]  literals in a loop
        assert halted(account, BUY).room_lots == UNBOUNDED_LOTS


def test_halted_when_reducing_then_leaves_it_to_the_other_control() -> None:
    """Each state has one control, so each refusal has one code."""
    assert halted(stopped("REDUCING"), BUY).room_lots == UNBOUNDED_LOTS
    assert reducing(stopped("HALTED"), BUY).room_lots == UNBOUNDED_LOTS


def test_reducing_when_thrown_then_lets_go_what_is_held_and_no_more() -> None:
    """Three held: three may be sold, a fourth may not, and nothing may be bought."""
    account = stopped("REDUCING")
    assert check(account, Order("AAA", -3)) == ([], 3)
    breaches, allowed = check(account, Order("AAA", -4))
    assert ([b.code for b in breaches], allowed) == (["REDUCE_ONLY", "SHORT_SALE"], 3)
    breaches, allowed = check(account, BUY)
    assert ([b.code for b in breaches], allowed) == (["REDUCE_ONLY"], 0)


def test_reducing_when_a_short_is_bought_back_then_passes() -> None:
    """Buying back a short reduces."""
    account = account_of({"AAA": 100.0}, held={"AAA": -2})
    account.kept.switches.throw("global", "", Switch("REDUCING", "test", "ann", 0))
    assert check(account, Order("AAA", 2)) == ([], 2)


@pytest.mark.parametrize("order", [BUY, SELL])
def test_restricted_when_listed_then_refuses_both_sides(order: Order) -> None:
    """Who may not deal in it may not sell it either."""
    account = account_of({"AAA": 100.0}, held={"AAA": 3}, limits=FREE._replace(restricted=("AAA",)))
    breaches, allowed = check(account, order)
    assert ([b.code for b in breaches], allowed) == (["RESTRICTED_SYMBOL"], 0)


def test_restricted_when_another_is_listed_then_passes() -> None:
    """The list names symbols, not portfolios."""
    account = account_of({"AAA": 100.0}, limits=FREE._replace(restricted=("BBB",)))
    assert restricted(account, BUY).room_lots == UNBOUNDED_LOTS


@pytest.mark.parametrize(
    ("now_ns", "is_open"), [(99, False), (100, True), (199, True), (200, False), (250, False)]
)
def test_hours_when_the_market_is_closed_then_refuses(now_ns: int, *, is_open: bool) -> None:
    """The order of the last bar of a session would meet a closed market."""
    hours = {"AAA": Sessions((100, 300), (200, 400))}
    account = account_of({"AAA": 100.0}, now_ns=now_ns, hours=hours)
    breaches, _ = check(account, BUY)
    assert [b.code for b in breaches] == ([] if is_open else ["MARKET_CLOSED"])


def test_hours_when_bars_are_daily_then_needs_a_next_session() -> None:
    """Orders on daily bars wait for the next session; a calendar that ended knows of none."""
    hours = {"AAA": Sessions((100, 300), (200, 400))}
    for now_ns, room in ((250, UNBOUNDED_LOTS), (400, 0)):
        account = account_of({"AAA": 1.0}, now_ns=now_ns, hours=hours, bar_ns=DAY_NS)
        assert market_hours(account, BUY).room_lots == room


def test_hours_when_there_are_none_then_is_open_around_the_clock() -> None:
    """24/7 is the default."""
    assert market_hours(account_of({"AAA": 1.0}, now_ns=5), BUY).room_lots == UNBOUNDED_LOTS


def test_short_when_not_allowed_then_sells_what_is_held_less_what_is_being_sold() -> None:
    """Five held, two of them being sold: three are left, and an open buy does not count."""
    account = account_of({"AAA": 100.0}, held={"AAA": 5}, orders=[("AAA", -2), ("AAA", 9)])
    finding = short_sale(account, Order("AAA", -7))
    assert (finding.code, finding.actual, finding.room_lots) == ("SHORT_SALE", 4, 3)
    assert check(account, Order("AAA", -3)) == ([], 3)
    breaches, allowed = check(account, Order("AAA", -4))
    assert ([b.code for b in breaches], allowed) == (["SHORT_SALE"], 3)


@pytest.mark.parametrize(
    ("allow_short", "shortable", "room"),
    [
        (True, frozenset({"AAA"}), UNBOUNDED_LOTS),
        (True, frozenset(), 0),
        (False, frozenset({"AAA"}), 0),
    ],
)
def test_short_when_asked_then_portfolio_and_instrument_must_allow_it(
    allow_short: bool,  # noqa: FBT001  a value of the table
    shortable: frozenset[str],
    room: int,
) -> None:
    """One flag alone is not enough."""
    limits = FREE._replace(allow_short=allow_short)
    account = account_of({"AAA": 100.0}, limits=limits, shortable=shortable)
    assert short_sale(account, SELL).room_lots == room


def test_short_when_buying_then_asks_nothing() -> None:
    """A buy sells nothing short."""
    assert short_sale(account_of({"AAA": 1.0}), BUY).room_lots == UNBOUNDED_LOTS
