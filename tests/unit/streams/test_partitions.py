"""Placement against the vectors of Kafka's own unit tests."""

import pytest
from aiokafka.partitioner import murmur2

from streams.partitions import partition_of, symbols_of

# From Kafka's UtilsTest (Java): text -> murmur2 as a signed 32-bit integer.
JAVA = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("text", "expected"), JAVA.items())
def test_partition_when_java_places_the_key_then_is_the_same(text: str, expected: int) -> None:
    """The sign bit is masked, not negated, before the remainder is taken."""
    for n_partitions in (1, 2, 3, 7, 256):
        assert partition_of(text, n_partitions) == (expected & 0x7FFFFFFF) % n_partitions
    assert murmur2(text.encode()) & 0xFFFFFFFF == expected & 0xFFFFFFFF


def test_symbols_when_split_then_each_lives_in_one_partition() -> None:
    """The partitions cover the universe without overlap, each in symbol order."""
    universe = tuple(f"S{i}" for i in range(99, -1, -1))
    parts = [symbols_of(p, universe, 7) for p in range(7)]
    assert sorted(s for part in parts for s in part) == sorted(universe)
    assert all(list(part) == sorted(part) for part in parts)
    assert all(partition_of(s, 7) == p for p, part in enumerate(parts) for s in part)
