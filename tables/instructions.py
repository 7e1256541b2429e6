"""Records of the book's log as the account takes them: units become lots, decimals integers."""

import math
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, NamedTuple

import msgspec

from models.errors import Refused
from models.portfolio.ledger import LARGEST_LOTS, MONEY_SCALE, price_e8
from models.portfolio.ledger import PRICE_SCALE as UNIT_SCALE
from models.portfolio.reservation import OpenOrder
from models.risk.account import Account
from models.risk.changes import Opening, dividend, open_book, split
from models.risk.decide import Outcome, Row, Verdict, judge, judge_target, unchecked
from models.risk.limits import Order
from models.risk.memory import DAYS_AHEAD, DAYS_KEPT, MOST_IDS
from models.risk.sessions import day_of
from models.risk.switches import MOST_NAMED, Switch, SwitchState, key_of
from models.risk.venue import Report, take_report
from streams.epochs import LIMIT_BOUNDS, Limits
from streams.errors import FieldError, SettingsError
from streams.ids import intent_decision_id
from streams.instructions import (
    BookOpen,
    Change,
    DecidedIntent,
    Dividend,
    Instruction,
    LimitChange,
    OrderIntent,
    RiskParity,
    Split,
    TargetIntent,
    TradingState,
    VenueExecution,
)
from streams.records import LONGEST_ID, Decision

# The windows of these are the shape of the account's state, so they change with a run, not within.
_FIXED_LIMITS = frozenset({"correlation_bars", "var_bars"})

# Powers of ten that the first digit of an amount may have.
_EXPONENTS = range(-16, 16)


class Judged(NamedTuple):
    """An intent, what was decided about it, and the id of that decision."""

    intent: OrderIntent | TargetIntent
    verdict: Verdict
    decision_id: str


class Applied(NamedTuple):
    """What a record caused; ``judged`` is set for an intent, ``decided`` for one that was."""

    outcome: Outcome
    judged: Judged | None = None
    decided: Decision | None = None


_NOTHING = Applied(Outcome())


def apply_instruction(account: Account, said: Instruction, currency: str) -> Applied:
    """Let a record act on an account, or refuse it and leave the account as it was.

    Time moves on to the record's, but at most by a bar beyond the last one: no record from the
    future can end a day.

    Raises
    ------
    FieldError
        With the field, its value and what was expected.
    """
    kept = account.kept
    ts_ns = said.ts_ns()
    if kept.memory.is_known(said.id):
        return _NOTHING
    day = day_of(account.rules.day, ts_ns)
    if kept.memory.is_forgotten(day) and not _is_never_late(account, said):
        raise FieldError(
            "RECORD_TOO_OLD",
            "ts_event",
            said.ts_event,
            f"a time within the last {DAYS_KEPT} days of the book, which remembers ids so long",
        )
    if isinstance(said, OrderIntent | TargetIntent):
        _refuse_intent(account, said, day)
    if kept.bar_ns >= 0:
        account.advance(min(ts_ns, kept.bar_ns + account.rules.bar_ns))
    taken_on = max(day, kept.memory.day)
    if kept.bar_ns >= 0 and _is_never_late(account, said):
        # Any role may stop things, at any time: an id of far ahead would never be let go.
        taken_on = kept.memory.day
    try:
        applied = _apply(account, said, currency, taken_on)
    except Refused as refused:
        raise FieldError(refused.code, refused.field, refused.value, refused.expected) from refused
    if not isinstance(said, VenueExecution):
        kept.memory.ids[said.id] = taken_on
    return applied


def _refuse_intent(account: Account, said: OrderIntent | TargetIntent, day: int) -> None:
    """Refuse an order that could not be remembered: its id would stay for ever, or is one too many.

    Bars this old could not judge it anyhow.
    """
    memory = account.kept.memory
    if account.kept.bar_ns >= 0 and day > memory.day + DAYS_AHEAD:
        expected = f"a time within {DAYS_AHEAD} days of the book's last bar"
        raise FieldError("RECORD_FROM_FUTURE", "ts_event", said.ts_event, expected)
    if memory.is_full():
        expected = f"at most {MOST_IDS} ids in two days"
        raise FieldError("TOO_MANY_RECORDS", "intent_id", said.intent_id, expected)


def _is_never_late(account: Account, said: Instruction) -> bool:
    """Tell whether a record may be old: it only makes the account more careful, or its id is known.

    All executions of an open order are remembered, so an unknown one of it is new. A decision that
    was answered is a fact, however late its worker comes back to tell it.
    """
    if isinstance(said, DecidedIntent):
        return True
    if isinstance(said, VenueExecution):
        return account.reservations.find(said.decision_id) is not None
    return isinstance(said, TradingState) and said.action != "resume"


