"""Ids that mean something: the same slot has the same id in every run, on every worker."""

import hashlib
import uuid
from functools import lru_cache

# UUIDv5 (RFC 9562, 2024) needs a namespace; this one is UUIDv5(DNS, "tradewind.decisions").
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "tradewind.decisions")

# The two highest bits of the clock sequence say that this is an RFC 9562 UUID.
_VARIANTS = {f"{digit:x}": f"{digit & 3 | 8:x}" for digit in range(16)}


@lru_cache(maxsize=4096)
def decision_id(portfolio: str, timeframe: str, close_ns: int, symbol: str) -> str:
    """Return the id of a slot: one portfolio, one symbol, one bar.

    The parts are joined by a character that no symbol or portfolio may contain, so two slots never
    share an id.
    """
    return _uuid5(f"{portfolio}\x1f{timeframe}\x1f{close_ns}\x1f{symbol}")


def execution_id(of_decision: str, kind: str, close_ns: int) -> str:
    """Return the id of what happened to the order of a decision at a bar."""
    return _uuid5(f"{of_decision}\x1f{kind}\x1f{close_ns}")


def intent_decision_id(portfolio: str, intent_id: str, day: int) -> str:
    """Return the id of the decision about an order intent: one portfolio, one idempotency key.

    ``day`` is the account's day under which the key is remembered: a key that is used again after
    it was forgotten is another order. The separator differs from that of slots, so an intent never
    takes the id of a slot.
    """
    return _uuid5(f"{portfolio}\x1e{intent_id}\x1e{day}")


def venue_execution_id(portfolio: str, venue_id: str, part: str) -> str:
    """Return the id under which a venue's execution is published; a correction has two parts."""
    return _uuid5(f"{portfolio}\x1e{venue_id}\x1e{part}")


def job_id(prefix: str, day: int) -> str:
    """Return the id of the daily update of a run about a day, counted from 1970."""
    return _uuid5(f"{prefix}\x1dlearning\x1d{day}")


def request_job_id(subject: str, key: str) -> str:
    """Return the id of the update that a caller asks for under an idempotency key."""
    return _uuid5(f"{subject}\x1dlearning request\x1d{key}")


def _uuid5(name: str) -> str:
    """Return the text of a UUIDv5 in our namespace, as :func:`uuid.uuid5` does, but sooner.

    Examples
    --------
    >>> _uuid5("a") == str(uuid.uuid5(NAMESPACE, "a"))
    True
    """
    digest = hashlib.sha1(NAMESPACE.bytes + name.encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANTS[digest[16]]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"
