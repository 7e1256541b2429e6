"""Where a key belongs: the placement that Java clients and aiokafka share."""

from functools import lru_cache

from aiokafka.partitioner import murmur2

# Kafka's own mask: the hash is treated as a signed integer and made positive.
_POSITIVE = 0x7FFFFFFF


@lru_cache(maxsize=65_536)
def partition_of(key: str, n_partitions: int) -> int:
    """Return the partition of ``key`` by murmur2, as Java's default partitioner does.

    Examples
    --------
    >>> partition_of("AAPL", 1)
    0
    """
    return int(murmur2(key.encode()) & _POSITIVE) % n_partitions


def symbols_of(partition: int, symbols: tuple[str, ...], n_partitions: int) -> tuple[str, ...]:
    """Return the symbols that live in ``partition``, in symbol order."""
    return tuple(sorted(s for s in symbols if partition_of(s, n_partitions) == partition))
