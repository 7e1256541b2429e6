"""``market-ticks -> market-bars``: ticks become bars, and only the one clock closes them.

Table ``bars``: one snapshot per partition with its open bars; ticks at or below the snapshot's
offset are skipped when they are read again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from agents.bars_shown import ShownBars
from agents.stage import Output, Reader, Snapshot
from models.bars import BarRules, ClosedBars, advance
from streams import metrics
from streams.dead_letters import DeadLetter, Headers, Origin
from streams.epochs import Epoch
from streams.errors import RecordError
from streams.records import ClockRecord, EpochNotice, Heartbeat, Tick, read_json
from streams.slices import Counts, Slice, SliceMeta, bar_slice
from streams.ticks import BadTick, Placement, checked, read_ticks, tick_bytes
from streams.topics import MARKET_BARS
from streams.transport import Record
from tables.bars import BarsKept, add_tick, bar_columns
from tables.epochs import Epochs
from tables.stamped import Stamped

# A snapshot is due after so many ticks, or heartbeats: what a restart reads again at most.
SNAPSHOT_TICKS = 20_000
SNAPSHOT_BEATS = 64

_KEY = b"open"
_NS_PER_MS = 1_000_000
_CLOCK_RECORD = msgspec.json.Decoder(ClockRecord)

# Which count of the slice a refusal belongs to; every other refusal is ``n_dead``.
_COUNTED = {"LATE": "n_late", "DUPLICATE": "n_duplicate", "CROSSED": "n_crossed"}


@dataclass(slots=True)
class BarFold:
    """The fold of one partition of ticks."""

    epochs: Epochs
    partition: int
    read: Reader
    kept: BarsKept = field(init=False)
    next_offset: int = field(init=False)
    n_since: int = 0
    n_beats: int = 0
    terms: tuple[str, BarRules, Placement] | None = None
    shown: ShownBars = field(init=False)

    def __post_init__(self) -> None:
        stamped = self.read(_KEY)
        self.kept = BarsKept() if stamped is None else BarsKept.decode(stamped.state)
        self.next_offset = 0 if stamped is None else stamped.next_offset
        self.shown = ShownBars(self.partition)

    def apply(self, record: Record) -> Iterable[Output | DeadLetter]:
        """Fold one record of ticks or of the clock."""
        said = self.fold(record)
        self._show(record)
        if not said:
            return ()
        key, headers = str(self.partition).encode(), _origin(record)
        return [
            Output(MARKET_BARS.name, key, one.encode(), headers, self.partition)
            if isinstance(one, Slice)
            else one
            for one in said
        ]

    def _show(self, record: Record) -> None:
        if record.header("clock") is None:
            self.shown.ticked(record.timestamp_ms)
        elif self.kept.epochs:
            epoch = self.epochs.load(self.kept.epochs[0].digest)
            self.shown.beaten(epoch, self.kept.state)

    def fold(
        self, record: Record, ticks: Sequence[Tick] | None = None
    ) -> Sequence[Slice | DeadLetter]:
        """Fold one record and return its slices before they are bytes.

        ``ticks`` are those of the record where somebody has read them already.
        """
        if record.offset < self.next_offset:
            return ()
        self.next_offset = record.offset + 1
        if record.header("clock") is not None:
            return self._clock(record)
        return list(self._ticks(record, ticks))

    def _clock(self, record: Record) -> Sequence[Slice | DeadLetter]:
        try:
            said = read_json(_CLOCK_RECORD, record.value or b"")
            if isinstance(said, EpochNotice):
                self._announce(said)
                return ()
            return self._heartbeat(said, record)
        except RecordError as error:
            return (self._dead(record, 0, error),)

    def _announce(self, notice: EpochNotice) -> None:
        known = self.kept.epochs
        if known and notice.clock_id != self._current().clock_id:
            # Before its document is asked for: that of a stranger need not be here.
            raise RecordError(
                "FOREIGN_CLOCK",
                f"clock {notice.clock_id!r} announced an epoch; expected "
                f"{self._current().clock_id!r}",
            )
        announced = self.epochs.load(notice.digest).epoch
        if notice.clock_id != announced.clock_id:
            raise RecordError(
                "FOREIGN_CLOCK",
                f"clock {notice.clock_id!r} announced an epoch of clock {announced.clock_id!r}",
            )
        if known and announced.layout() != self._epoch(known[-1]).layout():
            raise RecordError(
                "LAYOUT_CHANGED",
                f"epoch {notice.epoch} changes the grid or the universe; expected a new run",
            )
        if not known or notice.epoch > known[-1].epoch:
            known.append(notice)
        elif any(n.epoch == notice.epoch and n.digest != notice.digest for n in known):
            raise RecordError(
                "EPOCH_CONFLICT", f"epoch {notice.epoch} was announced with another document"
            )

    def _epoch(self, notice: EpochNotice) -> Epoch:
        return self.epochs.load(notice.digest).epoch

    def _current(self) -> Epoch:
        if not self.kept.epochs:
            raise RecordError("NO_CLOCK", "no epoch is announced; expected the clock to run first")
        return self._epoch(self.kept.epochs[0])

    def _heartbeat(self, beat: Heartbeat, record: Record) -> list[Slice | DeadLetter]:
        epoch = self._current()
        if beat.clock_id != epoch.clock_id:
            raise RecordError(
                "FOREIGN_CLOCK", f"heartbeat of {beat.clock_id!r}; expected {epoch.clock_id!r}"
            )
        self.n_beats += 1
        closed = advance(self.kept.state, _rules(epoch), beat.n, beat.ts_event_ns)
        return [made for bars in closed for made in self._slices(epoch, bars, record)]

    def _slices(self, epoch: Epoch, closed: ClosedBars, record: Record) -> Iterator[Slice]:
        notice = self.kept.epoch_for(closed.close_ns)
        chunks = epoch.chunks(self.partition)
        bars = dict(closed.bars)
        counts = self.kept.take_counts()
        for number, symbols in enumerate(chunks):
            meta = SliceMeta(
                partition=self.partition,
                close_ns=closed.close_ns,
                rank=0,
                chunk=number,
                n_chunks=len(chunks),
                n_partitions=epoch.n_partitions,
                timeframe=epoch.timeframe,
                epoch=notice.epoch,
                epoch_digest=notice.digest,
                first_offset=self.kept.first_offset,
                last_offset=record.offset,
                counts=counts if number == 0 else Counts(),
            )
            rows = [(i, s, bars[s]) for i, s in enumerate(symbols) if s in bars]
            yield bar_slice(meta, bar_columns(rows))
        self.kept.first_offset = record.offset + 1

    def _ticks(self, record: Record, ticks: Sequence[Tick] | None) -> Iterator[DeadLetter]:
        try:
            epoch = self._current()
        except RecordError as error:
            yield self._dead(record, 0, error)
            return
        rules, place = self._terms(epoch)
        n_before = self.n_since
        for item in read_ticks(record.value, place) if ticks is None else checked(ticks, place):
            self.n_since += 1
            if isinstance(item, BadTick):
                yield self._refused(record, item.place, item.error, item.raw)
                continue
            index, tick = item
            try:
                refused = add_tick(self.kept, rules, tick)
            except RecordError as error:
                yield self._refused(record, index, error, tick_bytes(record.value or b"", index))
                continue
            if refused is None:
                continue
            if refused.code == "CROSSED":
                self._count(refused.code)
                continue
            fault = RecordError(refused.code, refused.detail)
            yield self._refused(record, index, fault, tick_bytes(record.value or b"", index))
        if self.n_since > n_before:
            self.kept.count("n_in", self.n_since - n_before)

    def _refused(self, record: Record, index: int, error: RecordError, raw: bytes) -> DeadLetter:
        self._count(error.reason)
        return DeadLetter.of(error, _place(record, index), "bars", raw)

    def _count(self, code: str) -> None:
        self.kept.count(_COUNTED.get(code, "n_dead"))
        metrics.TICKS.labels(code.lower()).inc()

    def _dead(self, record: Record, index: int, error: RecordError) -> DeadLetter:
        return DeadLetter.of(error, _place(record, index), "bars", record.value or b"")

    def _terms(self, epoch: Epoch) -> tuple[BarRules, Placement]:
        """Return what a tick must fit in the current epoch."""
        digest = self.kept.epochs[0].digest
        if self.terms is None or self.terms[0] != digest:
            local = frozenset(s for chunk in epoch.chunks(self.partition) for s in chunk)
            universe = frozenset(epoch.symbols())
            place = Placement(self.partition, epoch.n_partitions, universe, local)
            self.terms = (digest, _rules(epoch), place)
        return self.terms[1:]

    def due(self) -> bool:
        """Tell whether enough ticks were folded for a snapshot."""
        return self.n_since >= SNAPSHOT_TICKS or self.n_beats >= SNAPSHOT_BEATS

    def snapshot(self) -> Snapshot:
        """Return the open bars with the offset they stand for."""
        self.n_since = self.n_beats = 0
        return Snapshot({_KEY: Stamped(self.next_offset, self.kept.encode())}, self.next_offset)


def _rules(epoch: Epoch) -> BarRules:
    return BarRules(
        epoch.timeframe_ns,
        epoch.lateness_ms * _NS_PER_MS,
        epoch.max_ahead_ms * _NS_PER_MS,
        epoch.venue_latency_ms * _NS_PER_MS,
    )


def _place(record: Record, index: int) -> Origin:
    return Origin(record.topic, record.partition, record.offset, index, record.key)


def _origin(record: Record) -> Headers:
    """Return what travels with a slice and is not part of it: when its heartbeat was meant."""
    return [(name, value) for name, value in record.headers if name != "clock"]
