"""Stages without a broker: one partition of ticks, and the whole chain from ticks to decisions."""

from pathlib import Path
from typing import Any

from agents.bars import BarFold
from agents.risk import RiskFold
from agents.signals import SignalFold
from agents.stage import Fold, FoldFactory, Output, Reader
from streams.dead_letters import DeadLetter
from streams.epochs import Epoch
from streams.partitions import partition_of
from streams.slices import Slice
from streams.transport import Record
from tests.builders import (
    MIDNIGHT,
    MINUTE,
    SECOND,
    Run,
    Sent,
    beat,
    epoch,
    epochs_in,
    notice,
    outputs,
    record,
)

LATE_NS = 2 * SECOND


class TickWorld:
    """A partition of ticks with one epoch announced and the clock at midnight.

    Parameters
    ----------
    root
        Directory of the artefacts.
    changes
        What the epoch has otherwise.
    """

    def __init__(self, root: Path, **changes: Any) -> None:  # noqa: ANN401  any field
        self.epochs, (self.digest,) = epochs_in(root, epoch(**changes))
        self.run = Run(self.new_fold)
        self.offset = 0

    def new_fold(self, partition: int, read: Reader) -> BarFold:
        """Make the fold of a partition."""
        return BarFold(self.epochs, partition, read)

    def start(self) -> "TickWorld":
        """Announce the epoch and let midnight come."""
        sent = self.run.take([notice(self.digest, 0), beat(0, MIDNIGHT + LATE_NS, 1)])
        assert sent == []
        self.offset = 2
        return self

    def take(self, value: object) -> list[Sent]:
        """Fold one record at the next offset."""
        self.offset += 1
        return self.run.take([record(value, self.offset - 1)])

    def close(self, minutes: int = 1) -> list[Slice]:
        """Let so many minutes and the lateness pass."""
        self.offset += 1
        at = MIDNIGHT + minutes * MINUTE + LATE_NS
        return slices(self.run.take([beat(self.offset, at, self.offset - 1)]))


def slices(sent: list[Sent]) -> list[Slice]:
    """Decode what went to the bars' topic."""
    return [Slice.decode(value) for value in outputs(sent, "market-bars")]


def tick(at_s: float = 1.0, price: object = 10.0, **more: object) -> dict[str, object]:
    """Write a trade of AAA so many seconds after midnight."""
    return {"symbol": "AAA", "ts_event": MIDNIGHT + int(at_s * SECOND), "price": price} | more


class Chain:
    """All stages of a run, every partition of each, wired by the catalogue's topics.

    Parameters
    ----------
    root
        Directory of the artefacts.
    document
        The epoch.
    later
        Epochs that can be announced after it; ``later`` has their digests.

    ``taken`` are all records that stages have taken, as a log would have them.
    """

    def __init__(self, root: Path, document: Epoch, *later: Epoch) -> None:
        self.epochs, (self.digest, *self.later) = epochs_in(root, document, *later)
        self.n_partitions = document.n_partitions
        self.letters: list[DeadLetter] = []
        self.published: list[Output] = []
        self.taken: list[Record] = []
        stages: list[tuple[str, FoldFactory]] = [
            ("market-ticks", self._bars),
            ("market-bars", self._signals),
            ("portfolio-events", self._risk),
        ]
        self.runs = {
            (topic, partition): Run(new_fold, partition)
            for topic, new_fold in stages
            for partition in range(self.n_partitions)
        }
        self.offsets = dict.fromkeys(self.runs, 0)

    def _bars(self, partition: int, read: Reader) -> Fold:
        return BarFold(self.epochs, partition, read)

    def _signals(self, partition: int, read: Reader) -> Fold:
        return SignalFold(self.epochs, partition, read)

    def _risk(self, _partition: int, read: Reader) -> Fold:
        return RiskFold(self.epochs, read)

    def feed(self, said: Record) -> None:
        """Put a record of ``market-ticks`` in and follow what it causes to the end."""
        waiting = [said]
        while waiting:
            one = waiting.pop(0)
            place = (one.topic, one.partition)
            numbered = one._replace(offset=self.offsets[place])
            self.offsets[place] += 1
            self.taken.append(numbered)
            for sent in self.runs[place].take([numbered]):
                if isinstance(sent, DeadLetter):
                    self.letters.append(sent)
                elif (sent.topic, 0) in self.runs:
                    waiting.append(self._arrived(sent))
                else:
                    self.published.append(sent)

    def _arrived(self, sent: Output) -> Record:
        partition = sent.partition
        if partition is None:
            partition = partition_of((sent.key or b"").decode(), self.n_partitions)
        return Record(sent.topic, partition, 0, sent.key, sent.value, list(sent.headers))

    def say(self, *said: Record) -> None:
        """Let the clock speak in every partition."""
        for one in said:
            for partition in range(self.n_partitions):
                self.feed(one._replace(partition=partition))

    def home(self, symbol: str) -> int:
        """Return the partition of a symbol."""
        return partition_of(symbol, self.n_partitions)

    def trade(self, symbol: str, ts_ns: int, price: float, size: float) -> None:
        """Let a symbol trade in its home."""
        value = {"symbol": symbol, "ts_event": ts_ns, "price": price, "size": size}
        self.feed(record(value, partition=partition_of(symbol, self.n_partitions)))

    def values(self, topic: str) -> list[bytes]:
        """Return what was published to a topic, in order."""
        return outputs(self.published, topic)
