"""Which decisions there are: a bounded index by id, the newest lines, and ids that contradict.

The same id with the same bytes is one decision sent again. The same id with other bytes is a
conflict: two writers, or a fold that is not a function of its log.
"""

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Callable, Iterator
from hashlib import blake2b
from heapq import heappush, heappushpop
from typing import NamedTuple

from streams.questions import VerdictName
from tables.views.decision_row import DecisionRow, Place, RowKey

# 20 symbols on one-minute bars round the clock make 201,600 decisions in the seven days that the
# topic keeps; 200,000 ids take 90 MB (measured).
IDS_MAX = 200_000
# 5,000 lines take 4 MB, are filtered within 2 ms (measured) and are more than anyone reads.
ROWS_MAX = 5_000
# Conflicts are counted without end; the newest are listed, and one is already too many.
CONFLICTS_MAX = 100

_DIGEST_BYTES = 8


class Conflict(NamedTuple):
    """An id whose bytes differ between two records; the first one is kept."""

    decision_id: str
    kept: Place
    other: Place


class RowPage(NamedTuple):
    """Lines, newest first, and the key to go on from; None at the end."""

    rows: tuple[DecisionRow, ...]
    next_before: RowKey | None


class _Known(NamedTuple):
    partition: int
    offset: int
    digest: bytes


class DecisionIndex:
    """The decisions of a run as far as a page needs them.

    Parameters
    ----------
    ids_max, rows_max
        How many ids and lines are kept; what belongs to the oldest bars goes first.

    Attributes
    ----------
    floor : RowKey or None
        Of this key and older ones lines can be missing, as they were let go, or were in the log
        before its first record that there still is. None if there is no such.
    forgotten : dict
        By partition, the last offset of those.
    """

    def __init__(self, ids_max: int = IDS_MAX, rows_max: int = ROWS_MAX) -> None:
        self.counts: Counter[VerdictName] = Counter()
        self.n_repeated = 0
        self.n_conflicts = 0
        self.conflicts: deque[Conflict] = deque(maxlen=CONFLICTS_MAX)
        self.floor: RowKey | None = None
        self.forgotten: dict[int, int] = {}
        self._ids_max = ids_max
        self._rows_max = rows_max
        self._known: dict[bytes, _Known] = {}
        self._by_age: list[tuple[int, bytes]] = []
        self._rows: list[DecisionRow] = []
        self._begun: set[int] = set()

    @property
    def n_decided(self) -> int:
        """Number of distinct decisions seen; an id forgotten and seen again counts twice."""
        return self.counts.total()

    @property
    def newest(self) -> DecisionRow | None:
        """The line that is first on the page."""
        return self._rows[-1] if self._rows else None

    def add(self, row: DecisionRow, value: bytes) -> bool:
        """Take a decision and the bytes it came in; tell whether its id is new."""
        place = Place(-row.key.minus_partition, -row.key.minus_offset)
        digest = blake2b(value, digest_size=_DIGEST_BYTES).digest()
        id_bytes = _id_bytes(row.decision_id)
        if place.partition not in self._begun:
            self._begun.add(place.partition)
            if place.offset > 0:
                # All of that bar: what is before it in the log is the greater in the list.
                self._forget(RowKey(row.key.close_ns, 1, 0), place.partition, place.offset - 1)
        known = self._known.get(id_bytes)
        if known is None:
            self._remember(id_bytes, row, _Known(*place, digest))
        elif known.digest == digest:
            self.n_repeated += 1
        else:
            self.n_conflicts += 1
            kept = Place(known.partition, known.offset)
            self.conflicts.append(Conflict(row.decision_id, kept, place))
        return known is None

    def find(self, decision_id: str) -> Place | None:
        """Return where a decision stands, None if it is not known (any more)."""
        known = self._known.get(_id_bytes(decision_id))
        return None if known is None else Place(known.partition, known.offset)

    def conflicts_of(self, decision_id: str) -> tuple[Conflict, ...]:
        """Return the listed conflicts of one id."""
        return tuple(c for c in self.conflicts if c.decision_id == decision_id)

    def page(
        self, wanted: Callable[[DecisionRow], bool], before: RowKey | None, n_rows: int
    ) -> RowPage:
        """Return the newest ``n_rows`` wanted lines whose key is below ``before``."""
        rows: list[DecisionRow] = []
        for row in self._newest_first(before):
            if not wanted(row):
                continue
            if len(rows) == n_rows:
                return RowPage(tuple(rows), rows[-1].key)
            rows.append(row)
        return RowPage(tuple(rows), None)

    def values(self, of: Callable[[DecisionRow], tuple[str, ...]]) -> list[str]:
        """Return the distinct texts that ``of`` finds in the kept lines, sorted."""
        return sorted({text for row in self._rows for text in of(row)})

    def _newest_first(self, before: RowKey | None) -> Iterator[DecisionRow]:
        end = len(self._rows)
        if before is not None:
            end = bisect_left(self._rows, before, key=lambda row: row.key)
        return (self._rows[at] for at in range(end - 1, -1, -1))

    def _remember(self, id_bytes: bytes, row: DecisionRow, known: _Known) -> None:
        self.counts[row.verdict] += 1
        self._known[id_bytes] = known
        aged = (row.key.close_ns, id_bytes)
        # By age and not by arrival: at the start one partition is read far ahead of another.
        if len(self._known) > self._ids_max:
            del self._known[heappushpop(self._by_age, aged)[1]]
        else:
            heappush(self._by_age, aged)
        insort(self._rows, row, key=lambda kept: kept.key)
        if len(self._rows) > self._rows_max:
            gone = self._rows.pop(0).key
            self._forget(gone, -gone.minus_partition, -gone.minus_offset)

    def _forget(self, key: RowKey, partition: int, offset: int) -> None:
        self.floor = key if self.floor is None else max(self.floor, key)
        self.forgotten[partition] = max(self.forgotten.get(partition, -1), offset)


def _id_bytes(decision_id: str) -> bytes:
    return bytes.fromhex(decision_id.replace("-", ""))
