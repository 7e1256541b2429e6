"""The chain by its definition: every link depends on all before it."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from models.forensics.chain import GENESIS, last_link, link

HASHES = st.binary(min_size=32, max_size=32)


def test_link_when_computed_by_hand_then_is_the_hash_of_both() -> None:
    """The first byte keeps links apart from leaves (0) and nodes (1) of a tree."""
    leaf = b"\x07" * 32
    assert link(GENESIS, leaf) == hashlib.sha256(b"\x02" + bytes(32) + leaf).digest()


@given(leaves=st.lists(HASHES, min_size=1, max_size=20, unique=True), at=st.integers(0, 19))
def test_last_link_when_any_leaf_differs_then_differs(leaves: list[bytes], at: int) -> None:
    """One changed leaf changes the end, wherever it is."""
    at %= len(leaves)
    other = bytes(byte ^ 1 for byte in leaves[at])
    changed = [*leaves[:at], other, *leaves[at + 1 :]]
    assert last_link(GENESIS, leaves) != last_link(GENESIS, changed)
    assert last_link(GENESIS, leaves) == last_link(last_link(GENESIS, leaves[:at]), leaves[at:])