def _apply(account: Account, said: Instruction, currency: str, taken_on: int) -> Applied:
    if isinstance(said, OrderIntent):
        return _intent(account, said, taken_on)
    if isinstance(said, TargetIntent):
        return _target(account, said, taken_on)
    if isinstance(said, DecidedIntent):
        return _decided(account, said)
    if isinstance(said, VenueExecution):
        return Applied(take_report(account, _report(account, said, currency)))
    return Applied(_CHANGES[type(said)](account, said))


def order_of(account: Account, said: OrderIntent) -> Order:
    """Return an intent as the controls take it; it raises as :func:`to_lots`."""
    lots = to_lots(account, said.symbol, said.quantity)
    price = 0 if said.price is None else price_e8(said.price)
    return Order(said.symbol, lots if said.side == "BUY" else -lots, price, said.strategy)


def _intent(account: Account, said: OrderIntent, taken_on: int) -> Applied:
    order = order_of(account, said)
    order_id = intent_decision_id(said.portfolio, said.intent_id, taken_on)
    price = _last_price(account, said.symbol) if said.price is None else float(said.price)
    row = Row(said.symbol, price, 0.0, 0.0, 0.0)
    verdict = judge(account, row, order, _placed_ns(account, said), order_id)
    return Applied(Outcome(), Judged(said, verdict, order_id))


def _target(account: Account, said: TargetIntent, taken_on: int) -> Applied:
    to_lots(account, said.symbol, 0)
    order_id = intent_decision_id(said.portfolio, said.intent_id, taken_on)
    confidence = math.nan if said.confidence is None else float(said.confidence)
    target = math.nan if said.target_fraction is None else float(said.target_fraction)
    price = _last_price(account, said.symbol)
    row = Row(said.symbol, price, math.nan, confidence, target)
    if said.is_checked:
        placed_ns = _placed_ns(account, said)
        verdict = judge_target(account, row, said.strategy, placed_ns, order_id)
    else:
        verdict = unchecked(account, row)
    return Applied(Outcome(), Judged(said, verdict, order_id))


def _decided(account: Account, said: DecidedIntent) -> Applied:
    """Take over what was decided and answered while the log was away, with its order."""
    decision = said.decision
    lots = to_lots(account, decision.symbol, decision.quantity)
    if decision.approved and lots:
        lots = lots if decision.action == "BUY" else -lots
        placed_ns = max(said.ts_ns(), account.kept.bar_ns + 1)
        order_id, strategy = decision.decision_id, said.strategy
        account.reserve(OpenOrder(decision.symbol, lots, placed_ns, 0, order_id, strategy, 0))
    return Applied(Outcome(), decided=_as_answered(decision))


def _as_answered(decision: Decision) -> Decision:
    """Return a decision whose bytes are the answer's: whole units were read as a float."""
    read = (decision.quantity, decision.allowed_quantity)
    quantity, allowed = (int(one) if one.is_integer() else one for one in read)
    return msgspec.structs.replace(decision, quantity=quantity, allowed_quantity=allowed)


def _last_price(account: Account, symbol: str) -> float:
    return account.book.position(symbol).price_e8 / UNIT_SCALE


def _placed_ns(account: Account, said: OrderIntent | TargetIntent) -> int:
    """Return when it was sent: it stands behind the last bar in the log, whatever it says."""
    return max(said.ts_ns(), account.kept.bar_ns + 1)


def _report(account: Account, said: VenueExecution, currency: str) -> Report:
    if said.currency != currency:
        raise FieldError("CURRENCY_MISMATCH", "currency", said.currency, currency)
    lots = to_lots(account, said.symbol, said.quantity) if said.quantity else 0
    if lots + abs(account.book.position(said.symbol).lots) > LARGEST_LOTS:
        expected = f"what leaves a position of at most {LARGEST_LOTS} lots"
        raise FieldError("BAD_QUANTITY", "quantity", said.quantity, expected)
    return Report(
        execution_id=said.id,
        order_id=said.decision_id,
        symbol=said.symbol,
        kind=said.kind,
        lots=lots if said.side == "BUY" else -lots,
        price_e8=price_e8(said.price),
        fee=_exact("fee", said.fee, MONEY_SCALE),
        ts_ns=said.ts_ns(),
        corrects=f"execution:{said.corrects}" if said.corrects else "",
    )


