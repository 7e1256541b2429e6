"""Which model decides for a symbol of a portfolio: a hash, the same wherever it is asked."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache

_BITS = 53
"""A float holds every fraction of this many bits exactly."""


def position(rollout: str, portfolio: str, symbol: str) -> float:
    """Place a portfolio's symbol between zero and one, evenly and for the whole rollout.

    A rollout whose share grows keeps who is in it: a symbol is in when its position is below the
    share. The names are no longer than 64 characters and printable, so a NUL parts them.

    Examples
    --------
    >>> position("r1", "main", "AAPL") == position("r1", "main", "AAPL")
    True
    """
    named = f"{rollout}\0{portfolio}\0{symbol}".encode()
    first = int.from_bytes(hashlib.sha256(named).digest()[:8])
    return (first >> (64 - _BITS)) / (1 << _BITS)


def challenged(
    rollout: str, portfolio: str, symbols: Iterable[str], share: float
) -> frozenset[str]:
    """Return the symbols of a portfolio for which the challenger decides.

    Examples
    --------
    >>> challenged("r1", "main", ["A", "B"], 0.0), sorted(challenged("r1", "main", ["A", "B"], 1.0))
    (frozenset(), ['A', 'B'])
    """
    return _challenged(rollout, portfolio, tuple(symbols), share)


@lru_cache(maxsize=256)
def _challenged(
    rollout: str, portfolio: str, symbols: tuple[str, ...], share: float
) -> frozenset[str]:
    return frozenset(s for s in symbols if position(rollout, portfolio, s) < share)
