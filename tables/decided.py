"""What was decided about an intent, and that nobody was answered otherwise.

A worker that was taken for dead may have answered a wish aside, and another one may have decided it
anew. What comes first in the log stands; whoever acted on the other must hear of it.
"""

import zlib

import msgspec

from models.risk.memory import Memory
from streams.errors import FieldError
from streams.instructions import DecidedIntent, Instruction
from streams.records import Decision

_JSON = msgspec.json.Encoder()


def remember(memory: Memory, record_id: str, decision: Decision) -> None:
    """Remember what was decided about the intent of a record, for as long as its id is known."""
    memory.decided[record_id] = _checksum(decision)


def refuse_otherwise(memory: Memory, said: Instruction) -> None:
    """Refuse a decision made aside whose intent has another one already; an equal one is a repeat.

    Raises
    ------
    FieldError
        ``DECIDED_OTHERWISE``.
    """
    if not isinstance(said, DecidedIntent):
        return
    checksum, decision = memory.decided.get(said.id), said.decision
    if checksum is not None and checksum != _checksum(decision):
        raise FieldError(
            "DECIDED_OTHERWISE",
            "decision",
            f"{decision.action} {decision.quantity} {decision.symbol}",
            f"what another worker decided about {said.intent_id!r} before: that stands; tell "
            "whoever was answered this one",
        )


def _checksum(decision: Decision) -> int:
    """Return the checksum of what somebody acts on; time and prices may differ between workers."""
    # Whole units are an integer in a decision just made, and a float in one that was read.
    quantity = float(decision.quantity)
    acts_on = (decision.symbol, decision.action, quantity, decision.approved)
    return zlib.crc32(_JSON.encode(acts_on))
