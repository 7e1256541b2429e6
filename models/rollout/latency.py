"""Latencies of a whole stage in a bounded number of counts: quantiles within 10 %."""

import math

import numpy as np

from models.arrays import Indices

GROWTH = 1.1
SHORTEST_MS = 0.1
N_BUCKETS = 160
"""The last begins at 0.1 ms times 1.1 to the 159th, about six minutes, and holds all above it."""


def bucket(latency_ms: float) -> int:
    """Return the place of a latency among the counts.

    Examples
    --------
    >>> bucket(0.0), bucket(1e9) == N_BUCKETS - 1
    (0, True)
    """
    if latency_ms <= SHORTEST_MS:
        return 0
    return min(N_BUCKETS - 1, math.ceil(math.log(latency_ms / SHORTEST_MS) / math.log(GROWTH)))


def quantile_ms(counts: Indices, share: float) -> float | None:
    """Return the upper edge of the bucket with a quantile (nearest rank); None without counts.

    Parameters
    ----------
    counts : (N_BUCKETS,)
    share : float

    Examples
    --------
    >>> counts = np.zeros(N_BUCKETS, np.int64)
    >>> counts[bucket(50.0)] += 1
    >>> 50.0 <= quantile_ms(counts, 0.95) <= 55.0
    True
    """
    total = int(counts.sum())
    if not total:
        return None
    place = int(np.searchsorted(np.cumsum(counts), max(1, math.ceil(share * total))))
    return SHORTEST_MS * GROWTH**place
