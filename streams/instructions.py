"""Records of ``portfolio-events`` beside slices: JSON, each acts where it stands in the log.

Every record names its portfolio, its time and an id; the same id twice changes nothing. ``check``
refuses what no book could mean, with the field, its value and what was expected; what only the book
can tell (an unknown symbol, half a lot) is refused there.
"""

import math
import re
from typing import Literal, TypeVar

import msgspec

from streams.dead_letters import Headers
from streams.errors import FieldError, RecordError
from streams.records import (
    LARGEST_PRICE,
    LARGEST_SIZE,
    LONGEST_ID,
    SMALLEST_PRICE,
    Decision,
    read_json,
)
from streams.timestamps import parse_ns

Number = float | int
Side = Literal["BUY", "SELL"]
Role = Literal["trader", "researcher", "admin"]
Specialist = Literal["bull_specialist", "bear_specialist", "sideways_specialist"]
Strategy = Literal["model"] | Specialist

INTENT = "intent:"
"""What the id of an intent begins with, before its caller's key."""

_LARGEST_MONEY = 1e15
_LONGEST_REASON = 500
_MOST_ENTRIES = 10_000
_LARGEST_HEADERS = 16_384
_N_REGIMES = 3
_MOST_FEATURES = 1_000
_SUM_TOLERANCE = 1e-6
_AT = re.compile(r" - at `\$\.([^`]*)`")


class _Instruction(msgspec.Struct, frozen=True, kw_only=True, tag_field="record"):
    """What all records share: whom they are for and when they were made (RFC 3339 or ns)."""

    portfolio: str
    ts_event: str | int

    def ts_ns(self) -> int:
        """Return the record's time in nanoseconds."""
        return parse_ns(self.ts_event)

    def _check_shared(self, **ids: str) -> None:
        for name, value in {"portfolio": self.portfolio, **ids}.items():
            _check_text(name, value)
        self.ts_ns()


class OrderIntent(_Instruction, frozen=True, kw_only=True, tag="order_intent"):
    """An order that somebody wants; ``intent_id`` is its idempotency key. Without price: market."""

    intent_id: str
    symbol: str
    side: Side
    quantity: Number
    price: Number | None = None
    strategy: str = "manual"

    @property
    def id(self) -> str:
        """The id under which it is remembered."""
        return INTENT + self.intent_id

    def check(self) -> None:
        """Refuse what is no order."""
        self._check_shared(intent_id=self.intent_id, symbol=self.symbol, strategy=self.strategy)
        _check_quantity("quantity", self.quantity)
        if self.price is not None:
            _check_price("price", self.price)


class TargetIntent(_Instruction, frozen=True, kw_only=True, tag="target_intent"):
    """What the models want of one symbol, because somebody asked; ``intent_id`` is the key of it.

    It carries all that its decision shows, so that the book need not know the bar it follows from:
    ``bar_close`` names that bar, ``epoch_digest`` what the models were. ``features`` are in the
    catalogue's order, null while they warm up, as are ``confidence`` and ``target_fraction``;
    ``regime`` is bull, bear, sideways and the entropy in bits. With ``is_checked`` false risk is
    not asked, and the decision can never be executed.
    """

    intent_id: str
    symbol: str
    bar_close: str | int
    epoch_digest: str
    confidence: Number | None
    target_fraction: Number | None
    regime: tuple[Number, Number, Number, Number]
    weights: tuple[Number, Number, Number]
    features: list[Number | None]
    strategy: Strategy = "model"
    is_checked: bool = True

    @property
    def id(self) -> str:
        """The id under which it is remembered; it shares its keys with orders."""
        return INTENT + self.intent_id

    def check(self) -> None:
        """Refuse what no model could want."""
        self._check_shared(
            intent_id=self.intent_id, symbol=self.symbol, epoch_digest=self.epoch_digest
        )
        parse_ns(self.bar_close)
        for at, share in enumerate((*self.regime[:3], *self.weights)):
            name = f"regime[{at}]" if at < _N_REGIMES else f"weights[{at - _N_REGIMES}]"
            _check_between("BAD_FRACTION", name, share, 0, 1)
        if len(self.features) > _MOST_FEATURES:
            raise FieldError(
                "BAD_FEATURES", "features", len(self.features), f"at most {_MOST_FEATURES}"
            )
        if (self.confidence is None) != (self.target_fraction is None):
            raise FieldError(
                "BAD_TARGET", "target_fraction", self.target_fraction, "null as confidence is"
            )
        if self.confidence is not None and self.target_fraction is not None:
            _check_between("BAD_CONFIDENCE", "confidence", self.confidence, 0.5, 1)
            _check_between("BAD_TARGET", "target_fraction", self.target_fraction, -1, 1)


