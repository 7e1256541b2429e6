"""The judge: follows the log beside the fold and says, after every record, whether all is right.

It knows what a record means, not how the fold works: it keeps an account of its own
(:mod:`tests.simulation.shadow`), reads the limits by itself (:mod:`tests.simulation.statute`), and
takes from the fold only what the world outside sees: decisions, executions, dead letters.
"""

import json
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from agents.stage import Output
from models.risk.account import Account
from streams.ids import decision_id, intent_decision_id
from tests.builders import Sent, letters
from tests.simulation.changes import Refusal, change, refuse_untimely, whole_lots
from tests.simulation.shadow import DAY_NS, MONEY, PRICE, Shadow, Waiting
from tests.simulation.statute import Wish, read

PORTFOLIO, TIMEFRAME = "main", "1min"

# Symbol -> (close, fill price, confidence, target).
Rows = Mapping[str, tuple[float, float, float, float]]


class Violation(AssertionError):  # noqa: N818  it is what the judge says
    """The fold did what it must not; ``kind`` is ``limit`` where an approved order broke one."""

    def __init__(self, kind: str, said: str) -> None:
        super().__init__(f"{kind}: {said}")
        self.kind = kind


class Bar(NamedTuple):
    """What one slice means: the rows of one of two partitions."""

    close_ns: int
    partition: int
    rows: Rows
    fed: tuple[int, int] = (0, 0)


Meaning = Bar | Mapping[str, Any] | None
"""A slice, a JSON record, or None for bytes that mean nothing."""


