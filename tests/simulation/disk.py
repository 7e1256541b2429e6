"""A worker's disk, and the changelogs that its tables are read from, as the tables meet them."""

from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import faust
from faust.streams import current_event
from faust.types import TP
from faust.types.tuples import RecordMetadata

from tables.stamped import StampedTable
from tests.simulation.broker import Written

# It is never started: tables ask it for its name and its sensors.
_APP = faust.App("simulated", broker="kafka://nowhere", store="memory://")

Send = Callable[[TP, bytes, bytes], Awaitable[int]]
"""Writes a key and its value into a partition of a changelog; the answer is the offset."""


class Store:
    """The databases of one table, one a partition: its values, and up to where it is read."""

    def __init__(self) -> None:
        self._values: dict[int, dict[bytes, bytes]] = {}
        self._offsets: dict[int, int] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return a value in the partition of the event that is being folded."""
        return self._here().get(key)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._here()[key] = value

    def _here(self) -> dict[bytes, bytes]:
        event = current_event()
        assert event is not None
        return self._values.setdefault(event.message.partition, {})

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the last offset of a changelog that a database knows."""
        return self._offsets.get(tp.partition)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Say which it is."""
        self._offsets[tp.partition] = offset

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Do nothing: nothing is kept by partition beside its values."""

    def apply_changelog_batch(self, batch: Iterable[Any], **_codecs: object) -> None:
        """Take records of a changelog, as they are, and count on."""
        for event in batch:
            message = event.message
            self._values.setdefault(message.partition, {})[message.key] = message.value
            self._offsets[message.partition] = message.offset


Disk = dict[str, Store]
"""The databases of a worker, by table."""


class _Changelog:
    """A changelog topic, as a table writes it."""

    def __init__(self, name: str, send: Send) -> None:
        self._name, self._send = name, send

    def get_topic_name(self) -> str:
        return self._name

    async def send(
        self,
        *,
        key: bytes,
        value: bytes,
        partition: int,
        force: bool,  # noqa: ARG002  as it is called
    ) -> Awaitable[RecordMetadata]:
        return self._sent(TP(self._name, partition), key, value)

    async def _sent(self, tp: TP, key: bytes, value: bytes) -> RecordMetadata:
        offset = await self._send(tp, key, value)
        return RecordMetadata(tp.topic, tp.partition, tp, offset)


def table_of(stage: str, disk: Disk, send: Send) -> StampedTable:
    """Return the table of a stage on a worker's disk."""
    table = StampedTable(_APP, name=stage, key_type=bytes, value_type=bytes)
    table._data = cast(Any, disk.setdefault(stage, Store()))
    table.changelog_topic = cast(Any, _Changelog(changelog_of(stage), send))
    return table


def changelog_of(stage: str) -> str:
    """Return the name of a stage's changelog."""
    return f"{stage}-changelog"


class Recovered:
    """A record of a changelog, as a recovery hands it to its table."""

    def __init__(self, tp: TP, written: Written) -> None:
        self.message = SimpleNamespace(
            tp=tp,
            partition=tp.partition,
            key=written.key,
            value=written.value,
            offset=written.offset,
        )
