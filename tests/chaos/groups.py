"""What the broker notes of a group of workers: how often its members have changed.

Generations are in no answer of an administrator's request, so they are read where the broker keeps
them: the newest record about the group in ``__consumer_offsets``.
"""

import asyncio
import struct

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.topology import app_id
from tests.runs import Trial

_OFFSETS = "__consumer_offsets"
# Kind of a key: offsets are 0 and 1, groups are 2.
_OF_GROUP = 2
# Longer than the time between two heartbeats: who has to join again has been told by then.
_STILL_S = 3.5


async def generation(trial: Trial) -> int:
    """Return the newest generation of the run's group of workers; 0 before the first."""
    group = app_id(trial.run.name)
    # The group is in one of them: in which, is the broker's own arithmetic.
    places = await _places(trial.run.bootstrap_servers)
    if not places:
        return 0
    consumer = AIOKafkaConsumer(bootstrap_servers=trial.run.bootstrap_servers)
    await consumer.start()
    found = 0
    try:
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        for place in places:
            while await consumer.position(place) < ends[place]:
                for record in (await consumer.getmany(place, timeout_ms=100)).get(place, []):
                    if record.value and _group_of(record.key) == group:
                        found = _generation_of(record.value)
    finally:
        await consumer.stop()
    return found


async def member_ids(trial: Trial) -> set[str]:
    """Return whom the group has agreed on; a worker that was started again has another id."""
    admin = AIOKafkaAdminClient(bootstrap_servers=trial.run.bootstrap_servers)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([app_id(trial.run.name)])
    finally:
        await admin.close()
    _, _, state, _, _, members, *_ = answer.groups[0]
    return {member[0] for member in members} if state == "Stable" else set()


async def settled(trial: Trial, n_members: int) -> None:
    """Wait until the group has so many members and does not change any more."""
    while True:
        await trial.members(n_members)
        before = await generation(trial)
        await asyncio.sleep(_STILL_S)
        await trial.members(n_members)
        if await generation(trial) == before:
            return


async def _places(servers: str) -> list[TopicPartition]:
    """Return the partitions that hold groups; none if the broker has never had one."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        (answer,) = await admin.describe_topics([_OFFSETS])
        return [TopicPartition(_OFFSETS, part["partition"]) for part in answer["partitions"]]
    finally:
        await admin.close()


def _group_of(key: bytes) -> str:
    kind, length = struct.unpack_from(">hh", key)
    return key[4 : 4 + length].decode() if kind == _OF_GROUP else ""


def _generation_of(value: bytes) -> int:
    (length,) = struct.unpack_from(">h", value, 2)
    (found,) = struct.unpack_from(">i", value, 4 + length)
    return int(found)
