"""Watching a run: what a stranger writes is not what the run said, and a blind watcher says so."""

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from agents.run import observer
from agents.run.observer import Observer
from streams.errors import RecordError
from tests.builders import MIDNIGHT


def record(topic: str, value: bytes | None) -> ConsumerRecord[bytes, bytes]:
    """Build a record as a consumer gets it."""
    return ConsumerRecord(topic, 0, 0, 0, 0, None, value, None, 0, len(value or b""), [])


def reading(*records: Any) -> Callable[..., Any]:  # noqa: ANN401  records of any topic
    """Return a consumer's class that yields records once and then nothing more."""

    class Reader:
        """As far as the observer looks."""

        def __init__(self, *_names: str, **_options: Any) -> None:  # noqa: ANN401  ignored
            self.left = [{observer.TopicPartition(r.topic, 0): [r]} for r in records]

        async def start(self) -> None:
            """Connect to nothing."""

        async def stop(self) -> None:
            """Have nothing to close."""

        async def getmany(self, timeout_ms: int) -> dict[Any, Any]:
            """Return one record at a time."""
            assert timeout_ms > 0
            return self.left.pop(0)

    return Reader


async def test_follow_when_a_stranger_writes_bars_then_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Garbage among the bars is no slot; the next record is read."""
    garbage = [record("r.market-bars", value) for value in (b"garbage", b"", None)]
    snapshot = b'{"timestamp":"2024-01-02T00:00:00Z","portfolio":"main","equity":"1"}'
    good = record("r.portfolio-snapshots", snapshot)
    monkeypatch.setattr(observer, "AIOKafkaConsumer", reading(*garbage, good))
    watch = Observer("nowhere", "r.", 1)
    with pytest.raises(IndexError):  # the reader has nothing left
        await watch.follow()
    assert watch.seen.slots == set()
    assert watch.seen.decided_ns == MIDNIGHT


async def test_decided_when_the_watcher_has_failed_then_raises_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Waiting a minute for what nobody watches any more would hide the cause."""
    foreign = record("r.trading-decisions", b"garbage")
    monkeypatch.setattr(observer, "AIOKafkaConsumer", reading(foreign))
    watch = Observer("nowhere", "r.", 1)
    with pytest.raises(RecordError, match="NOT_JSON"):
        await watch.follow()
    with pytest.raises(RecordError, match="NOT_JSON"):
        await watch.decided(MIDNIGHT, patience_s=60)
