"""I6: every tick is in a bar, in a dead letter, or a drop that its slice counts.

Slice by slice, over the offsets that the slice says it was made from: the counts in its metadata
are those of the ticks, and its rows are the bars that the ticks make, with as many ticks each.
"""

from collections import Counter
from collections.abc import Iterator

from tests.chaos.judge.documents import Documents
from tests.chaos.judge.letters import Letters
from tests.chaos.judge.record import Record, Slice, Source, digest, read_slice
from tests.chaos.judge.slots import Slots
from tests.chaos.judge.ticks import TickFold
from tests.chaos.judge.verdict import Invariant

TICKS, BARS = "market-ticks", "market-bars"
_COUNTS = ("n_in", "n_late", "n_duplicate", "n_crossed", "n_dead")


class Flow:
    """The way of the ticks into bars.

    Parameters
    ----------
    source, documents, letters
        The run.
    slots
        Is told the bars that the ticks make.
    flow
        Takes the violations.
    """

    def __init__(
        self, source: Source, documents: Documents, letters: Letters, slots: Slots, flow: Invariant
    ) -> None:
        self._source, self._documents, self._letters = source, documents, letters
        self._slots, self._flow = slots, flow

    def check(self, *, is_running: bool) -> None:
        """Fold all partitions; ``is_running`` allows bars that are on their way at the end."""
        for partition in range(self._source.topics()[TICKS]):
            self._partition(partition, is_running=is_running)
        if not is_running:
            for letter in self._letters.unasked("bars"):
                self._flow.broken(letter.record.place, letter.reason, "a tick that it is about")

    def _partition(self, partition: int, *, is_running: bool) -> None:
        fold = TickFold(self._documents, self._letters, self._flow)
        ticks = self._source.records(TICKS, partition)
        ahead = next(ticks, None)
        rows: Counter[str] = Counter()
        next_offset = 0
        for slice_ in self._slices(partition):
            meta = slice_.meta
            if slice_.meta["chunk"] == 0:
                self._flow.equal(
                    slice_.record.place, "first_offset", meta["first_offset"], next_offset
                )
                next_offset = meta["last_offset"] + 1
                while ahead is not None and ahead.offset < next_offset:
                    self._feed(fold, ahead)
                    ahead = next(ticks, None)
                self._compare_counts(slice_, fold.take_counts())
                rows = Counter()
            names = slice_.batch.column("symbol").to_pylist()
            rows.update(dict(zip(names, slice_.batch.column("n_ticks").to_pylist(), strict=True)))
            if slice_.is_last_chunk:
                expected = fold.closed.pop(meta["close_ns"], Counter())
                self._flow.equal(slice_.record.place, "rows", _text(rows), _text(expected))
        while ahead is not None:
            self._feed(fold, ahead)
            ahead = next(ticks, None)
        if not is_running:
            for close_ns in sorted(fold.closed):
                where = f"{BARS}[{partition}]"
                self._flow.broken(where, f"no slice of {close_ns} ns", _text(fold.closed[close_ns]))

    def _feed(self, fold: TickFold, record: Record) -> None:
        for close_ns in fold.take(record):
            self._slots.closed(close_ns, fold.closed[close_ns])

    def _slices(self, partition: int) -> Iterator[Slice]:
        """Yield each slice once; one that comes again must be the same to the byte."""
        known: dict[tuple[int, int, int], bytes] = {}
        last = (-1, 0, 0)
        for record in self._source.records(BARS, partition):
            slice_ = read_slice(record)
            if slice_ is None:
                self._flow.broken(record.place, f"{len(record.value or b'')} bytes", "a slice")
                continue
            before = known.setdefault(slice_.key, digest(record.value))
            if before != digest(record.value):
                self._flow.broken(record.place, "other bytes", f"those of {slice_.key} before")
            elif slice_.key > last:
                last = slice_.key
                yield slice_

    def _compare_counts(self, slice_: Slice, counts: Counter[str]) -> None:
        said = slice_.meta["counts"]
        for name in _COUNTS:
            self._flow.equal(slice_.record.place, name, said[name], counts[name])


def _text(rows: Counter[str]) -> str:
    return ", ".join(f"{symbol} {n}" for symbol, n in sorted(rows.items())) or "none"
