"""What an epoch says, read from its document: a file under its digest, or a row of SQL."""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.chaos.judge.exact import DAY_NS, E8, E16, TIMEFRAMES_NS, whole
from tests.chaos.judge.record import Record, Source, Unjudgeable, all_records, read_json

DOCUMENTS = "documents"


class FolderSource:
    """The JSON files of a folder of artefacts, each under its digest."""

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.glob("*.json"))

    def topics(self) -> dict[str, int]:
        """Return one topic of one partition."""
        return {DOCUMENTS: 1}

    def records(self, topic: str, partition: int) -> Iterator[Record]:
        """Return the files."""
        for n, file in enumerate(self._files):
            yield Record(topic, partition, n, 0, file.stem.encode(), file.read_bytes())


class Portfolio:
    """One portfolio of an epoch."""

    def __init__(self, document: dict[str, Any], epoch: "Epoch") -> None:
        self.id: str = document["id"]
        self.cash = whole(document["cash"], E16)
        self.currency: str = document["currency"]
        self.is_paper = document["venue"] == "paper"
        self.universe = frozenset(document["universe"] or epoch.instruments)
        self.expiry_bars: int = document["order_expiry_bars"]
        self.limits: dict[str, Any] = document["limits"]
        self.epoch = epoch

    @cached_property
    def opens_ns(self) -> tuple[int, ...] | None:
        """Openings of the calendar that all its symbols share; None for days of UTC."""
        calendars = {self.epoch.instruments[symbol]["calendar"] for symbol in self.universe}
        if len(calendars) != 1 or calendars == {"24/7"}:
            return None
        return self.epoch.openings(calendars.pop())

    def day(self, at_ns: int) -> int:
        """Return the number of the day that a time ends or belongs to."""
        if self.opens_ns is None:
            return (at_ns - 1) // DAY_NS
        return bisect_left(self.opens_ns, at_ns)


class Epoch:
    """One epoch, exact numbers inside."""

    def __init__(self, document: dict[str, Any], documents: "Documents", digest: str = "") -> None:
        self._documents = documents
        self._calendars: dict[str, str] = document["calendars"]
        self.digest = digest
        self.timeframe: str = document["timeframe"]
        self.clock_id: str = document["clock_id"]
        self.n_partitions: int = document["n_partitions"]
        self.timeframe_ns = TIMEFRAMES_NS[self.timeframe]
        self.lateness_ns: int = document["lateness_ms"] * 10**6
        self.max_ahead_ns: int = document["max_ahead_ms"] * 10**6
        self.instruments = {each["id"]: each for each in document["instruments"]}
        self.lot_sizes = {s: whole(each["lot_size"], E8) for s, each in self.instruments.items()}
        self.portfolios = {each["id"]: Portfolio(each, self) for each in document["portfolios"]}

    def openings(self, calendar: str) -> tuple[int, ...]:
        """Return when the sessions of a calendar open."""
        times, now_s = [], 0
        for step in self._documents.of(self._calendars[calendar])["steps_s"]:
            now_s += step
            times.append(now_s * 10**9)
        return tuple(times[::2])


class Documents:
    """All documents at hand, by digest."""

    def __init__(self, source: Source) -> None:
        self._found = {}
        for record in all_records(source, DOCUMENTS):
            actual = hashlib.sha256(record.value or b"").hexdigest()
            self._found[actual] = read_json(record.value)
        for record in all_records(source, "sql/epochs"):
            document = json.loads(record.value or b"")["document"]
            self._found.setdefault(canonical_digest(document), read_json(json.dumps(document)))
        self._epochs: dict[str, Epoch] = {}

    def of(self, digest: str) -> Any:  # noqa: ANN401  any JSON value
        """Return a document.

        Raises
        ------
        Unjudgeable
            If no document of this digest is at hand.
        """
        if digest not in self._found:
            raise Unjudgeable(
                f"document {digest} is not at hand, found {len(self._found)} others; expected it "
                "in --artifacts FOLDER, or as an epoch in --database URL"
            )
        return self._found[digest]

    def epoch(self, digest: str) -> Epoch:
        """Return an epoch by its digest; it raises as :meth:`of`."""
        if digest not in self._epochs:
            self._epochs[digest] = Epoch(self.of(digest), self, digest)
        return self._epochs[digest]

    def portfolios(self) -> list[Portfolio]:
        """Return the portfolios of all epochs that the run has named so far, each once."""
        named = {p.id: p for epoch in self._epochs.values() for p in epoch.portfolios.values()}
        return [named[name] for name in sorted(named)]


def canonical_digest(document: object) -> str:
    """Return the digest of a document: of its JSON with sorted keys and no blanks."""
    plain = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(plain.encode()).hexdigest()
