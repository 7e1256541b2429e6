"""What a run's workers keep, read beside them: snapshots of stages, and progress in topics."""

from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from agents.run.topic_log import records
from agents.topology import app_id
from streams.kafka_access import kafka
from streams.topics import changelog_name
from tables.stamped import Stamped


async def snapshots(
    consumer: AIOKafkaConsumer, run: str, stage: str, partition: int
) -> dict[bytes, Stamped]:
    """Return a stage's last snapshots of a partition; none where it has no changelog."""
    place = TopicPartition(changelog_name(app_id(run), stage), partition)
    states: dict[bytes, Stamped] = {}
    async for said in records(consumer, place):
        if said.value is not None:
            stamped, key = Stamped.decode(said.value), said.key or b""
            if key not in states or stamped.next_offset >= states[key].next_offset:
                states[key] = stamped
    return states


async def progress(servers: str, run: str, places: Sequence[TopicPartition]) -> list[int]:
    """Return up to which offset a run's workers have made each partition's work durable.

    0 where nothing is known: reading all is slow, and right.
    """
    admin = AIOKafkaAdminClient(**kafka(servers))
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(app_id(run), partitions=list(places))
    except GroupCoordinatorNotAvailableError:
        return [0] * len(places)  # no group has ever committed, or none can say
    finally:
        await admin.close()
    found = [offsets.get(place) for place in places]
    return [0 if each is None else max(int(each.offset), 0) for each in found]
