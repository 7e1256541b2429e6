"""States of a run's stages, written as another run's own: its workers go on from there.

They lie in the changelogs before a worker starts, so it takes them up as after a restart. All bear
the stamp 0: the other run's topics begin anew, and nothing on them is folded yet.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from agents.run.drive import Run
from agents.signals import SPECS, SignalsKept
from agents.topology import app_id
from streams.codec import pack_state
from streams.kafka_access import kafka
from streams.topics import CHANGELOG_BYTES, changelog_name
from tables.checkpoint import States, place
from tables.stamped import Stamped


class Standing(NamedTuple):
    """One state: whose table it is in, where, and under which key."""

    stage: str
    partition: int
    key: bytes
    state: bytes


def standings(states: Mapping[str, States], n_partitions: int) -> Iterator[Standing]:
    """Yield a run's states as its workers keep them; ``states`` are those of a checkpoint.

    The four of a chunk are one state. Longer bars, which decide nothing, begin anew.
    """
    for number in range(n_partitions):
        for stage in ("bars", "risk"):
            for key, (_, state) in states.get(place(stage, number), {}).items():
                yield Standing(stage, number, key.encode(), state)
        parts = [states.get(place(spec.name, number), {}) for spec in SPECS]
        for key in parts[0]:
            kept = SignalsKept(*(part[key][1] for part in parts))
            yield Standing("signals", number, key.encode(), pack_state(kept))


async def write(run: Run, states: Mapping[str, States]) -> None:
    """Write states into the changelogs of a run that no worker has seen yet."""
    producer = AIOKafkaProducer(
        **kafka(run.bootstrap_servers), enable_idempotence=True, max_request_size=CHANGELOG_BYTES
    )
    await producer.start()
    try:
        for each in standings(states, run.epoch.n_partitions):
            topic, value = changelog_name(app_id(run.name), each.stage), Stamped(0, each.state)
            await producer.send_and_wait(topic, value.encode(), each.key, each.partition)
    finally:
        await producer.stop()
