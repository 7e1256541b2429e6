"""Records applied to an account: units, refusals, ids, time and roles."""

from typing import Any

import pytest

from models.portfolio.ledger import MONEY_SCALE
from models.risk.account import Account
from models.risk.limits import Order
from models.risk.memory import MOST_IDS
from streams.errors import FieldError
from streams.instructions import (
    BookOpen,
    Dividend,
    Instruction,
    LimitChange,
    OpeningPosition,
    OrderIntent,
    RiskParity,
    Split,
    TradingState,
    VenueExecution,
)
from streams.timestamps import NS_PER_SECOND
from tables.instructions import Applied, apply_instruction, to_lots
from tests.builders import MIDNIGHT, MINUTE
from tests.oracles import FREE, account_of

DAY = 86_400 * NS_PER_SECOND


def opened(**more: Any) -> Account:  # noqa: ANN401  any part of an account
    """Build an account of 1000 whose last bar was at midnight."""
    account = account_of({"AAA": 100.0, "BBB": 10.0}, now_ns=MIDNIGHT, **more)
    account.advance(MIDNIGHT)
    return account


def say(kind: type[Instruction], /, **changes: Any) -> Any:  # noqa: ANN401  any kind and field
    """Build a record; a change is by an administrator."""
    shared: dict[str, Any] = {"portfolio": "main", "ts_event": MIDNIGHT}
    if kind not in {OrderIntent, VenueExecution}:
        shared |= {"change_id": "c1", "actor": "ann", "role": "admin", "reason": "test"}
    return kind(**(shared | changes))


def intent(**changes: Any) -> OrderIntent:  # noqa: ANN401  any field
    """Build an intent to buy two AAA."""
    fields = {"intent_id": "k1", "symbol": "AAA", "side": "BUY", "quantity": 2}
    said: OrderIntent = say(OrderIntent, **(fields | changes))
    return said


def apply(account: Account, said: Instruction) -> Applied:
    """Let a record act on an account in dollars."""
    return apply_instruction(account, said, "USD")


def refusal(account: Account, said: Instruction) -> tuple[str, str]:
    """Let a record be refused and return code and field; the book is as it was."""
    before = (account.book.cash, str(account.book.positions), account.reservations.orders)
    with pytest.raises(FieldError) as caught:
        apply(account, said)
    after = (account.book.cash, str(account.book.positions), account.reservations.orders)
    assert before == after
    return caught.value.reason, caught.value.field


def test_intent_when_it_passes_then_is_reserved_under_its_own_id() -> None:
    """A market order of a person: the last price, the person's strategy."""
    account = opened()
    applied = apply(account, intent(strategy="desk"))
    assert applied.judged is not None
    assert (applied.judged.verdict.lots, applied.judged.verdict.approved) == (2, True)
    (order,) = account.reservations.orders
    assert (order.symbol, order.lots, order.strategy, order.price_e8) == ("AAA", 2, "desk", 0)
    assert order.order_id.count("-") == 4


def test_intent_when_it_has_a_price_then_that_is_checked_and_kept() -> None:
    """A sell at 99 of what is held; the order waits with its limit."""
    account = opened(held={"AAA": 3})
    applied = apply(account, intent(side="SELL", price=99))
    assert applied.judged is not None
    assert (applied.judged.verdict.lots, applied.judged.verdict.row.close) == (-2, 99.0)
    assert account.reservations.orders[0].price_e8 == 99 * 10**8


def test_intent_when_refused_then_reserves_nothing() -> None:
    """A refusal is a verdict, not an error."""
    account = opened(limits=FREE._replace(max_asset_fraction=0.1))
    applied = apply(account, intent())
    assert applied.judged is not None
    assert [b.code for b in applied.judged.verdict.breaches] == ["MAX_ASSET_FRACTION"]
    assert account.reservations.orders == []


def test_intent_when_repeated_then_changes_nothing() -> None:
    """One key, one decision."""
    account = opened()
    apply(account, intent())
    again = apply(account, intent(quantity=500))
    assert (again.judged, len(account.reservations.orders)) == (None, 1)


def test_intent_when_its_key_was_forgotten_then_is_another_order() -> None:
    """Two orders of one key on different days have different ids, so neither is lost."""
    account = opened()
    first = apply(account, intent())
    account.advance(MIDNIGHT + 3 * DAY)
    assert not account.kept.memory.is_known("intent:k1")
    second = apply(account, intent(ts_event=MIDNIGHT + 3 * DAY, quantity=3))
    assert first.judged is not None
    assert second.judged is not None
    assert first.judged.decision_id != second.judged.decision_id
    assert [order.lots for order in account.reservations.orders] == [2, 3]


