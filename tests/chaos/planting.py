"""Tools to plant defects: a recording in memory, and what can be done to its records."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from random import Random
from typing import Any, NamedTuple

import pyarrow as pa

from tests.chaos.judge.record import Record, Source, read_object, read_slice

Act = Callable[["Kept", Random], None]
Test = Callable[[Record], bool]
Change = Callable[[bytes], bytes]

# Topics whose offsets mean something to others: there a lost record leaves its place empty.
_NUMBERED = ("market-ticks", "portfolio-events", "venue-executions")
_DIGITS = 80


class Defect(NamedTuple):
    """One defect: its name, the invariant that must find it, and how it is planted."""

    name: str
    code: str
    act: Act


class Kept:
    """A whole recording in memory; a copy of it can be changed without changing it."""

    def __init__(self, source: Source) -> None:
        self._topics = source.topics()
        self.of = {
            (topic, partition): list(source.records(topic, partition))
            for topic, n_partitions in self._topics.items()
            for partition in range(n_partitions)
        }

    def copy(self) -> "Kept":
        """Return a recording of its own with the same records."""
        return Kept(self)

    def topics(self) -> dict[str, int]:
        """Return the number of partitions of each topic there is."""
        return self._topics

    def records(self, topic: str, partition: int) -> Iterator[Record]:
        """Return a partition's records in the order of the log, numbered without gaps."""
        records = self.of[topic, partition]
        if topic in _NUMBERED:
            return iter(records)
        return iter([record._replace(offset=n) for n, record in enumerate(records)])

    def places(self, topic: str, test: Test) -> list[tuple[list[Record], int]]:
        """Return where the records stand that pass a test; those that came again, once."""
        found = []
        for partition in range(self._topics[topic]):
            records = self.of[topic, partition]
            first: dict[bytes | None, int] = {}
            for n, record in enumerate(records):
                first.setdefault(record.value, n)
            found.extend((records, n) for n in first.values() if test(records[n]))
        return found


def body(record: Record) -> dict[str, Any]:
    """Return what a record of JSON says, nothing if it is none."""
    return read_object(record.value) or {}


def with_fields(**wanted: Any) -> Test:  # noqa: ANN401  any JSON values
    """Return a test that asks for fields of a JSON record."""
    return lambda record: all(body(record).get(k) == v for k, v in wanted.items())


def _pick(kept: Kept, rng: Random, topic: str, test: Test) -> tuple[list[Record], int]:
    places = kept.places(topic, test)
    if not places:
        raise LookupError(f"{topic} has no record to change; expected one in the recorded run")
    return rng.choice(places)


def _anything(_record: Record) -> bool:
    return True


def lost(topic: str, test: Test = _anything) -> Act:
    """Lose a record, and what came again of it."""

    def act(kept: Kept, rng: Random) -> None:
        records, n = _pick(kept, rng, topic, test)
        value = records[n].value
        records[:] = [record for record in records if record.value != value]

    return act


def changed(topic: str, change: Change, test: Test = _anything) -> Act:
    """Change the value of a record, the same way wherever it came again."""

    def act(kept: Kept, rng: Random) -> None:
        records, n = _pick(kept, rng, topic, test)
        before, after = records[n].value, change(records[n].value or b"")
        if before == after:
            raise LookupError(f"{records[n].place} did not change")
        records[:] = [r._replace(value=after) if r.value == before else r for r in records]

    return act


def doubled(topic: str, change: Change, test: Test = _anything) -> Act:
    """Put a changed copy of a record behind it."""

    def act(kept: Kept, rng: Random) -> None:
        records, n = _pick(kept, rng, topic, test)
        records.insert(n + 1, records[n]._replace(value=change(records[n].value or b"")))

    return act


def swapped(topic: str, test: Callable[[Record, Record], bool]) -> Act:
    """Swap two records that follow each other under one key and pass a test."""

    def act(kept: Kept, rng: Random) -> None:
        pairs = []
        for partition in range(kept.topics()[topic]):
            records = kept.of[topic, partition]
            times = Counter(record.value for record in records)
            last: dict[bytes | None, int] = {}
            for n, record in enumerate(records):
                before = last.get(record.key)
                last[record.key] = n
                # Those that came again are in order elsewhere.
                is_once = before is not None and times[record.value] == 1
                if is_once and times[records[before].value] == 1 and test(records[before], record):
                    pairs.append((records, before, n))
        records, one, two = rng.choice(pairs)
        records[one], records[two] = records[two], records[one]

    return act


def set_to(**fields: Any) -> Change:  # noqa: ANN401  any JSON values
    """Set fields of a JSON object; a function makes its value from the object."""

    def change(value: bytes) -> bytes:
        said = json.loads(value)
        for name, new in fields.items():
            said[name] = new(said) if callable(new) else new
        return json.dumps(said).encode()

    return change


def plus(name: str, step: str) -> Change:
    """Add to the first number of a name, in a number of JSON or in a text of one, exactly."""
    pattern = re.compile(rb'("%s":\s*"?)(-?[0-9][0-9.eE+-]*)' % name.encode())

    def add(match: re.Match[bytes]) -> bytes:
        with localcontext(prec=_DIGITS):
            return match[1] + f"{Decimal(match[2].decode()) + Decimal(step):f}".encode()

    return lambda value: pattern.sub(add, value, count=1)


def of_slice(
    change: Callable[[dict[str, Any], pa.RecordBatch], pa.RecordBatch],
) -> Change:
    """Change metadata, in place, and rows of a slice."""

    def act(value: bytes) -> bytes:
        slice_ = read_slice(Record("", 0, 0, 0, None, value))
        if slice_ is None:
            raise LookupError("no slice to change")
        batch = change(slice_.meta, slice_.batch)
        schema = batch.schema.with_metadata({b"tradewind": json.dumps(slice_.meta).encode()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))
        return bytes(sink.getvalue().to_pybytes())

    return act


def has_rows(record: Record) -> bool:
    """Tell whether a record is a slice with rows."""
    slice_ = read_slice(record)
    return slice_ is not None and slice_.batch.num_rows > 0


def told_as_refused(
    kept: Kept, record: Record, stage: str, reason: str, index: int = 0, raw: bytes | None = None
) -> None:
    """Add a dead letter about a record, or about one tick of it."""
    said = {
        "reason": reason,
        "detail": "planted",
        "stage": stage,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "index": index,
    }
    headers = tuple((name, str(value).encode()) for name, value in said.items())
    key = f"{record.topic}:{record.partition}:{record.offset}:{index}".encode()
    letters = kept.of["dead-letters", 0]
    value = record.value if raw is None else raw
    letters.append(Record("dead-letters", 0, len(letters), 0, key, value, headers))


def refused(topic: str, stage: str, reason: str, test: Test) -> Act:
    """Tell that a good record was refused."""

    def act(kept: Kept, rng: Random) -> None:
        records, n = _pick(kept, rng, topic, test)
        told_as_refused(kept, records[n], stage, reason)

    return act


def is_list(record: Record) -> bool:
    """Tell whether a record is a list of ticks."""
    return (record.value or b"").startswith(b"[{") and record.header("clock") is None


def of_dead_tick(record: Record) -> bool:
    """Tell whether a dead letter is about a tick."""
    return dict(record.headers)["stage"] == b"bars"
