"""What a live run said, made once more: each stage from the states that it had at the last check.

``states of then, input since -> outputs``, held byte for byte against what stands on the topics. A
stage folds what the one before it said, so nothing needs a topic's first record, which retention
takes. What goes on behind the committed progress is left to the next check: it may not be sent yet.
Dead letters are not compared, nor records that stand on a topic and that no stage made.
"""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from agents.bars import BarFold
from agents.execution import ExecutionFold
from agents.risk import RiskFold
from agents.run.snapshots import progress, snapshots
from agents.run.topic_log import partitions, reading, records
from agents.signals import SignalFold
from agents.stage import Fold, Output, Reader
from agents.topology import prefix_of
from streams import topics
from streams.clock import wall_ns
from streams.codec import StateError
from streams.errors import SliceConflict, TopicError
from streams.partitions import partition_of
from streams.transport import Record
from tables.epochs import Epochs
from tables.stores.run_checks import Anchor, Anchors, RunCheck

# Outputs that are held before they are looked for: 200 symbols decide 288,000 times a day.
_MOST_WANTED = 100_000
# What was caused is sent behind its cause; the clocks of two machines may say otherwise.
_SKEW_MS = 60_000
_DIGEST_BYTES = 16


class _Link(NamedTuple):
    """A stage, what it reads, and how its fold is made."""

    stage: str
    source: str
    fold: Callable[[Epochs, int, Reader], Fold]


_CHAIN = (
    _Link("bars", topics.MARKET_TICKS.name, BarFold),
    _Link("signals", topics.MARKET_BARS.name, SignalFold),
    _Link("execution", topics.VENUE_EXECUTIONS.name, lambda _, __, read: ExecutionFold(read)),
    _Link("risk", topics.PORTFOLIO_EVENTS.name, lambda epochs, _, read: RiskFold(epochs, read)),
)


@dataclass
class VerifiedRun:
    """The check of one run.

    Parameters
    ----------
    epochs
        The documents and models that decided.
    servers, run
        Whose topics they are.
    """

    epochs: Epochs
    servers: str
    run: str
    _found: RunCheck = field(default_factory=lambda: RunCheck(0))

    async def check(self, before: Mapping[str, Anchor]) -> tuple[RunCheck, Anchors]:
        """Make again what was said since the last check; return that, and where the next begins.

        Raises
        ------
        TopicError
            If nothing of the run is on the broker.
        ArtifactError, SettingsError
            If an epoch or its models are gone.
        """
        after: Anchors = {}
        for link in _CHAIN:
            topic = prefix_of(self.run) + link.source
            places = await partitions(self.servers, topic)
            if not places:
                raise TopicError(f"there is no topic {topic} at {self.servers}; expected a run's")
            for place in places:
                name = f"{link.stage}/{place.partition}"
                after[name] = await self._anchor(link, place)
                since = before.get(name, Anchor())
                stretch = _Stretch(self, link, place, len(places), since, after[name].progress)
                await stretch.check()
        return msgspec.structs.replace(self._found, at_ns=wall_ns()), after

    async def _anchor(self, link: _Link, place: TopicPartition) -> Anchor:
        (reached,) = await progress(self.servers, self.run, [place])
        async with reading(self.servers) as consumer:
            return Anchor(reached, await snapshots(consumer, self.run, link.stage, place.partition))

    def count(self, n_same: int, n_differing: int = 0, n_unchecked: int = 0, why: str = "") -> None:
        """Add to what was found; of the reasons the first that differs is kept."""
        had = self._found
        is_news = not had.first or (n_differing and not had.n_differing)
        self._found = RunCheck(
            0,
            had.n_same + n_same,
            had.n_differing + n_differing,
            had.n_unchecked + n_unchecked,
            why if is_news else had.first,
        )