def test_intent_when_far_ahead_of_the_book_then_is_refused() -> None:
    """Two weeks after the last bar no price could judge it, and its id would stay for as long."""
    account = opened()
    assert account.kept.bar_ns == MIDNIGHT
    far = intent(intent_id="k2", ts_event=MIDNIGHT + 14 * DAY + 1)
    assert refusal(account, far) == ("RECORD_FROM_FUTURE", "ts_event")
    assert apply(account, intent(ts_event=MIDNIGHT + 14 * DAY)).judged is not None


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"symbol": "ZZZ"}, "UNKNOWN_SYMBOL", "symbol"),
        ({"quantity": 2.5}, "BAD_QUANTITY", "quantity"),
        ({"quantity": 0.1}, "BAD_QUANTITY", "quantity"),
        ({"ts_event": MIDNIGHT - 3 * DAY}, "RECORD_TOO_OLD", "ts_event"),
    ],
)
def test_intent_when_the_book_cannot_take_it_then_is_refused(
    changes: dict[str, Any], code: str, field: str
) -> None:
    """Fractions of a lot, strangers and the past are errors with a field, and leave no trace."""
    assert refusal(opened(), intent(**changes)) == (code, field)


def test_intent_when_the_memory_is_full_then_is_refused_and_a_halt_is_not() -> None:
    """A flood of orders cannot fill the state, and never keeps anybody from stopping."""
    account = opened()
    account.kept.memory.ids = {str(n): 0 for n in range(MOST_IDS)}
    assert refusal(account, intent()) == ("TOO_MANY_RECORDS", "intent_id")
    apply(account, say(TradingState, action="halt"))
    assert account.kept.switches.state() == "HALTED"


@pytest.mark.parametrize(
    ("lot_size_e8", "quantity", "lots"),
    [(10**8, 3, 3), (10**8, 3.0, 3), (10**7, 0.3, 3), (100 * 10**8, 300, 3), (1, 1e-8, 1)],
)
def test_lots_when_a_quantity_is_a_multiple_then_are_exact(
    lot_size_e8: int, quantity: float, lots: int
) -> None:
    """0.3 is three lots of 0.1, whatever its binary neighbour is."""
    account = opened()
    account.book.lot_sizes["AAA"] = lot_size_e8
    assert to_lots(account, "AAA", quantity) == lots
    assert to_lots(account, "AAA", -quantity) == -lots


def test_lots_when_there_are_too_many_then_are_refused() -> None:
    """More than can be counted exactly in a float is no order."""
    account = opened()
    account.book.lot_sizes["AAA"] = 1
    with pytest.raises(FieldError, match="multiple of the lot"):
        to_lots(account, "AAA", 1e15)


def test_time_when_a_record_is_from_the_future_then_moves_by_a_bar_at_most() -> None:
    """No record can end a day that the bars have not ended."""
    account = opened()
    apply(account, intent(ts_event=MIDNIGHT + 10 * DAY))
    assert account.kept.now_ns == MIDNIGHT + MINUTE
    apply(account, intent(intent_id="k2", ts_event=MIDNIGHT + 7))
    assert account.kept.now_ns == MIDNIGHT + MINUTE


def execution(**changes: Any) -> VenueExecution:  # noqa: ANN401  any field
    """Build the fill of two AAA at 101 for a stranger's order."""
    fields = {
        "execution_id": "e1",
        "decision_id": "d",
        "symbol": "AAA",
        "kind": "fill",
        "side": "SELL",
        "quantity": 2,
        "price": 101,
        "fee": 0.25,
        "currency": "USD",
        "venue": "X",
    }
    said: VenueExecution = say(VenueExecution, **(fields | changes))
    return said


