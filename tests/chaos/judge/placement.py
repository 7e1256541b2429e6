"""Where a key belongs: murmur2, as Java's default partitioner places it."""

from functools import lru_cache

_SEED, _MIX, _WORD = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF


@lru_cache(maxsize=65_536)
def partition_of(key: str, n_partitions: int) -> int:
    """Return the partition of a key.

    Examples
    --------
    >>> partition_of("21", 7), partition_of("foobar", 7)  # hashes -973932308 and -790332482 in Java
    (3, 0)
    """
    return (_murmur2(key.encode()) & _POSITIVE) % n_partitions


def _murmur2(data: bytes) -> int:
    """Return the hash (Appleby 2008, with Kafka's seed) as an unsigned integer of 32 bits."""
    now = _SEED ^ len(data)
    n_whole = len(data) // 4 * 4
    for at in range(0, n_whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * _MIX & _WORD
        word = (word ^ word >> 24) * _MIX & _WORD
        now = now * _MIX & _WORD ^ word
    if rest := data[n_whole:]:
        now = (now ^ int.from_bytes(rest, "little")) * _MIX & _WORD
    now = (now ^ now >> 13) * _MIX & _WORD
    return now ^ now >> 15
