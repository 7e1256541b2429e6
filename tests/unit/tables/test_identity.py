"""The identity of a run against hashes made by hand."""

import hashlib

import pytest

from tables.identity import DecisionConflict, Identity


def by_hand(*values: bytes) -> str:
    """Hash values, each with a line feed."""
    return hashlib.sha256(b"".join(value + b"\n" for value in values)).hexdigest()


def test_identity_when_decisions_come_then_hashes_them_by_time_and_symbol() -> None:
    """Within one time the order of arrival does not show."""
    first, second = Identity(), Identity()
    for identity, symbols in ((first, "AB"), (second, "BA")):
        for symbol in symbols:
            assert identity.add("main", 60, symbol, f"id-{symbol}", symbol.encode())
        identity.add("main", 120, "A", "id-3", b"later")
    expected = by_hand(b"A", b"B", b"later")
    assert first.digests() == second.digests() == {"main": expected}
    assert first.total() == hashlib.sha256(f"main {expected}\n".encode()).hexdigest()
    assert first.n_decisions() == 3


def test_identity_when_portfolios_differ_then_each_has_its_own() -> None:
    """Portfolios are no company for each other: their times are their own."""
    identity = Identity()
    identity.add("b", 120, "A", "1", b"x")
    identity.add("a", 60, "A", "2", b"y")
    assert identity.digests() == {"a": by_hand(b"y"), "b": by_hand(b"x")}
    assert list(identity.digests()) == ["a", "b"]


def test_identity_when_a_decision_repeats_then_counts_once() -> None:
    """After a crash the same bytes come again, of this time and of earlier ones."""
    identity = Identity(may_repeat=True)
    assert identity.add("main", 60, "A", "1", b"a")
    assert not identity.add("main", 60, "A", "1", b"a")
    assert identity.add("main", 120, "A", "2", b"b")
    assert not identity.add("main", 60, "A", "1", b"a")
    assert identity.digests() == {"main": by_hand(b"a", b"b")}
    assert identity.n_decisions() == 2


def test_identity_when_a_repeat_has_other_bytes_then_is_refused() -> None:
    """Two writers are at work, or a fold is none."""
    identity = Identity(may_repeat=True)
    identity.add("main", 60, "A", "1", b"a")
    with pytest.raises(DecisionConflict, match="decision 1 came again with other bytes"):
        identity.add("main", 60, "A", "1", b"other")


def test_identity_when_time_goes_back_then_is_refused() -> None:
    """A portfolio's decisions come in the order of its bars."""
    identity = Identity()
    identity.add("main", 120, "A", "2", b"b")
    with pytest.raises(DecisionConflict, match="of 60 ns came behind one of 120 ns"):
        identity.add("main", 60, "A", "1", b"a")
