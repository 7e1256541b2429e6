"""The chain of a log: each link is a hash of the link before it and of the next leaf."""

import hashlib
from collections.abc import Iterable

GENESIS = bytes(32)
"""What stands before the first link."""

_LINK = b"\x02"


def link(before: bytes, leaf: bytes) -> bytes:
    """Return the next link; its first byte is that of neither leaf nor node of a hash tree."""
    return hashlib.sha256(_LINK + before + leaf).digest()


def last_link(before: bytes, leaves: Iterable[bytes]) -> bytes:
    """Return the link after some leaves.

    Examples
    --------
    >>> last_link(GENESIS, []) == GENESIS
    True
    """
    for leaf in leaves:
        before = link(before, leaf)
    return before