class Judge:
    """Follows one story.

    Parameters
    ----------
    shadow
        The account as it begins.
    n_partitions
        Partitions whose slices make a bar.
    """

    def __init__(self, shadow: Shadow, n_partitions: int) -> None:
        self.shadow = shadow
        self.n_partitions = n_partitions
        self.waiting: dict[int, dict[int, Bar]] = {}
        self.delivered = dict.fromkeys(range(n_partitions), -1)
        self.decided = -1
        self.n_judged = self.n_approved = 0
        self.codes: dict[str, int] = {}
        self.hint: dict[str, tuple[int, int]] = {}

    def follow(self, meaning: Meaning, sent: list[Sent]) -> None:
        """Take one record and what the fold sent for it."""
        found = _Sent(sent)
        if meaning is None:
            demand("poison", len(found.letters) == 1 and found.is_nothing_else(), sent)
        elif isinstance(meaning, Bar):
            demand("letter", not found.letters, found.letters)
            self._slice(meaning, found)
        else:
            self._said(meaning, found)
        demand("output", not found.left(), found.left())

    def compare(self, account: Account) -> None:
        """Hold the fold's account against the judge's."""
        mine, book = self.shadow, account.book
        stakes = {symbol: mine.worst(symbol) for symbol in mine.lots}
        sectors = dict.fromkeys(mine.terms.sectors.values(), 0)
        for symbol, worst in stakes.items():
            sectors[mine.terms.sectors[symbol]] += abs(worst)
        orders = {one.order_id: one.lots for one in account.reservations.orders}
        demand("cash", book.cash == mine.cash, (book.cash, mine.cash))
        held = {symbol: book.position(symbol) for symbol in mine.lots}
        lots = {symbol: position.lots for symbol, position in held.items()}
        demand("positions", lots == mine.lots, (lots, mine.lots))
        mine_open = {one: order.lots for one, order in mine.orders.items()}
        demand("reservations", orders == mine_open, (orders, mine_open))
        seen = (account.equity, account.exposure.gross, book.fees, book.realised)
        expected = (mine.equity(), sum(map(abs, stakes.values())), mine.fees, mine.realised)
        demand("equity, gross, fees, realised", seen == expected, (seen, expected))
        by_sector = {name: account.exposure.by_sector.get(name, 0) for name in sectors}
        demand("sectors", by_sector == sectors, (by_sector, sectors))
        day = account.kept.day
        days = (day.number, day.open_equity, day.peak_equity, account.kept.now_ns)
        my_days = (mine.day, mine.opened, mine.peak, mine.now)
        demand("day", days == my_days, (days, my_days))
        states = {key: switch.state for key, switch in account.kept.switches.thrown.items()}
        demand("switches", states == mine.switches, (states, mine.switches))
        # Every unit of money is somewhere: in cash, in what positions cost, or gone for fees.
        cost = sum(position.cost for position in held.values())
        balance = mine.base + book.realised - book.fees - book.cash - cost
        demand("balance", balance == 0, balance)

    def _slice(self, bar: Bar, found: "_Sent") -> None:
        if bar.close_ns > self.decided:
            self.waiting.setdefault(bar.close_ns, {}).setdefault(bar.partition, bar)
        self.delivered[bar.partition] = max(self.delivered[bar.partition], bar.close_ns)
        reached = min(self.delivered.values())
        for close_ns in sorted(one for one in self.waiting if one <= reached):
            parts = self.waiting.pop(close_ns)
            rows = {s: row for part in sorted(parts) for s, row in parts[part].rows.items()}
            self.decided = close_ns
            self.shadow.come_to(close_ns)
            self.shadow.be_fed(close_ns, [part.fed for part in parts.values()])
            self._bar(close_ns, dict(sorted(rows.items())), found)

    def _bar(self, close_ns: int, rows: Rows, found: "_Sent") -> None:
        shadow = self.shadow
        if rows and not shadow.terms.is_external:
            for order_id, order in list(shadow.orders.items()):
                self._settle(order_id, order, rows, found)
        if rows:
            shadow.price_at(close_ns, {symbol: row[0] for symbol, row in rows.items()})
        decided = [found.decision() for _ in rows]
        demand("rows", {d["symbol"] for d in decided} == rows.keys(), (decided, list(rows)))
        demand("order", decided == sorted(decided, key=_turn), [_turn(d) for d in decided])
        for decision in decided:
            symbol = decision["symbol"]
            named = decision_id(PORTFOLIO, TIMEFRAME, close_ns, symbol)
            demand("id", decision["decision_id"] == named, decision)
            if decision["action"] == "HOLD":
                demand("hold", decision["approved"] and not decision["quantity"], decision)
                continue
            self._judge(decision, self._wish(decision), close_ns)
        snapshot = found.snapshot()
        equity = Fraction(snapshot["equity"]) * MONEY
        demand("snapshot", equity == shadow.equity(), (snapshot, shadow.equity()))

    def _settle(self, order_id: str, order: Waiting, rows: Rows, found: "_Sent") -> None:
        shadow = self.shadow
        price = rows[order.symbol][1] if order.symbol in rows else math.nan
        side = 1 if order.lots > 0 else -1
        if order.placed > shadow.bar:
            return
        order.bars += 1
        fills = not math.isnan(price)
        at = 0
        if fills:
            slipped = price * (1.0 + side * shadow.terms.slippage_bps / 10_000)
            at = max(round(Fraction(repr(slipped)) * PRICE), 1)
            fills = not order.price_e8 or side * at <= side * order.price_e8
        if not fills and order.bars < shadow.terms.expiry_bars:
            return
        del shadow.orders[order_id]
        kind = "fill" if fills else "expire"
        if fills:
            notional = abs(order.lots) * shadow.terms.lot_e8[order.symbol] * at
            bps = Fraction(repr(shadow.terms.fee_bps)) / 10_000
            fee = math.ceil(notional * bps / PRICE) * PRICE
            shadow.book(order.symbol, order.lots, at, fee)
        self._executed(found, order_id, kind, order.symbol, order.lots)

    def _executed(
        self, found: "_Sent", order_id: str, kind: str, symbol: str, lots: int
    ) -> dict[str, Any]:
        said = found.execution()
        seen = (said["decision_id"], said["kind"], said["symbol"], _signed(said, self._units))
        expected = (order_id, kind, symbol, lots)
        demand("execution", seen == expected, (seen, expected))
        return said

    def _units(self, symbol: str, quantity: float) -> int:
        """Return a quantity in lots; not a whole number is a defect."""
        lots = Fraction(repr(quantity)) * PRICE / self.shadow.terms.lot_e8[symbol]
        demand("lots", lots.denominator == 1, (symbol, quantity))
        return int(lots)

    def _wish(self, decision: Mapping[str, Any], price_e8: int = 0, of: str = "model") -> Wish:
        return Wish(decision["symbol"], _signed(decision, self._units), price_e8, of)

    def _judge(
        self, decision: Mapping[str, Any], wish: Wish, placed: int, asked: int | None = None
    ) -> None:
        """Judge one decision on an order; ``asked`` is what an intent asked for, in lots."""
        shadow, self.n_judged = self.shadow, self.n_judged + 1
        reading = read(shadow, wish)
        codes = [one["code"] for one in decision["rejection_reasons"]]
        for code in codes:
            self.codes[code] = self.codes.get(code, 0) + 1
        is_reduced = decision["note"] == "REDUCED_TO_LIMIT"
        if decision["approved"]:
            self.n_approved += 1
            said = f"{wish} was approved over {reading.broken}"
            demand("limit", not reading.broken, said)
            demand(
                "reduced", is_reduced == bool(codes) and is_reduced <= shadow.terms.reduces, codes
            )
            demand("asked", is_reduced or asked in {None, wish.lots}, (asked, wish))
        else:
            demand("asked", asked in {None, wish.lots}, (asked, wish))
        if asked is not None or not is_reduced:
            full = wish if asked is None else wish._replace(lots=asked)
            whole = read(shadow, full)
            seen = [code for code in codes if code not in whole.unsure]
            demand("reasons", seen == whole.broken, (full, seen, whole))
        self._tight(decision, wish, codes)
        if decision["approved"]:
            order = Waiting(wish.symbol, wish.lots, wish.strategy, wish.price_e8, placed)
            shadow.approve(decision["decision_id"], order)

    def _tight(self, decision: Mapping[str, Any], wish: Wish, codes: list[str]) -> None:
        """Demand that the allowed quantity passes and one lot more does not."""
        allowed = self._units(wish.symbol, decision["allowed_quantity"])
        self.hint[wish.symbol] = (wish.side, allowed)
        if allowed:
            passes = read(self.shadow, wish._replace(lots=wish.side * allowed))
            demand("allowed", not passes.broken, (wish, allowed, passes))
        if "DUPLICATE_ORDER" not in codes:
            more = read(self.shadow, wish._replace(lots=wish.side * (allowed + 1)))
            demand("tight", bool(more.broken or more.unsure), (wish, allowed))

    def _said(self, said: Mapping[str, Any], found: "_Sent") -> None:
        shadow = self.shadow
        one = said_id(said)
        if one in shadow.ids or one in shadow.known:
            return
        day = (said["ts_event"] - 1) // DAY_NS
        try:
            self._act(said, day, found)
        except Refusal as refusal:
            demand("letter", [letter.reason for letter in found.letters] == [str(refusal)], said)
            return
        demand("letter", not found.letters, (said, [letter.detail for letter in found.letters]))
        if said["record"] != "venue_execution":
            is_stop = said["record"] == "trading_state" and said["action"] != "resume"
            # Anybody may stop things, under a time of any day.
            day = shadow.remembered if is_stop and shadow.bar >= 0 else day
            shadow.ids[one] = max(day, shadow.remembered)

    def _act(self, said: Mapping[str, Any], day: int, found: "_Sent") -> None:
        shadow = self.shadow
        refuse_untimely(shadow, said, day)
        if shadow.bar >= 0:
            shadow.come_to(min(said["ts_event"], shadow.bar + shadow.terms.bar_ns))
        if said["record"] == "order_intent":
            self._intent(said, day, found)
            return
        for order_id, kind, symbol, lots in change(shadow, said, day):
            self._executed(found, order_id, kind, symbol, lots)

    def _intent(self, said: Mapping[str, Any], day: int, found: "_Sent") -> None:
        lots = whole_lots(self.shadow, said["symbol"], said["quantity"])
        taken_on = max(day, self.shadow.remembered)
        order_id = intent_decision_id(PORTFOLIO, said["intent_id"], taken_on)
        decision = found.decision()
        demand("id", decision["decision_id"] == order_id, decision)
        price = said.get("price")
        price_e8 = 0 if price is None else round(Fraction(repr(float(price))) * PRICE)
        asked = lots if said["side"] == "BUY" else -lots
        strategy = said.get("strategy", "manual")
        placed = max(said["ts_event"], self.shadow.bar + 1)
        self._judge(decision, self._wish(decision, price_e8, strategy), placed, asked)


