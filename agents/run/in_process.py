"""All stages of a run in one process: the workers' own folds, and nothing but calls between them.

What goes from stage to stage is a slice that never becomes bytes; a decision's bytes are those that
a worker would send. A log gives the same decisions here as on a broker, because the folds are the
same and what stands between them decides nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

import msgspec

from agents.bars import BarFold
from agents.prediction import rows_of
from agents.risk import RiskFold
from agents.signals import SPECS, fold_of
from agents.slice_stage import SliceFold
from agents.stage import Reader
from streams.dead_letters import DeadLetter
from streams.partitions import partition_of
from streams.records import EpochNotice, Heartbeat, Tick
from streams.slices import Slice
from streams.sources.replay import CLOCK_HEADER, Stretch, timed
from streams.sources.tape import Tape
from streams.topics import MARKET_BARS, MARKET_TICKS, PORTFOLIO_EVENTS
from streams.transport import Record
from tables.checkpoint import Checkpoint
from tables.decisions import Told
from tables.epochs import Epochs, LoadedEpoch
from tables.stamped import Stamped

Said = Told | DeadLetter

# Called with the name of a stage and what it made.
Watch = Callable[[str, Slice], None]

_JSON = msgspec.json.Encoder()


class Books:
    """The accounts of a run, each in the fold of its portfolio's partition.

    Parameters
    ----------
    epochs, n_partitions
        The documents that decide, and the partitions of every topic.
    begin
        Where the accounts stand; empty ones if None.
    """

    def __init__(self, epochs: Epochs, n_partitions: int, begin: Checkpoint | None = None) -> None:
        self._epochs = epochs
        self._folds = [RiskFold(epochs, _reader(begin, "risk", p)) for p in range(n_partitions)]

    def take(self, slice_: Slice) -> Iterator[Said]:
        """Let every portfolio take its rows of a slice that prediction has made."""
        for name, rows in self.split(slice_):
            partition = partition_of(name, len(self._folds))
            at = Record(PORTFOLIO_EVENTS.name, partition, 0, name.encode(), None, [])
            yield from self.give(at, rows)

    def split(self, slice_: Slice) -> Iterator[tuple[str, Slice]]:
        """Yield the rows that each portfolio trades."""
        loaded = self._epochs.load(slice_.meta.epoch_digest)
        for portfolio in loaded.epoch.portfolios:
            yield portfolio.id, rows_of(loaded, slice_, portfolio)

    def give(self, at: Record, slice_: Slice) -> Iterator[Said]:
        """Let one portfolio take a slice that stands at a place in its log."""
        yield from self._folds[at.partition].fold(at, slice_)

    def read(self, record: Record) -> Iterator[Said]:
        """Let a record of the book's log act."""
        yield from self._folds[record.partition].fold(record)

    def snapshots(self, partition: int) -> dict[bytes, Stamped]:
        """Return the accounts of a partition that changed, by portfolio."""
        return self._folds[partition].snapshot().states


class InProcess:
    """The chain from ticks or bars to the books.

    Parameters
    ----------
    epochs, n_partitions
        The documents that decide, and the partitions of every topic.
    books
        Who takes what prediction makes: :class:`Books`, or what puts its slices into an order.
    watch
        Sees what each stage makes.
    begin
        Where the stages stand; they have seen nothing if None.
    """

    def __init__(
        self,
        epochs: Epochs,
        n_partitions: int,
        take: Callable[[Slice], Iterator[Said]],
        watch: Watch | None = None,
        begin: Checkpoint | None = None,
    ) -> None:
        self._bars = [BarFold(epochs, p, _reader(begin, "bars", p)) for p in range(n_partitions)]
        self._stages: list[list[SliceFold[Any]]] = [
            [fold_of(spec, epochs, p, _reader(begin, spec.name, p)) for spec in SPECS]
            for p in range(n_partitions)
        ]
        self._take = take
        self._watch = watch

    def tick(self, record: Record, ticks: Sequence[Tick] | None = None) -> Iterator[Said]:
        """Fold a record of ``market-ticks``; ``ticks`` are its own where they were read already."""
        for made in self._bars[record.partition].fold(record, ticks):
            if isinstance(made, DeadLetter):
                yield made
            else:
                yield from self.bar(made)

    def bar(self, slice_: Slice) -> Iterator[Said]:
        """Follow a slice of ``market-bars`` to the books."""
        partition = slice_.meta.partition
        place = Record(MARKET_BARS.name, partition, 0, None, None, [])
        self._see("bars", slice_)
        for fold in self._stages[partition]:
            letters, result = fold.fold(place, slice_)
            yield from letters
            if result is None:
                return
            slice_ = result
            self._see(fold.spec.name, slice_)
        yield from self._take(slice_)

    def snapshots(self, partition: int) -> dict[str, dict[bytes, Stamped]]:
        """Return what changed of a partition's stages of a symbol, by stage and key."""
        return {fold.spec.name: fold.snapshot().states for fold in self._stages[partition]}

    def open_bars(self, partition: int) -> dict[bytes, Stamped]:
        """Return a partition's open bars."""
        return self._bars[partition].snapshot().states

    def _see(self, stage: str, slice_: Slice) -> None:
        if self._watch is not None:
            self._watch(stage, slice_)


def play(chain: InProcess, loaded: LoadedEpoch, tape: Tape, stretch: Stretch) -> Iterator[Said]:
    """Fold a stretch of a tape as its replay on a broker would be folded.

    A partition's ticks of an interval are one record; time comes to all partitions.
    """
    epoch = loaded.epoch
    n_partitions = epoch.n_partitions
    offsets, beats = count(), count()

    def spoken(said: EpochNotice | Heartbeat) -> Iterator[Said]:
        value, offset = _JSON.encode(said), next(offsets)
        for partition in range(n_partitions):
            headers = [(CLOCK_HEADER, b"1")]
            record = Record(MARKET_TICKS.name, partition, offset, None, value, headers)
            yield from chain.tick(record)

    def beat(ts_ns: int) -> Heartbeat:
        return Heartbeat(clock_id=epoch.clock_id, n=next(beats), ts_event_ns=ts_ns)

    homes = {symbol: partition_of(symbol, n_partitions) for symbol in tape.symbols}
    notice = EpochNotice(clock_id=epoch.clock_id, epoch=1, digest=loaded.digest, from_close_ns=0)
    yield from spoken(notice)
    for begins_ns, interval, ends_ns in timed(tape, stretch, epoch.lateness_ms):
        if begins_ns is not None:
            yield from spoken(beat(begins_ns))
        at_home: list[list[Tick]] = [[] for _ in range(n_partitions)]
        for symbol, ticks in interval.ticks.items():
            at_home[homes[symbol]].extend(ticks)
        for home, ticks in enumerate(at_home):
            record = Record(MARKET_TICKS.name, home, next(offsets), None, None, [])
            yield from chain.tick(record, ticks)
        yield from spoken(beat(ends_ns))


def _reader(begin: Checkpoint | None, stage: str, partition: int) -> Reader:
    return _nothing if begin is None else partial(begin.read, stage, partition)


def _nothing(_key: bytes) -> Stamped | None:
    """Restore nothing: without a checkpoint the first record is the beginning."""
    return None
