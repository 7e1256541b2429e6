"""What counts as a hole in the archive: offsets that the log has no more and nobody kept."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from agents.archive_gaps import Gap, Reach

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, ConsumerRecord
    from aiokafka.admin import AIOKafkaAdminClient

PLACE = TopicPartition("r1.regime-probabilities", 1)
KEPT_MS = 1_700_000_000_000


class PlayedBroker:
    """A partition whose log begins somewhere, and a group that has come somewhere."""

    def __init__(self, begin: int, committed: OffsetAndMetadata | None = None) -> None:
        self.begin = begin
        self.committed = committed
        self.n_asked = 0

    def assignment(self) -> set[TopicPartition]:
        """Give the one partition."""
        return {PLACE}

    async def beginning_offsets(self, _asked: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Say where the log begins."""
        self.n_asked += 1
        return {PLACE: self.begin}

    async def list_consumer_group_offsets(
        self, _group: str, *, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """Say how far the group has come."""
        return {} if self.committed is None else dict.fromkeys(partitions, self.committed)


def reach(broker: PlayedBroker) -> Reach:
    """Make the reach of run r1 on a played broker."""
    return Reach(
        cast("AIOKafkaConsumer", broker), cast("AIOKafkaAdminClient", broker), "group", "r1."
    )


def fetched(first: int, last: int) -> dict[TopicPartition, list["ConsumerRecord"]]:
    """Give records as the consumer hands them out, a second apart."""
    return {
        PLACE: [
            cast("ConsumerRecord", SimpleNamespace(offset=n, timestamp=KEPT_MS + 1_000 * n))
            for n in range(first, last + 1)
        ]
    }


@pytest.mark.parametrize(
    ("begin", "committed", "expected"),
    [
        (0, None, []),
        (7, None, [Gap("regime-probabilities", 1, 0, 7, None)]),
        (40, OffsetAndMetadata(40, str(KEPT_MS)), []),
        (10, OffsetAndMetadata(40, str(KEPT_MS)), []),
        (
            100,
            OffsetAndMetadata(40, str(KEPT_MS)),
            [Gap("regime-probabilities", 1, 40, 60, KEPT_MS * 10**6)],
        ),
        (100, OffsetAndMetadata(40, ""), [Gap("regime-probabilities", 1, 40, 60, None)]),
        (0, OffsetAndMetadata(-1, ""), []),
    ],
)
async def test_gaps_when_the_archive_starts_then_are_what_the_log_has_no_more(
    begin: int, committed: OffsetAndMetadata | None, expected: list[Gap]
) -> None:
    """From where the group had come, or from the first record ever, to where the log begins."""
    assert await reach(PlayedBroker(begin, committed)).gaps({}) == expected


async def test_gaps_when_the_database_was_away_too_long_then_the_jump_is_a_gap() -> None:
    """A process that waited finds its next records deleted, and says so once."""
    broker = PlayedBroker(0)
    found = reach(broker)
    assert await found.gaps(fetched(0, 4)) == []
    broker.committed = found.after(fetched(0, 4))[PLACE]
    assert broker.committed == OffsetAndMetadata(5, str(KEPT_MS + 4_000))
    broker.begin = 12
    until_ns = (KEPT_MS + 4_000) * 10**6
    assert await found.gaps(fetched(12, 13)) == [Gap("regime-probabilities", 1, 5, 7, until_ns)]
    assert await found.gaps(fetched(12, 13)) == []


async def test_gaps_when_a_transaction_left_its_mark_then_the_jump_is_none() -> None:
    """An offset without a record is no record that was lost."""
    found = reach(PlayedBroker(0))
    await found.gaps(fetched(0, 4))
    found.after(fetched(0, 4))
    assert await found.gaps(fetched(6, 8)) == []


async def test_gaps_when_offsets_go_on_then_the_broker_is_not_asked() -> None:
    """The usual batch costs nothing."""
    broker = PlayedBroker(0)
    found = reach(broker)
    for first in (0, 5, 10):
        await found.gaps(fetched(first, first + 4))
        found.after(fetched(first, first + 4))
        await found.gaps({})
    assert broker.n_asked == 1