class _Sent:
    """What the fold sent for one record, taken from the front."""

    def __init__(self, sent: Iterable[Sent]) -> None:
        sent = list(sent)
        self.letters = letters(sent)
        self._left: dict[str, list[Any]] = {}
        for one in sent:
            if isinstance(one, Output):
                self._left.setdefault(one.topic, []).append(json.loads(one.value))

    def _next(self, topic: str) -> Any:  # noqa: ANN401  any JSON
        demand("missing", bool(self._left.get(topic)), topic)
        return self._left[topic].pop(0)

    def decision(self) -> Any:  # noqa: ANN401  any JSON
        """Take the next decision."""
        return self._next("trading-decisions")

    def execution(self) -> Any:  # noqa: ANN401  any JSON
        """Take the next execution."""
        return self._next("executions")

    def snapshot(self) -> Any:  # noqa: ANN401  any JSON
        """Take the next snapshot of the account."""
        return self._next("portfolio-snapshots")

    def left(self) -> list[Any]:
        """Return what nobody has asked for."""
        return [one for left in self._left.values() for one in left]

    def is_nothing_else(self) -> bool:
        """Tell whether nothing but letters was sent."""
        return not self._left


def demand(kind: str, holds: bool, about: object) -> None:  # noqa: FBT001  what is asked for
    """Raise a violation unless something holds."""
    if not holds:
        raise Violation(kind, str(about))


def said_id(said: Mapping[str, Any]) -> str:
    """Return the id under which a record is remembered."""
    for name, key in (("intent", "intent_id"), ("execution", "execution_id")):
        if key in said:
            return f"{name}:{said[key]}"
    return f"change:{said['change_id']}"


def _signed(said: Mapping[str, Any], units: Any) -> int:  # noqa: ANN401  a bound method
    lots: int = units(said["symbol"], said["quantity"])
    return lots if said.get("side", said.get("action")) == "BUY" else -lots


def _turn(decision: Mapping[str, Any]) -> tuple[int, float, str]:
    """Return the place of a bar's decision: sales first, then by falling confidence."""
    sells = decision["action"] == "SELL"
    return (0 if sells else 1, -decision["confidence"], decision["symbol"])
