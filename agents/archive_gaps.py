"""What the broker deleted before the archive kept it: noticed, counted, and a row in SQL.

The database may be away for longer than the topics are kept, or the archive may begin on topics
that are older than it. Reading then goes on where the log begins, and the history has a hole.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata

from streams import metrics, topics
from streams.clock import wall_ns
from streams.timestamps import format_ns
from tables.archive import ARCHIVE_GAPS, Rows, RunKey, time_of

log = logging.getLogger("tradewind.archive")

_NS_PER_MS = 1_000_000
_MS_PER_HOUR = 3_600_000
_RETENTION_H = {spec.name: spec.retention_ms // _MS_PER_HOUR for spec in topics.CATALOGUE}

Fetched = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class Gap(NamedTuple):
    """Records that were never kept.

    Attributes
    ----------
    topic : str
        Without the run's prefix.
    partition, first, n_records : int
        Where they were.
    kept_until_ns : int or None
        Time of the last record before them; None if there was none, or nobody noted it.
    """

    topic: str
    partition: int
    first: int
    n_records: int
    kept_until_ns: int | None

    def row(self, of: RunKey) -> Rows:
        """Return it as it is kept."""
        until = None if self.kept_until_ns is None else time_of(self.kept_until_ns)
        place = (self.topic, self.partition, self.first)
        return Rows(ARCHIVE_GAPS, [(*of, *place, self.n_records, until, time_of(wall_ns()))])


def tell(gaps: Sequence[Gap]) -> None:
    """Say and count what the broker deleted before it was kept."""
    for gap in gaps:
        metrics.ARCHIVE_LOST_RECORDS.labels(gap.topic).inc(gap.n_records)
        log.error(
            "%s, partition %d: %d records from offset %d on were deleted by the broker before "
            "they were kept. The last one before was kept at %s; the hole is a row of "
            "archive_gaps. The topic is kept for %s h: the database was away for longer, or "
            "the archive began later",
            gap.topic,
            gap.partition,
            gap.n_records,
            gap.first,
            "an unknown time" if gap.kept_until_ns is None else format_ns(gap.kept_until_ns),
            _RETENTION_H[gap.topic],
        )


async def commit(
    consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, OffsetAndMetadata]
) -> None:
    """Commit what is kept; where the group went on without this process, say so.

    A broker that stalls for longer than a session lets members go. Whoever has the partition next
    reads again what was not committed, and rows that are there change nothing.
    """
    if not offsets:
        return
    try:
        await consumer.commit(dict(offsets))
    except (CommitFailedError, IllegalStateError) as error:
        log.warning("offsets were not committed, so these records are read again: %r", error)


class Reach:
    """How far the archive has come in each partition.

    Parameters
    ----------
    consumer, admin
        Of the archive's group, started by the caller.
    group, prefix
        The group, and the prefix of the run's topics.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, group: str, prefix: str
    ) -> None:
        self._consumer = consumer
        self._admin = admin
        self._group = group
        self._prefix = prefix
        self._next: dict[TopicPartition, int] = {}

    async def gaps(self, fetched: Fetched) -> list[Gap]:
        """Return what is missing between what was kept and what was fetched.

        The broker is asked only about partitions that are new, or whose offsets jump. A jump alone
        is no loss: the marks of transactions take offsets too. What the log has no more is one.
        """
        new = [place for place in self._consumer.assignment() if place not in self._next]
        jumped = [
            place
            for place, records in fetched.items()
            if self._next.get(place) != records[0].offset
        ]
        asked = sorted({*new, *jumped})
        if not asked:
            return []
        committed = await self._admin.list_consumer_group_offsets(self._group, partitions=asked)
        begins = await self._consumer.beginning_offsets(asked)
        found = []
        for place in asked:
            known = committed.get(place, OffsetAndMetadata(-1, ""))
            kept = max(known.offset, self._next.get(place, 0), 0)
            begin = begins[place]
            if place in fetched:
                begin = min(begin, fetched[place][0].offset)
            if begin > kept:
                topic = place.topic.removeprefix(self._prefix)
                until_ns = _noted(known.metadata)
                found.append(Gap(topic, place.partition, kept, begin - kept, until_ns))
            self._next[place] = max(kept, begin)
        return found

    def after(self, fetched: Fetched) -> dict[TopicPartition, OffsetAndMetadata]:
        """Return what to commit once all is kept: offsets, and of when the last records were."""
        for place, records in fetched.items():
            self._next[place] = records[-1].offset + 1
        return {
            place: OffsetAndMetadata(records[-1].offset + 1, str(records[-1].timestamp))
            for place, records in fetched.items()
        }


def _noted(metadata: str) -> int | None:
    """Read the time in ms that `Reach.after` noted with an offset."""
    return int(metadata) * _NS_PER_MS if metadata.isdecimal() else None
