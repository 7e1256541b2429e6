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
    n_partitions = await _n_partitions(trial.run.bootstrap_servers)
    if n_partitions == 0:
        return 0
    where = TopicPartition(_OFFSETS, _hash(group) % n_partitions)
    consumer = AIOKafkaConsumer(bootstrap_servers=trial.run.bootstrap_servers)
    await consumer.start()
    found = 0
    try:
        consumer.assign([where])
        await consumer.seek_to_beginning(where)
        end = (await consumer.end_offsets([where]))[where]
        while await consumer.position(where) < end:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    if record.value and _group_of(record.key) == group:
                        found = _generation_of(record.value)
    finally:
        await consumer.stop()
    return found


async def settled(trial: Trial, n_members: int) -> None:
    """Wait until the group has so many members and does not change any more."""
    while True:
        await trial.members(n_members)
        before = await generation(trial)
        await asyncio.sleep(_STILL_S)
        await trial.members(n_members)
        if await generation(trial) == before:
            return


async def _n_partitions(servers: str) -> int:
    """Return how many partitions hold groups; 0 if the broker has never had one."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        (answer,) = await admin.describe_topics([_OFFSETS])
        return len(answer["partitions"])
    finally:
        await admin.close()


def _hash(text: str) -> int:
    """Return Java's hash of a string, without its sign, as the broker places groups.

    Examples
    --------
    >>> _hash("ab")  # 97 * 31 + 98
    3105
    """
    value = 0
    for letter in text:
        value = (31 * value + ord(letter)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


def _group_of(key: bytes) -> str:
    kind, length = struct.unpack_from(">hh", key)
    return key[4 : 4 + length].decode() if kind == _OF_GROUP else ""


def _generation_of(value: bytes) -> int:
    (length,) = struct.unpack_from(">h", value, 2)
    (found,) = struct.unpack_from(">i", value, 4 + length)
    return int(found)
