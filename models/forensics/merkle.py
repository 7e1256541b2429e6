"""The hash tree of RFC 6962 (Laurie, Langley and Kasper 2013): its root, and proofs of a leaf.

Leaves and nodes are hashed with different first bytes, so that no node can be passed off as a leaf.
A tree of n leaves is split at the largest power of two below n, whatever n is.
"""

import hashlib
from collections.abc import Sequence

LEAF = b"\x00"
NODE = b"\x01"
HASH_BYTES = 32


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry as a leaf.

    Examples
    --------
    >>> leaf_hash(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    return hashlib.sha256(LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two hashes as a node."""
    return hashlib.sha256(NODE + left + right).digest()


def levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Return the tree over leaf hashes, from the leaves up to the root alone; none over none.

    An odd last hash waits in the next level, which makes the same tree as the recursion.
    """
    found = [list(leaves)] if leaves else []
    while found and len(found[-1]) > 1:
        level = found[-1]
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [node_hash(left, right) for left, right in pairs]
        found.append(above + level[len(level) // 2 * 2 :])
    return found


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of leaf hashes; of none it is the hash of nothing.

    Examples
    --------
    >>> root([]).hex()[:16]
    'e3b0c44298fc1c14'
    """
    return levels(leaves)[-1][0] if leaves else hashlib.sha256().digest()


def path(tree: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """Return the audit path of a leaf: what its root is computed from, the nearest hash first.

    Parameters
    ----------
    tree
        From `levels`.
    index
        Which leaf, from 0.

    Raises
    ------
    IndexError
        If there is no such leaf.
    """
    n_leaves = len(tree[0]) if tree else 0
    if not 0 <= index < n_leaves:
        raise IndexError(f"leaf {index} of a tree of {n_leaves}")
    found = []
    for level in tree[:-1]:
        beside = index ^ 1
        if beside < len(level):
            found.append(level[beside])
        index //= 2
    return found


def root_of_path(leaf: bytes, index: int, n_leaves: int, proof: Sequence[bytes]) -> bytes | None:
    """Return the root that a leaf and its audit path lead to, None if the path has a wrong length.

    Parameters
    ----------
    leaf
        Hash of the leaf.
    index, n_leaves
        Where it stands in a tree of which size.
    proof
        From `path`.
    """
    hashes, last = iter(proof), n_leaves - 1
    if not 0 <= index <= last:
        return None
    while last:
        if index % 2 or index < last:
            beside = next(hashes, None)
            if beside is None:
                return None
            leaf = node_hash(beside, leaf) if index % 2 else node_hash(leaf, beside)
        index, last = index // 2, last // 2
    return None if next(hashes, None) is not None else leaf
