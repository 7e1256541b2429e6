"""A topic read once, before anything is folded: its times, its epochs, its holes."""

import re
from bisect import bisect_left
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
from aiokafka import ConsumerRecord

from agents.run.topic_log import partitions, reading, records
from streams.errors import RecordError, TopicError
from streams.records import TICK_VERSION, ClockRecord, EpochNotice, read_json
from streams.slices import Slice
from streams.sources.replay import CLOCK_HEADER
from streams.topics import MARKET_BARS, MARKET_TICKS
from tables.checkpoint import Checkpoint
from tables.epochs import Epochs

SOURCES = (MARKET_TICKS.name, MARKET_BARS.name)

_NS_PER_MS = 1_000_000
_CLOCK_RECORD = msgspec.json.Decoder(ClockRecord)
_VERSION = re.compile(rb'"version"\s*:\s*(\d+)')


@dataclass(slots=True)
class Seen:
    """One partition of ticks or bars.

    Attributes
    ----------
    begin, end
        Its first offset, and the one behind its last record.
    closes, offsets
        Closes in order of time, each with the offset of the record that brought it.
    notices
        Epochs that were announced, with their offsets.
    digests
        Epochs that are named.
    n_missing, n_beats_missed, n_strange
        Offsets without a record, heartbeats that the clock left out, records of another version or
        of none.
    """

    begin: int = 0
    end: int = 0
    closes: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    notices: list[tuple[int, EpochNotice]] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)
    n_missing: int = 0
    n_beats_missed: int = 0
    n_strange: int = 0

    def close(self, close_ns: int, offset: int) -> None:
        """Note that a record says of bars up to ``close_ns`` that they are closed."""
        if not self.closes or close_ns > self.closes[-1]:
            self.closes.append(close_ns)
            self.offsets.append(offset)

    def offset_of(self, close_ns: int) -> int:
        """Return the offset of the record that brought a close."""
        return self.offsets[bisect_left(self.closes, close_ns)]


async def survey(
    servers: str, topic: str, *, is_ticks: bool, epochs: Epochs, begin: Checkpoint | None = None
) -> list[Seen]:
    """Read all partitions of a topic, from a checkpoint on if there is one.

    Raises
    ------
    TopicError
        If there is no such topic.
    ArtifactError, SettingsError
        If an epoch or its models cannot be used.
    """
    places = await partitions(servers, topic)
    if not places:
        raise TopicError(f"there is no topic {topic} at {servers}; expected one of a run")
    offsets = [0] * len(places) if begin is None else begin.ticks if is_ticks else begin.bars
    if len(offsets) != len(places):
        raise TopicError(
            f"{topic} has {len(places)} partitions; the checkpoint is of {len(offsets)}"
        )
    found = []
    for place, offset in zip(places, offsets, strict=True):
        async with reading(servers) as consumer:
            first = max((await consumer.beginning_offsets([place]))[place], offset)
            seen = Seen(first, first)
            said = records(consumer, place, first)
            if is_ticks:
                await _Ticks(seen, epochs).look(said, begin)
            else:
                await _look_at_bars(said, seen, epochs)
            found.append(seen)
    return found


@dataclass(slots=True)
class _Ticks:
    """Reads a partition of ticks; time is that of the newest epoch announced."""

    seen: Seen
    epochs: Epochs
    timeframe_ns: int = 0
    lateness_ns: int = 0
    last_beat: int = -1

    async def look(self, said: AsyncIterator[ConsumerRecord], begin: Checkpoint | None) -> None:
        """Read to the end."""
        for digest in () if begin is None else begin.digests:
            self._tell_time(digest)
        async for record in said:
            _note(record, self.seen)
            value = record.value or b""
            if any(key == CLOCK_HEADER for key, _ in record.headers):
                self._clock(value, record.offset)
            elif any(int(version) != TICK_VERSION for version in _VERSION.findall(value)):
                self.seen.n_strange += 1

    def _clock(self, value: bytes, offset: int) -> None:
        seen = self.seen
        try:
            spoken = read_json(_CLOCK_RECORD, value)
        except RecordError:
            seen.n_strange += 1
            return
        if isinstance(spoken, EpochNotice):
            self._tell_time(spoken.digest)
            seen.notices.append((offset, spoken))
        elif self.timeframe_ns:
            passed = spoken.ts_event_ns - self.lateness_ns
            seen.close(passed // self.timeframe_ns * self.timeframe_ns, offset)
            if self.last_beat >= 0:
                seen.n_beats_missed += max(spoken.n - self.last_beat - 1, 0)
            self.last_beat = max(spoken.n, self.last_beat)

    def _tell_time(self, digest: str) -> None:
        epoch = self.epochs.load(digest).epoch
        self.timeframe_ns, self.lateness_ns = epoch.timeframe_ns, epoch.lateness_ms * _NS_PER_MS
        self.seen.digests.add(digest)


async def _look_at_bars(said: AsyncIterator[ConsumerRecord], seen: Seen, epochs: Epochs) -> None:
    async for record in said:
        _note(record, seen)
        try:
            meta = Slice.decode(record.value or b"").meta
        except RecordError:
            seen.n_strange += 1
            continue
        if meta.epoch_digest not in seen.digests:
            epochs.load(meta.epoch_digest)
            seen.digests.add(meta.epoch_digest)
        if meta.chunk == meta.n_chunks - 1:
            seen.close(meta.close_ns, record.offset)


def _note(record: ConsumerRecord, seen: Seen) -> None:
    seen.n_missing += record.offset - seen.end
    seen.end = record.offset + 1
