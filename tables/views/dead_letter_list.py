"""The newest dead letters: what could not be used, where it came from and why."""

from bisect import insort
from typing import NamedTuple

from tables.stores.decision_log import LogRecord

# More than a screen of the same trouble adds nothing; the topic holds the rest.
LETTERS_MAX = 200
# As much of a header as its writer lets through.
_HEADER_BYTES = 512
# Enough to recognise a record; the raw bytes are in the topic.
_RAW_BYTES = 160


class DeadLetterRow(NamedTuple):
    """One line; ordered by the time at which the letter was written."""

    timestamp_ms: int
    partition: int
    offset: int
    reason: str
    detail: str
    stage: str
    origin: str
    n_bytes: int
    raw_start: str


class DeadLetterList:
    """The newest letters and the number of all."""

    def __init__(self) -> None:
        self.n_letters = 0
        self._rows: list[DeadLetterRow] = []

    def add(self, record: LogRecord) -> None:
        """Take a record of ``dead-letters``."""
        self.n_letters += 1
        insort(self._rows, _row(record))
        if len(self._rows) > LETTERS_MAX:
            del self._rows[0]

    def newest(self) -> list[DeadLetterRow]:
        """Return the kept letters, newest first."""
        return self._rows[::-1]


def _row(record: LogRecord) -> DeadLetterRow:
    headers = {
        name: value[:_HEADER_BYTES].decode(errors="replace") for name, value in record.headers
    }
    raw = record.value or b""
    more = " …" if len(raw) > _RAW_BYTES else ""
    return DeadLetterRow(
        record.timestamp_ms,
        record.partition,
        record.offset,
        headers.get("reason", ""),
        headers.get("detail", ""),
        headers.get("stage", ""),
        (record.key or b"")[:_HEADER_BYTES].decode(errors="replace"),
        len(raw),
        f"{raw[:_RAW_BYTES]!r}{more}",
    )