def test_execution_when_booked_then_decimals_are_exact() -> None:
    """Two at 101 less a quarter; the second time nothing."""
    account = opened(held={"AAA": 2})
    for _ in range(2):
        apply(account, execution())
    assert account.book.cash == (1_000 * 4 + 202 * 4 - 1) * MONEY_SCALE // 4
    assert account.book.position("AAA").lots == 0


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"currency": "EUR"}, "CURRENCY_MISMATCH", "currency"),
        ({"symbol": "ZZZ"}, "UNKNOWN_SYMBOL", "symbol"),
        ({"quantity": 0.5}, "BAD_QUANTITY", "quantity"),
        ({"fee": 1e-17}, "BAD_AMOUNT", "fee"),
        ({"kind": "correction", "corrects": "e0"}, "UNKNOWN_EXECUTION", "corrects"),
        ({"ts_event": MIDNIGHT - 3 * DAY}, "RECORD_TOO_OLD", "ts_event"),
    ],
)
def test_execution_when_it_cannot_be_booked_then_is_refused(
    changes: dict[str, Any], code: str, field: str
) -> None:
    """What is wrong is named, and may be sent again as it should be."""
    account = opened(held={"AAA": 2})
    assert refusal(account, execution(**changes)) == (code, field)
    apply(account, execution())
    assert account.book.position("AAA").lots == 0


def test_execution_when_its_order_is_open_then_may_be_old() -> None:
    """A venue may report late; what is open is remembered."""
    account = opened()
    apply(account, intent())
    (order,) = account.reservations.orders
    late = execution(decision_id=order.order_id, side="BUY", ts_event=MIDNIGHT - 9 * DAY)
    assert len(apply(account, late).outcome.executions) == 1
    assert account.reservations.orders == []


def test_correction_when_sent_then_finds_the_execution_by_its_own_id() -> None:
    """The venue's ids are the venue's; how they are remembered is ours."""
    account = opened(held={"AAA": 2})
    apply(account, execution())
    apply(account, execution(execution_id="e2", kind="correction", quantity=1, corrects="e1"))
    assert account.book.position("AAA").lots == 1


def test_limits_when_changed_then_stand_until_changed_again() -> None:
    """The new limit counts for the next order; the rules of the epoch stay what they were."""
    account = opened()
    apply(account, say(LimitChange, limits={"max_asset_fraction": 0.15, "restricted": ["BBB"]}))
    assert account.limits.restricted == ("BBB",)
    applied = apply(account, intent())
    assert applied.judged is not None
    assert [b.code for b in applied.judged.verdict.breaches] == ["MAX_ASSET_FRACTION"]
    account.adopt(account.rules)
    assert account.limits.max_asset_fraction == 0.15
    assert account.rules.limits.max_asset_fraction == FREE.max_asset_fraction


@pytest.mark.parametrize(
    "limits",
    [
        {"max_magic": 1},
        {"var_bars": 100},
        {"correlation_bars": 30},
        {"max_leverage": -1},
        {"max_leverage": True},
        {"max_order_lots": 1.5},
        {"max_asset_fraction": 0.1, "max_net_fraction": 1e9},
        {"allow_short": 1},
        {"restricted": 5},
        {"restricted": [""]},
        {"restricted": ["AAA", "AAA"]},
        {"restricted": [f"S{n}" for n in range(1_001)]},
    ],
)
def test_limits_when_one_is_wrong_then_none_is_changed(limits: dict[str, Any]) -> None:
    """Unknown, fixed, out of bounds or of another type: all or nothing."""
    account = opened()
    code, _ = refusal(account, say(LimitChange, limits=limits))
    assert code == "BAD_LIMIT"
    assert account.limits == account.rules.limits


def test_switch_when_thrown_then_a_resume_lifts_only_its_own_scope() -> None:
    """Halted twice, resumed once, is halted."""
    account = opened()
    apply(account, say(TradingState, action="halt", scope="global"))
    apply(account, say(TradingState, change_id="c2", action="halt"))
    apply(account, say(TradingState, change_id="c3", action="resume"))
    assert account.kept.switches.state() == "HALTED"
    apply(account, say(TradingState, change_id="c4", action="resume", scope="global"))
    assert account.kept.switches.state() == "ACTIVE"


def test_switch_when_halted_then_reducing_is_a_resume_and_needs_its_role() -> None:
    """Nobody makes an account less careful under the name of caution."""
    account = opened()
    apply(account, say(TradingState, action="halt"))
    looser = say(TradingState, change_id="c2", action="reduce", role="trader")
    assert refusal(account, looser) == ("FORBIDDEN", "role")
    apply(account, say(TradingState, change_id="c3", action="reduce"))
    assert account.kept.switches.state() == "REDUCING"


def test_switch_when_its_symbol_is_unknown_then_is_refused() -> None:
    """Who misspells what to stop must hear of it, and not find it traded."""
    typo = say(TradingState, action="halt", scope="symbol", name="AAAA")
    assert refusal(opened(), typo) == ("UNKNOWN_SYMBOL", "symbol")