def to_lots(account: Account, symbol: str, quantity: float) -> int:
    """Return a quantity in units as whole lots, signed as the quantity.

    Raises
    ------
    FieldError
        ``UNKNOWN_SYMBOL`` if the portfolio does not trade it, ``BAD_QUANTITY`` if it is no multiple
        of the lot or more lots than can be counted exactly.
    """
    if symbol not in account.scenarios.index:
        raise FieldError("UNKNOWN_SYMBOL", "symbol", symbol, "a symbol of the portfolio's universe")
    lot_size = Fraction(account.book.lot_sizes[symbol], UNIT_SCALE)
    lots = Fraction(Decimal(repr(quantity))) / lot_size
    if lots.denominator != 1 or abs(lots) > LARGEST_LOTS:
        raise FieldError(
            "BAD_QUANTITY",
            "quantity",
            quantity,
            f"a multiple of the lot, {float(lot_size):g}, and at most {LARGEST_LOTS} lots",
        )
    return int(lots)


def _exact(field: str, value: float | str, scale: int) -> int:
    """Return a decimal number as an integer of 1/scale."""
    text, expected = str(value), "at most 1e15, with at most 16 decimals"
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise FieldError("BAD_AMOUNT", field, value, "a decimal number") from None
    # Looked at before it is made exact: 1e999999999 would take all memory, a million digits time.
    if len(text) > LONGEST_ID or number.adjusted() not in _EXPONENTS or not number.is_finite():
        raise FieldError("BAD_AMOUNT", field, value, expected)
    scaled = Fraction(number) * scale
    if scaled.denominator != 1 or abs(scaled) > 10**31:
        raise FieldError("BAD_AMOUNT", field, value, expected)
    return int(scaled)


def _limit_change(account: Account, said: Any) -> Outcome:  # noqa: ANN401  the table gives its type
    for key, value in said.limits.items():
        known = key in LIMIT_BOUNDS or key in {"allow_short", "restricted"}
        if not known or key in _FIXED_LIMITS:
            raise FieldError("BAD_LIMIT", f"limits.{key[:64]}", value, "a limit that may change")
    plain = {**account.limits._asdict(), **said.limits}
    try:
        msgspec.convert(plain, Limits).check("limits.")
    except msgspec.ValidationError as error:
        raise FieldError("BAD_LIMIT", "limits", said.limits, str(error)) from error
    except SettingsError as error:
        raise FieldError("BAD_LIMIT", "limits", said.limits, str(error)) from error
    converted = msgspec.convert(plain, Limits)
    account.kept.changed |= {key: getattr(converted, key) for key in said.limits}
    account.adopt(account.rules)
    return Outcome()


def _trading_state(account: Account, said: Any) -> Outcome:  # noqa: ANN401  the table gives its type
    switches = account.kept.switches
    if said.action == "resume":
        switches.restore(said.scope, said.name)
    else:
        if said.scope == "symbol":
            to_lots(account, said.name, 0)
        thrown = switches.thrown.get(key_of(said.scope, said.name))
        if said.action == "reduce" and thrown is not None and thrown.state == "HALTED":
            said.require_admin()
        if thrown is None and said.name and switches.n_named() >= MOST_NAMED:
            expected = f"at most {MOST_NAMED} strategies and symbols; stop the portfolio instead"
            raise FieldError("TOO_MANY_SWITCHES", "name", said.name, expected)
        state: SwitchState = "HALTED" if said.action == "halt" else "REDUCING"
        switch = Switch(state, said.reason, said.actor, max(account.kept.now_ns, 0))
        switches.throw(said.scope, said.name, switch)
    return Outcome()


def _book_open(account: Account, said: Any) -> Outcome:  # noqa: ANN401  the table gives its type
    positions = [
        Opening(p.symbol, to_lots(account, p.symbol, p.quantity), price_e8(p.price))
        for p in said.positions
    ]
    if len({p.symbol for p in positions}) != len(positions):
        raise FieldError("BAD_POSITIONS", "positions", "a symbol twice", "each symbol once")
    return open_book(account, _exact("cash", said.cash, MONEY_SCALE), positions)


def _split(account: Account, said: Any) -> Outcome:  # noqa: ANN401  the table gives its type
    to_lots(account, said.symbol, 0)
    return split(account, said.symbol, said.new, said.old)


def _dividend(account: Account, said: Any) -> Outcome:  # noqa: ANN401  the table gives its type
    to_lots(account, said.symbol, 0)
    return dividend(account, said.symbol, _exact("amount", said.amount, UNIT_SCALE))


def _risk_parity(account: Account, said: Any) -> Outcome:  # noqa: ANN401  the table gives its type
    for symbol in said.weights:
        to_lots(account, symbol, 0)
    account.kept.parity = {symbol: float(weight) for symbol, weight in said.weights.items()}
    return Outcome()


_CHANGES: dict[type[Change], Callable[[Account, Any], Outcome]] = {
    LimitChange: _limit_change,
    TradingState: _trading_state,
    BookOpen: _book_open,
    Split: _split,
    Dividend: _dividend,
    RiskParity: _risk_parity,
}
