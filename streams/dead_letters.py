"""Dead letters: what could not be used, with its bytes, its origin and the reason."""

from typing import NamedTuple

from streams.errors import RecordError

Headers = list[tuple[str, bytes]]

# More of a record is not kept: the topic takes it with its headers, whatever the record's own topic
# takes. A longer one was compressed on its way.
MAX_RAW_BYTES = 1 << 20


class Origin(NamedTuple):
    """Where a record stands; ``place`` is its index in a list of ticks, 0 otherwise.

    ``key`` is the record's own, by which it can be sent again.
    """

    topic: str
    partition: int
    offset: int
    place: int = 0
    key: bytes | None = None

    def id(self) -> str:
        """Return the dead letter's id: the same poison has the same id after any restart."""
        return f"{self.topic}:{self.partition}:{self.offset}:{self.place}"

    def named(self) -> dict[str, str | int]:
        """Return what a log line about it names."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}


class DeadLetter(NamedTuple):
    """One unusable record."""

    origin: Origin
    stage: str
    reason: str
    detail: str
    raw: bytes
    field: str = ""

    @classmethod
    def of(cls, error: RecordError, origin: Origin, stage: str, raw: bytes) -> "DeadLetter":
        """Return the dead letter of a refused record, of a very long one with its beginning."""
        detail = error.detail
        if len(raw) > MAX_RAW_BYTES:
            detail = f"{detail} (the first {MAX_RAW_BYTES:,} of {len(raw):,} bytes)"
            raw = raw[:MAX_RAW_BYTES]
        return cls(origin, stage, error.reason, detail, raw, getattr(error, "field", ""))

    def headers(self) -> Headers:
        """Return the Kafka headers; a detail is short, see :class:`~streams.errors.RecordError`."""
        named = [("field", self.field.encode(errors="replace"))] if self.field else []
        keyed = [] if self.origin.key is None else [("key", self.origin.key)]
        return [
            *named,
            *keyed,
            ("reason", self.reason.encode()),
            ("detail", self.detail.encode(errors="replace")),
            ("stage", self.stage.encode()),
            ("topic", self.origin.topic.encode()),
            ("partition", str(self.origin.partition).encode()),
            ("offset", str(self.origin.offset).encode()),
            ("index", str(self.origin.place).encode()),
        ]