def test_switch_when_a_hundred_names_are_stopped_then_the_next_asks_to_stop_all() -> None:
    """What is kept is bounded; the portfolio can always be stopped, and a name again."""
    account = opened()
    for n in range(100):
        named = {"change_id": f"s{n}", "scope": "strategy", "name": f"s{n}"}
        apply(account, say(TradingState, action="halt", **named))
    more = say(TradingState, action="halt", scope="symbol", name="AAA")
    assert refusal(account, more) == ("TOO_MANY_SWITCHES", "name")
    apply(account, say(TradingState, change_id="c2", action="halt", scope="strategy", name="s7"))
    apply(account, say(TradingState, change_id="c3", action="halt"))
    assert account.kept.switches.state() == "HALTED"


def test_switch_when_old_then_stops_but_does_not_resume() -> None:
    """It is never too late to stop, and a late resume may be of another stop."""
    account = opened()
    old = {"ts_event": MIDNIGHT - 9 * DAY}
    apply(account, say(TradingState, action="halt", **old))
    assert account.kept.switches.state() == "HALTED"
    resume = say(TradingState, change_id="c2", action="resume", **old)
    assert refusal(account, resume) == ("RECORD_TOO_OLD", "ts_event")


def test_switch_when_from_far_ahead_then_stops_and_is_let_go() -> None:
    """Whatever time any role names, its ids do not fill the memory for good."""
    account = opened()
    far = say(TradingState, action="halt", role="trader", ts_event=MIDNIGHT + 10_000 * DAY)
    apply(account, far)
    assert account.kept.switches.state() == "HALTED"
    account.advance(MIDNIGHT + 3 * DAY)
    assert not account.kept.memory.ids


def test_open_when_sent_then_the_book_is_as_stated() -> None:
    """Cash is decimal text, exact; a position twice is no statement."""
    account = opened()
    position = OpeningPosition(symbol="AAA", quantity=-3, price=90)
    apply(account, say(BookOpen, cash="0.0000000000000001", positions=[position]))
    assert account.book.cash == 1
    assert account.book.position("AAA").lots == -3
    twice = say(BookOpen, change_id="c2", cash="1", positions=[position, position])
    assert refusal(account, twice) == ("BAD_POSITIONS", "positions")


@pytest.mark.parametrize(
    "cash",
    [
        *("x", "1e16", "1e40", "1e-17", "nan", "snan", "inf"),
        *("1e999999999", "-1e999999999", "1e-999999999", "0e999999999", "1." + "1" * 10**6),
    ],
)
def test_open_when_cash_is_no_amount_then_is_refused(cash: str) -> None:
    """Neither text nor endless numbers, and at once: the book must not compute what they are."""
    assert refusal(opened(), say(BookOpen, cash=cash)) == ("BAD_AMOUNT", "cash")


def test_actions_when_they_come_then_follow_the_symbol() -> None:
    """A split and a dividend act on what is held; a stranger's are refused."""
    account = opened(held={"AAA": 2})
    apply(account, say(Split, symbol="AAA", new=2, old=1))
    apply(account, say(Dividend, change_id="c2", symbol="AAA", amount=0.5))
    assert account.book.position("AAA").lots == 4
    assert account.book.cash == 1_002 * MONEY_SCALE
    for kind, more in ((Split, {"new": 2, "old": 1}), (Dividend, {"amount": 1})):
        stray = say(kind, change_id="c3", symbol="ZZZ", **more)
        assert refusal(account, stray) == ("UNKNOWN_SYMBOL", "symbol")
    assert account.verify() == []


def test_parity_when_sent_then_replaces_the_weights() -> None:
    """The record goes over the epoch's weights."""
    account = opened()
    apply(account, say(RiskParity, weights={"AAA": 0.25, "BBB": 0.75}))
    assert account.parity == {"AAA": 0.25, "BBB": 0.75}
    stray = say(RiskParity, change_id="c2", weights={"ZZZ": 1.0})
    assert refusal(account, stray) == ("UNKNOWN_SYMBOL", "symbol")


def test_order_when_checked_after_a_halt_then_is_refused() -> None:
    """A switch acts where it stands in the log: the next record meets it."""
    account = opened()
    apply(account, say(TradingState, action="halt", scope="strategy", name="manual"))
    applied = apply(account, intent())
    assert applied.judged is not None
    assert [b.code for b in applied.judged.verdict.breaches] == ["HALTED"]
    assert account.reducible(Order("AAA", 1)) == 0
