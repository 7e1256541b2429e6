"""Dead letters by the place of what they are about."""

from typing import NamedTuple

from tests.chaos.judge.record import Record, Source, all_records
from tests.chaos.judge.verdict import Invariant

# Stages whose letters are of ticks, of the book's log, of venues' reports, and of rows.
_NO_SLICES = ("bars", "risk", "execution", "archive")


class Letter(NamedTuple):
    """One dead letter: why, of what bytes, and where it stands."""

    reason: str
    raw: bytes
    record: Record


class Letters:
    """The dead letters of a run; their number bounds the memory.

    One that comes again must be the same to the byte.

    Attributes
    ----------
    voids
        Reasons for which stages between ticks and the book could not use a slice.
    """

    def __init__(self, source: Source, verdict: Invariant) -> None:
        self._of: dict[tuple[str, str, int, int, int], Letter] = {}
        self._unasked: set[tuple[str, str, int, int, int]] = set()
        self.voids: set[str] = set()
        for record in all_records(source, "dead-letters"):
            self._take(record, verdict)

    def _take(self, record: Record, verdict: Invariant) -> None:
        said = dict(record.headers)
        try:
            stage, topic = said["stage"].decode(), said["topic"].decode()
            place = tuple(int(said[name]) for name in ("partition", "offset", "index"))
            letter = Letter(said["reason"].decode(), record.value or b"", record)
        except (KeyError, ValueError) as error:
            verdict.broken(record.place, repr(error), "headers reason, stage, topic and place")
            return
        expected = f"{topic}:{':'.join(map(str, place))}"
        verdict.equal(record.place, "key", (record.key or b"").decode(errors="replace"), expected)
        # The topic's name has the run's prefix; the rest of the catalogue has no dot.
        key = (stage, topic.rpartition(".")[2], *place)
        known = self._of.setdefault(key, letter)
        if (known.raw, known.record.headers) != (letter.raw, record.headers):
            verdict.broken(record.place, "other bytes under the same place", known.record.place)
        self._unasked.add(key)
        if stage not in _NO_SLICES:
            self.voids.add(letter.reason)

    def __len__(self) -> int:
        """Return how many records were refused."""
        return len(self._of)

    def first(self) -> Letter | None:
        """Return the first one of the run, None if there is none."""
        return next(iter(self._of.values()), None)

    def get(self, stage: str, record: Record, index: int = 0) -> Letter | None:
        """Return the dead letter that a stage made of a record, None if it made none."""
        key = (stage, record.topic, record.partition, record.offset, index)
        self._unasked.discard(key)
        return self._of.get(key)

    def unasked(self, stage: str) -> list[Letter]:
        """Return the letters of a stage that nobody has asked for: nothing is there."""
        return [self._of[key] for key in sorted(self._unasked) if key[0] == stage]