@dataclass
class _Stretch:
    """What one partition of a stage has read since the last check, up to ``end``."""

    of: VerifiedRun
    link: _Link
    place: TopicPartition
    n_partitions: int
    since: Anchor
    end: int
    # By place the digests of what must stand there, each with the offset of what caused it.
    _wanted: dict[TopicPartition, dict[bytes, int]] = field(default_factory=dict)
    _n_wanted: int = 0
    _since_ms: int = -1

    async def check(self) -> None:
        """Fold it again, and look for all that comes of it."""
        begin = self.since.progress
        # Behind the end is who read topics that have been made anew.
        if begin >= self.end:
            return
        async with reading(self.of.servers) as consumer, reading(self.of.servers) as said:
            first = (await consumer.beginning_offsets([self.place]))[self.place]
            if first > begin:
                why = f"begins at {first}, the last check ended at {begin}"
                where = f"{self.link.stage}: {self.place.topic}:{self.place.partition}"
                self.of.count(0, 0, self.end - begin, f"{where} {why}")
                return
            try:
                await self._fold(consumer, said)
            except StateError as error:
                self.of.count(0, 0, self.end - begin, f"{self.link.stage}: {error}")
            except SliceConflict as error:
                self.of.count(0, 1, 0, f"{self.link.stage}: {error}")

    async def _fold(self, consumer: AIOKafkaConsumer, said: AIOKafkaConsumer) -> None:
        fold = self.link.fold(self.of.epochs, self.place.partition, self.since.states.get)
        async with aclosing(records(consumer, self.place, self.since.progress)) as recorded:
            async for each in recorded:
                if each.offset >= self.end:
                    break
                if self._since_ms < 0:
                    self._since_ms = each.timestamp
                for output in fold.apply(_record(each)):
                    if isinstance(output, Output):
                        self._want(output, each.offset)
                if self._n_wanted >= _MOST_WANTED:
                    await self._look(said)
        await self._look(said)

    def _want(self, output: Output, offset: int) -> None:
        partition = output.partition
        if partition is None:
            partition = partition_of((output.key or b"").decode(), self.n_partitions)
        place = TopicPartition(prefix_of(self.of.run) + output.topic, partition)
        self._wanted.setdefault(place, {})[_digest(output.key, output.value)] = offset
        self._n_wanted += 1

    async def _look(self, said: AIOKafkaConsumer) -> None:
        """Look for all that is wanted, where it can stand."""
        for place, wanted in self._wanted.items():
            n_wanted = len(wanted)
            is_cut = await _find(said, place, wanted, self._since_ms - _SKEW_MS)
            n_missing = len(wanted)
            if not n_missing:
                self.of.count(n_wanted)
                continue
            cause = f"{self.place.topic}:{self.place.partition}:{next(iter(wanted.values()))}"
            why = f"{self.link.stage}: what {cause} gives is not on {place.topic}:{place.partition}"
            counted = (0, n_missing) if is_cut else (n_missing, 0)
            remark = ", whose first records were deleted" if is_cut else ""
            self.of.count(n_wanted - n_missing, *counted, why + remark)
        self._wanted, self._n_wanted, self._since_ms = {}, 0, -1


async def _find(
    said: AIOKafkaConsumer, place: TopicPartition, wanted: dict[bytes, int], since_ms: int
) -> bool:
    """Take out what stands in a partition since a time; tell whether its retention cut that."""
    first = (await said.beginning_offsets([place]))[place]
    at = (await said.offsets_for_times({place: max(since_ms, 0)}))[place]
    if at is None:
        return False
    async with aclosing(records(said, place, at.offset)) as recorded:
        async for each in recorded:
            wanted.pop(_digest(each.key, each.value), None)
            if not wanted:
                break
    return bool(first > 0 and at.offset <= first)


def _record(said: ConsumerRecord) -> Record:
    headers = list(said.headers)
    place = (said.topic, said.partition, said.offset)
    return Record(*place, said.key, said.value, headers, said.timestamp)


def _digest(key: bytes | None, value: bytes | None) -> bytes:
    said = blake2b(value or b"", digest_size=_DIGEST_BYTES)
    said.update(key or b"")
    return said.digest()
