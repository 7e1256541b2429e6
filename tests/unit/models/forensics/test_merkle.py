"""The hash tree against the vectors of the reference log of RFC 6962, and by its definition."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.forensics.merkle import leaf_hash, levels, node_hash, path, root, root_of_path

# Entries and roots of 1 to 8 of them, from the tests of Google's reference implementation of
# RFC 6962 (github.com/google/certificate-transparency, merkletree tests, 2013).
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def defined(leaves: list[bytes]) -> bytes:
    """Compute a root by the recursion of section 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while 2 * split < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + defined(leaves[:split]) + defined(leaves[split:])).digest()


@pytest.mark.parametrize("n_leaves", range(1, 9))
def test_root_when_of_the_reference_entries_then_is_the_reference_root(n_leaves: int) -> None:
    """The tree is that of the RFC, odd sizes too."""
    leaves = [leaf_hash(entry) for entry in ENTRIES[:n_leaves]]
    assert root(leaves).hex() == ROOTS[n_leaves - 1]


def test_root_when_of_nothing_then_is_the_hash_of_nothing() -> None:
    """Section 2.1: the hash of an empty list is the hash of an empty string."""
    assert root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_path_when_of_seven_leaves_then_is_that_of_the_rfc() -> None:
    """Section 2.1.3: paths of leaves 0, 3, 4 and 6 in a tree of seven, by the letters there."""
    a, b, c, d, e, f, j = (leaf_hash(entry) for entry in ENTRIES[:7])
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l_ = node_hash(g, h), node_hash(i, j)
    leaves = [a, b, c, d, e, f, j]
    assert path(levels(leaves), 0) == [b, h, l_]
    assert path(levels(leaves), 3) == [c, g, l_]
    assert path(levels(leaves), 4) == [f, j, k]
    assert path(levels(leaves), 6) == [i, k]
    assert root(leaves) == node_hash(k, l_)


@given(entries=st.lists(st.binary(max_size=3), min_size=1, max_size=70), data=st.data())
def test_path_when_followed_then_leads_to_the_root_from_its_leaf_alone(
    entries: list[bytes], data: st.DataObject
) -> None:
    """Any leaf of any tree is proved by its path, and by no other leaf, place or length."""
    leaves = [leaf_hash(entry) for entry in entries]
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = path(levels(leaves), index)
    assert root(leaves) == defined(leaves)
    assert root_of_path(leaves[index], index, len(leaves), proof) == root(leaves)
    other = root_of_path(leaf_hash(b"other"), index, len(leaves), proof)
    assert other != root(leaves)
    assert root_of_path(leaves[index], index, len(leaves), [*proof, leaves[0]]) is None
    if proof:
        assert root_of_path(leaves[index], index, len(leaves), proof[:-1]) is None


@pytest.mark.parametrize("index", [-1, 3])
def test_path_when_there_is_no_such_leaf_then_refuses(index: int) -> None:
    """A proof of nothing is no proof."""
    leaves = [leaf_hash(entry) for entry in ENTRIES[:3]]
    with pytest.raises(IndexError, match=f"leaf {index} of a tree of 3"):
        path(levels(leaves), index)
    assert root_of_path(leaves[0], index, 3, []) is None
