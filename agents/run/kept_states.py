"""What a run's stages have made durable: states in changelogs, and progress in the group."""

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from agents.run.topic_log import records
from agents.topology import app_id
from streams.topics import changelog_name
from tables.stamped import Stamped


async def progress_of(admin: AIOKafkaAdminClient, run: str, place: TopicPartition) -> int:
    """Return the offset of a source's partition from which a restart would read.

    All that came of what stands before it has been acknowledged. States that are read after it are
    of then or later.
    """
    try:
        offsets = await admin.list_consumer_group_offsets(app_id(run), partitions=[place])
    except GroupCoordinatorNotAvailableError:
        return 0  # no group has ever committed, or none can say: reading all is slow, and right
    found = offsets.get(place)
    return 0 if found is None else max(int(found.offset), 0)


async def states_of(
    consumer: AIOKafkaConsumer, run: str, stage: str, partition: int
) -> dict[bytes, Stamped]:
    """Return a stage's last snapshots of a partition, by key."""
    place = TopicPartition(changelog_name(app_id(run), stage), partition)
    states: dict[bytes, Stamped] = {}
    async for said in records(consumer, place, 0):
        if said.value is not None:
            stamped, key = Stamped.decode(said.value), said.key or b""
            if key not in states or stamped.next_offset >= states[key].next_offset:
                states[key] = stamped
    return states