class DecidedIntent(_Instruction, frozen=True, kw_only=True, tag="decided_intent"):
    """A target that its book decided while the log was away: a fact by the time it stands here.

    The decision was answered as it is; the book takes it over, with its order, unasked.
    """

    intent_id: str
    decision: Decision
    strategy: Strategy = "model"

    @property
    def id(self) -> str:
        """The id under which it is remembered: that of the target."""
        return INTENT + self.intent_id

    def check(self) -> None:
        """Refuse what is no decision about this intent."""
        self._check_shared(intent_id=self.intent_id, symbol=self.decision.symbol)
        of = (self.decision.portfolio, self.decision.intent_id)
        if of != (self.portfolio, self.intent_id):
            raise FieldError("BAD_DECISION", "decision", of, "portfolio and key of the record")


class VenueExecution(_Instruction, frozen=True, kw_only=True, tag="venue_execution"):
    """What a venue did with an order, on ``venue-executions`` and copied from there.

    ``corrects`` names the execution that a correction replaces; its quantity, price and fee are
    what is right. The price of a cancel, an expiry and a rejection is not looked at.
    """

    execution_id: str
    decision_id: str
    symbol: str
    kind: Literal["fill", "partial_fill", "cancel", "expire", "reject", "correction"]
    side: Side
    quantity: Number
    price: Number = 0
    fee: Number = 0
    currency: str
    venue: str
    corrects: str = ""

    @property
    def id(self) -> str:
        """The id under which it is remembered."""
        return f"execution:{self.execution_id}"

    def check(self) -> None:
        """Refuse what no venue could mean."""
        self._check_shared(
            execution_id=self.execution_id,
            decision_id=self.decision_id,
            symbol=self.symbol,
            currency=self.currency,
            venue=self.venue,
        )
        if self.kind in {"fill", "partial_fill"}:
            _check_quantity("quantity", self.quantity)
            _check_price("price", self.price)
        elif self.kind == "correction":
            _check_text("corrects", self.corrects)
            _check_between("BAD_QUANTITY", "quantity", self.quantity, 0, LARGEST_SIZE)
            _check_price("price", self.price)
        else:
            _check_between("BAD_QUANTITY", "quantity", self.quantity, 0, LARGEST_SIZE)
        _check_between("BAD_FEE", "fee", self.fee, -_LARGEST_MONEY, _LARGEST_MONEY)


class _Change(_Instruction, frozen=True, kw_only=True):
    """What all changes by people share: an id, who made it in which role, and why."""

    change_id: str
    actor: str
    role: Role
    reason: str

    @property
    def id(self) -> str:
        """The id under which it is remembered."""
        return f"change:{self.change_id}"

    def _check_change(self) -> None:
        self._check_shared(change_id=self.change_id, actor=self.actor)
        if not 0 < len(self.reason) <= _LONGEST_REASON:
            raise FieldError(
                "BAD_REASON", "reason", self.reason, f"1..{_LONGEST_REASON} characters"
            )

    def require_admin(self) -> None:
        """Refuse a change that only an administrator may make."""
        if self.role != "admin":
            raise FieldError("FORBIDDEN", "role", self.role, "admin")


class LimitChange(_Change, frozen=True, kw_only=True, tag="limit_change"):
    """New values of some limits, by key; they stand until they are changed again."""

    limits: dict[str, Number | bool | list[str]]

    def check(self) -> None:
        """Refuse an empty change and one by somebody else than an administrator."""
        self._check_change()
        self.require_admin()
        if not self.limits:
            raise FieldError("BAD_LIMIT", "limits", self.limits, "at least one key")


class TradingState(_Change, frozen=True, kw_only=True, tag="trading_state"):
    """A kill switch: any role may throw it, only an administrator sets it back."""

    action: Literal["halt", "reduce", "resume"]
    scope: Literal["global", "portfolio", "strategy", "symbol"] = "portfolio"
    name: str = ""

    def check(self) -> None:
        """Refuse a switch without a name where the scope needs one, and a resume by others."""
        self._check_change()
        if self.scope in {"strategy", "symbol"}:
            _check_text("name", self.name)
        if self.action == "resume":
            self.require_admin()


class OpeningPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position that exists already: signed quantity, its cost per unit."""

    symbol: str
    quantity: Number
    price: Number


class BookOpen(_Change, frozen=True, kw_only=True, tag="book_open"):
    """Cash and positions with which a book begins; they replace what it would begin with."""

    cash: str
    positions: list[OpeningPosition] = []

    def check(self) -> None:
        """Refuse what is no opening balance."""
        self._check_change()
        self.require_admin()
        if len(self.positions) > _MOST_ENTRIES:
            raise FieldError(
                "BAD_POSITIONS", "positions", len(self.positions), f"at most {_MOST_ENTRIES}"
            )
        for at, position in enumerate(self.positions):
            _check_text(f"positions[{at}].symbol", position.symbol)
            name = f"positions[{at}].quantity"
            _check_between("BAD_QUANTITY", name, position.quantity, -LARGEST_SIZE, LARGEST_SIZE)
            _check_price(f"positions[{at}].price", position.price)


class Split(_Change, frozen=True, kw_only=True, tag="split"):
    """Each ``old`` units of a symbol become ``new`` ones; a fraction of a lot is paid in cash."""

    symbol: str
    new: int
    old: int

    def check(self) -> None:
        """Refuse a ratio that is none."""
        self._check_change()
        self.require_admin()
        _check_text("symbol", self.symbol)
        for name, value in (("new", self.new), ("old", self.old)):
            _check_between("BAD_RATIO", name, value, 1, _MOST_ENTRIES)


class Dividend(_Change, frozen=True, kw_only=True, tag="dividend"):
    """Cash per unit held; who is short pays it."""

    symbol: str
    amount: Number

    def check(self) -> None:
        """Refuse an amount that is no price."""
        self._check_change()
        self.require_admin()
        _check_text("symbol", self.symbol)
        _check_price("amount", self.amount)


class RiskParity(_Change, frozen=True, kw_only=True, tag="risk_parity"):
    """Weights by symbol, summing to one, that spread the targets from now on."""

    weights: dict[str, Number]

    def check(self) -> None:
        """Refuse weights that are none."""
        self._check_change()
        self.require_admin()
        for symbol, weight in self.weights.items():
            _check_between("BAD_WEIGHT", f"weights[{symbol[:LONGEST_ID]}]", weight, 0, 1)
        total = math.fsum(self.weights.values())
        if abs(total - 1.0) > _SUM_TOLERANCE:
            raise FieldError("BAD_WEIGHT", "weights", total, "weights that sum to 1")


Change = LimitChange | TradingState | BookOpen | Split | Dividend | RiskParity
Instruction = OrderIntent | TargetIntent | DecidedIntent | VenueExecution | Change

Said = TypeVar("Said", bound=Instruction)

_INSTRUCTION: msgspec.json.Decoder[Instruction] = msgspec.json.Decoder(Instruction)
_EXECUTION = msgspec.json.Decoder(VenueExecution)


def check_headers(headers: Headers) -> None:
    """Refuse headers that would not leave room for what follows from their record.

    They go along with decisions and executions, and one record that the broker does not take ends
    the worker at every start.
    """
    n_bytes = sum(len(name) + len(value or b"") for name, value in headers)
    if n_bytes > _LARGEST_HEADERS:
        raise FieldError(
            "HEADERS_TOO_LARGE", "headers", n_bytes, f"at most {_LARGEST_HEADERS} bytes"
        )


def read_instruction(raw: bytes) -> Instruction:
    """Read and check a record of ``portfolio-events``.

    Raises
    ------
    RecordError
        A :class:`~streams.errors.FieldError` where one field is to blame.
    """
    return _checked(_INSTRUCTION, raw)


def read_venue_execution(raw: bytes) -> VenueExecution:
    """Read and check a record of ``venue-executions``; it raises as :func:`read_instruction`."""
    return _checked(_EXECUTION, raw)


def _checked(decoder: msgspec.json.Decoder[Said], raw: bytes) -> Said:
    try:
        said = read_json(decoder, raw)
    except RecordError as error:
        found = _AT.search(error.detail)
        if found is None:
            raise
        expected = error.detail[: found.start()]
        raise FieldError(error.reason, found.group(1), "of another type", expected) from error
    said.check()
    return said


def _check_text(name: str, value: str) -> None:
    if not 0 < len(value) <= LONGEST_ID or not value.isprintable():
        raise FieldError("BAD_ID", name, value, f"1..{LONGEST_ID} printable characters")


def _check_between(code: str, name: str, value: Number, least: float, most: float) -> None:
    if not least <= value <= most:
        raise FieldError(code, name, value, f"{least:g} <= {name} <= {most:g}")


def _check_quantity(name: str, value: Number) -> None:
    if not 0 < value <= LARGEST_SIZE:
        raise FieldError("BAD_QUANTITY", name, value, f"0 < {name} <= {LARGEST_SIZE:g}")


def _check_price(name: str, value: Number) -> None:
    _check_between("BAD_PRICE", name, value, SMALLEST_PRICE, LARGEST_PRICE)
