"""Whether a topic is there: asked of a broker that answers, however long that takes.

aiokafka takes a topic that it could not ask about in time for one that is not there: a first send
to it would fail for good in an outage that will pass.
"""

import asyncio
from typing import Any

from aiokafka.errors import UnknownTopicOrPartitionError

from streams.away import noticed
from streams.clock import monotonic_s

# How long a broker that answers may not know a topic that was declared before the worker started.
_UNKNOWN_S = 10.0
_ASK_AGAIN_S = 0.1


async def told_of(client: Any, topic: str) -> None:  # noqa: ANN401  the driver is not annotated
    """Return when the broker has told a client of a topic.

    Raises
    ------
    UnknownTopicOrPartitionError
        If the broker answers, and has no such topic.
    """
    if topic in client.cluster.topics():
        return
    client.add_topic(topic)
    asked_s = None
    with noticed():
        while topic not in client.cluster.topics():
            # A broker that has just started may tell of its topics one after the other.
            if not await client.force_metadata_update():
                asked_s = None
            elif asked_s is None:
                asked_s = monotonic_s()
            elif monotonic_s() - asked_s > _UNKNOWN_S:
                raise UnknownTopicOrPartitionError(f"the broker has no topic {topic}")
            await asyncio.sleep(_ASK_AGAIN_S)


async def gone(producer: Any) -> set[str]:  # noqa: ANN401  the driver is not annotated
    """Return the topics of what waits to be sent that a broker, which answers, does not have.

    aiokafka offers their batches again without end: to it they are trouble that passes.
    """
    client, waiting = producer.client, producer._message_accumulator  # noqa: SLF001  no public name
    if not await client.force_metadata_update():
        return set()
    places = {place for place, batches in waiting._batches.items() if batches}  # noqa: SLF001  as above
    places |= {batch.tp for batch in waiting._pending_batches}  # noqa: SLF001  as above
    return {place.topic for place in places} - set(client.cluster.topics())
