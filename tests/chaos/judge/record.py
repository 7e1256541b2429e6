"""Records as they lie on the broker, and what they are read from."""

import hashlib
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn, Protocol

import pyarrow as pa


class Unjudgeable(Exception):  # noqa: N818  it says what the run is, not that the judge failed
    """What was found cannot be judged at all; the message says what to do."""


class Record(NamedTuple):
    """One raw record; rows of SQL and documents come as records, too."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def place(self) -> str:
        """Where it stands, as violations name it."""
        return f"{self.topic}[{self.partition}]@{self.offset}"

    def header(self, name: str) -> bytes | None:
        """Return a header, None if there is none of this name."""
        return next((value for key, value in self.headers if key == name), None)


class Source(Protocol):
    """A run, on a broker or recorded; topics are named without the run's prefix."""

    def topics(self) -> dict[str, int]:
        """Return the number of partitions of each topic there is."""
        ...

    def records(self, topic: str, partition: int) -> Iterator[Record]:
        """Return a partition's records in the order of the log."""
        ...


class Together:
    """Several sources as one: the broker's topics, the rows of SQL, the documents."""

    def __init__(self, *sources: Source) -> None:
        self._of = {topic: source for source in sources for topic in source.topics()}

    def topics(self) -> dict[str, int]:
        """Return the number of partitions of each topic there is."""
        return {topic: source.topics()[topic] for topic, source in self._of.items()}

    def records(self, topic: str, partition: int) -> Iterator[Record]:
        """Return a partition's records in the order of the log."""
        return self._of[topic].records(topic, partition)


class Told:
    """A source that says how far it has been read.

    Parameters
    ----------
    source
        What is read.
    say
        Called with a line of text after every ``every`` records of a partition.
    every
        Records between two lines.
    """

    def __init__(self, source: Source, say: Callable[[str], None], every: int = 100_000) -> None:
        self._source, self._say, self._every = source, say, every

    def topics(self) -> dict[str, int]:
        """Return the number of partitions of each topic there is."""
        return self._source.topics()

    def records(self, topic: str, partition: int) -> Iterator[Record]:
        """Return a partition's records in the order of the log."""
        for n, record in enumerate(self._source.records(topic, partition), start=1):
            if n % self._every == 0:
                self._say(f"{topic}[{partition}]: {n:,} records")
            yield record


def all_records(source: Source, topic: str) -> Iterator[Record]:
    """Return the records of all partitions, one partition after the other; none of no topic."""
    for partition in range(source.topics().get(topic, 0)):
        yield from source.records(topic, partition)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


_EXACT = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse)


def read_json(value: bytes | str | None) -> Any:  # noqa: ANN401  any JSON value
    """Return JSON with its decimals exact; raises ValueError where it is none."""
    return _EXACT.decode(value.decode() if isinstance(value, bytes) else value or "")


def read_object(value: bytes | None) -> dict[str, Any] | None:
    """Return a JSON object, None if the bytes are none."""
    try:
        found = read_json(value)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def digest(value: bytes | None) -> bytes:
    """Return what stands for a value where bytes are compared."""
    return hashlib.blake2b(value or b"", digest_size=16).digest()


class Slice(NamedTuple):
    """A slice: its metadata and its rows."""

    record: Record
    meta: dict[str, Any]
    batch: pa.RecordBatch

    @property
    def key(self) -> tuple[int, int, int]:
        """Close, rank and chunk; it rises within one source partition."""
        return (self.meta["close_ns"], self.meta["rank"], self.meta["chunk"])

    @property
    def is_last_chunk(self) -> bool:
        """Whether the partition has said all about this close."""
        return bool(self.meta["chunk"] == self.meta["n_chunks"] - 1)


def read_slice(record: Record) -> Slice | None:
    """Return a record's slice, None if the bytes are none."""
    try:
        with pa.ipc.open_stream(record.value or b"") as reader:
            meta = json.loads((reader.schema.metadata or {})[b"tradewind"])
            return Slice(record, meta, reader.read_next_batch())
    except (pa.ArrowException, OSError, KeyError, ValueError, StopIteration):
        return None
