"""Ids against RFC 9562's own construction."""

import hashlib
import uuid

import pytest

from streams.ids import NAMESPACE, decision_id, execution_id


def by_hand(name: str) -> str:
    """Build a UUID of version 5: SHA-1 of namespace and name, version and variant bits set."""
    digest = bytearray(hashlib.sha1(NAMESPACE.bytes + name.encode()).digest()[:16])  # noqa: S324  the RFC's
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def test_decision_id_when_made_then_is_version_five_of_the_slot() -> None:
    """A consumer in any language can compute the id of a slot."""
    expected = by_hand("main\x1f1min\x1f60000000000\x1fAAPL")
    assert decision_id("main", "1min", 60_000_000_000, "AAPL") == expected


@pytest.mark.parametrize(
    "other",
    [
        ("b", "1min", 60, "S"),
        ("a", "5min", 60, "S"),
        ("a", "1min", 61, "S"),
        ("a", "1min", 60, "T"),
    ],
)
def test_decision_id_when_one_part_differs_then_is_another(
    other: tuple[str, str, int, str],
) -> None:
    """Portfolio, timeframe, close and symbol each make another slot."""
    assert decision_id(*other) != decision_id("a", "1min", 60, "S")


def test_execution_id_when_made_then_names_decision_kind_and_bar() -> None:
    """What happens to one order at two bars, or in two ways, has ids of its own."""
    assert execution_id("d", "fill", 60) == by_hand("d\x1ffill\x1f60")
    assert len({execution_id("d", k, c) for k in ("fill", "expire") for c in (60, 61)}) == 4
