"""The feed of a measurement offers what it says: other ticks, each at home, none a duplicate."""

from collections import defaultdict, deque
from typing import Any, cast

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from models.bars import REMEMBERED_IDS
from streams.partitions import partition_of
from streams.records import Tick
from tests.evidence.feed import N_PARTITIONS, TICKS_PER_LIST, Feed, ListFeed

SYMBOLS = tuple(f"S{n:02d}" for n in range(20))


@pytest.mark.parametrize(("kind", "per_record"), [(Feed, 1), (ListFeed, TICKS_PER_LIST)])
def test_values_when_ticks_are_asked_for_then_none_would_be_refused(
    kind: type[Feed], per_record: int
) -> None:
    """As many as were asked for; no symbol's id comes again while it is remembered."""
    feed = kind(cast(AIOKafkaProducer, None), "ticks", SYMBOLS)
    remembered: dict[str, deque[int | None]] = defaultdict(lambda: deque(maxlen=REMEMBERED_IDS))
    for _ in range(10):
        for partition in range(N_PARTITIONS):
            values = [value for _, value in feed._values(partition, 5_000)]
            decoded: list[Any] = [msgspec.json.decode(value) for value in values]
            assert len(values) == 5_000 // per_record
            ticks = [
                msgspec.convert(each, Tick)
                for one in decoded
                for each in (one if per_record > 1 else [one])
            ]
            assert len(ticks) == 5_000
            for tick in ticks:
                assert partition_of(tick.symbol, N_PARTITIONS) == partition
                assert tick.seq not in remembered[tick.symbol]
                remembered[tick.symbol].append(tick.seq)
    assert feed.n_ticks == 10 * N_PARTITIONS * 5_000
