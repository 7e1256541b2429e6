"""A decision in a list: what one line of the page shows, and nothing more."""

import re
from typing import NamedTuple

import msgspec

from streams.errors import RecordError
from streams.questions import VerdictName
from streams.records import LONGEST_SYMBOL, Decision
from streams.timestamps import format_ns, parse_ns
from tables.stores.decision_log import LogRecord

VERDICTS: tuple[VerdictName, ...] = ("approved", "refused", "hold", "warming up")

# A refusal names a handful of controls; a line shows at most this many.
_MOST_CODES = 8

# What a decoder may raise: nesting without end is a RecursionError and must not end the reader.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DECODER = msgspec.json.Decoder(Decision)


class Place(NamedTuple):
    """Where a decision stands in its topic."""

    partition: int
    offset: int


class RowKey(NamedTuple):
    """Order of the list: by bar; within a bar, what was decided first is the greatest."""

    close_ns: int
    minus_partition: int
    minus_offset: int


class DecisionRow(NamedTuple):
    """One line; probabilities are bull, bear, sideways."""

    key: RowKey
    decision_id: str
    timestamp: str
    portfolio: str
    timeframe: str
    symbol: str
    action: str
    quantity: float
    verdict: VerdictName
    codes: tuple[str, ...]
    confidence: float
    regime: tuple[float, float, float]
    weights: tuple[float, float, float]
    price: float
    is_of_bar: bool


def is_decision_id(text: str) -> bool:
    """Return whether a text is a UUID in lower case with hyphens, as decisions carry it.

    Examples
    --------
    >>> is_decision_id("7d444840-9dc0-11d1-b245-5ffdce74fad2"), is_decision_id("latest")
    (True, False)
    """
    return _UUID.fullmatch(text) is not None


def verdict_of(decision: Decision) -> VerdictName:
    """Return what became of a decision, in one word."""
    if not decision.approved:
        return "refused"
    if decision.note == "WARMING_UP":
        return "warming up"
    return "hold" if decision.action == "HOLD" else "approved"


def decode_decision(value: bytes | None) -> Decision:
    """Return the decision in a record's bytes.

    Raises
    ------
    RecordError
        If the bytes are none, or a field is longer than a list may keep for ever.
    """
    try:
        decision = _DECODER.decode(value or b"")
    except UNREADABLE as error:
        raise RecordError("NOT_A_DECISION", str(error)) from error
    if not is_decision_id(decision.decision_id):
        raise RecordError("BAD_ID", f"decision_id was {decision.decision_id[:80]!r}; expected UUID")
    texts = (decision.symbol, decision.portfolio, decision.timeframe)
    codes = tuple(rejection.code for rejection in decision.rejection_reasons[:_MOST_CODES])
    if max(map(len, texts + codes)) > LONGEST_SYMBOL:
        raise RecordError("TOO_LONG", f"a name has more than {LONGEST_SYMBOL} characters")
    return decision


def row_of(decision: Decision, record: LogRecord) -> DecisionRow:
    """Return the line of a decision that :func:`decode_decision` let pass."""
    regime, weights = decision.regime_probs, decision.strategy_weights
    close_ns = parse_ns(decision.timestamp)
    return DecisionRow(
        RowKey(close_ns, -record.partition, -record.offset),
        decision.decision_id,
        format_ns(close_ns),
        decision.portfolio,
        decision.timeframe,
        decision.symbol,
        decision.action,
        decision.quantity,
        verdict_of(decision),
        tuple(rejection.code for rejection in decision.rejection_reasons[:_MOST_CODES]),
        decision.confidence,
        (regime.bull, regime.bear, regime.sideways),
        (weights.bull_specialist, weights.bear_specialist, weights.sideways_specialist),
        decision.price,
        not decision.intent_id,
    )
