"""What the ticks of a partition must become: bars, dead letters, or drops that are counted.

A tick with a dead letter was refused, a quote with bid above ask is dropped, and every other one is
in the bar of its time. Whether a refusal was right is not asked here; that it was told is.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.chaos.judge.documents import Documents, Epoch
from tests.chaos.judge.exact import time_ns
from tests.chaos.judge.letters import Letter, Letters
from tests.chaos.judge.record import Record, read_json, read_object
from tests.chaos.judge.verdict import Invariant

_COUNT_OF = {"LATE": "n_late", "DUPLICATE": "n_duplicate"}
_STAGE = "bars"


class TickFold:
    """One partition of ``market-ticks``, folded record by record.

    Parameters
    ----------
    documents, letters
        Of the run.
    flow
        Takes the violations: ticks that are nowhere.

    Attributes
    ----------
    counts
        What happened to ticks since :meth:`take_counts`, by the names of a slice's metadata.
    opened, closed
        Ticks by symbol, by close: of bars still open, and of those that a heartbeat has closed.
    """

    def __init__(self, documents: Documents, letters: Letters, flow: Invariant) -> None:
        self._documents, self._letters, self._flow = documents, letters, flow
        self._epoch: Epoch | None = None
        self._beat = -1
        self._passed_ns = -1
        self.counts: Counter[str] = Counter()
        self.opened: dict[int, Counter[str]] = {}
        self.closed: dict[int, Counter[str]] = {}

    def take(self, record: Record) -> list[int]:
        """Fold one record; return the closes of the bars that it closes."""
        if record.header("clock") is not None:
            return self._clock(record)
        if self._epoch is None:
            # Before the first epoch there is no bar that could count it.
            if self._letters.get(_STAGE, record) is None:
                self._flow.broken(record.place, "no dead letter", "one: no clock has come yet")
            return []
        for index, tick, letter in self._each(record):
            self.counts["n_in"] += 1
            self._flow.n_checked += 1
            if letter is None:
                self._accept(record, index, tick)
                continue
            self.counts[_COUNT_OF.get(letter.reason, "n_dead")] += 1
            if letter.raw not in (record.value or b""):
                found = f"dead letter of {letter.raw[:80]!r}"
                self._flow.broken(letter.record.place, found, f"bytes of {record.place}")
        return []

    def take_counts(self) -> Counter[str]:
        """Return the counts so far and begin anew."""
        counts, self.counts = self.counts, Counter()
        return counts

    def _clock(self, record: Record) -> list[int]:
        said = read_object(record.value)
        if self._letters.get(_STAGE, record) is not None or said is None:
            return []
        if "digest" in said:
            self._epoch = self._epoch or self._documents.epoch(said["digest"])
            return []
        if self._epoch is None or said["n"] <= self._beat:
            return []
        self._beat = said["n"]
        frame_ns = self._epoch.timeframe_ns
        passed_ns = (said["ts_event_ns"] - self._epoch.lateness_ns) // frame_ns * frame_ns
        self._passed_ns = max(self._passed_ns, passed_ns)
        due = sorted(close for close in self.opened if close <= self._passed_ns)
        for close in due:
            self.closed[close] = self.opened.pop(close)
        return due

    def _each(self, record: Record) -> Iterator[tuple[int, Any, Letter | None]]:
        """Yield place, content and dead letter of each tick of a record."""
        first = self._letters.get(_STAGE, record)
        try:
            ticks = read_json(record.value)
        except (ValueError, RecursionError):
            ticks = None
        if not isinstance(ticks, list) or (first and first.raw == record.value):
            yield 0, ticks, first
            return
        for index, tick in enumerate(ticks):
            yield index, tick, self._letters.get(_STAGE, record, index)

    def _accept(self, record: Record, index: int, tick: Any) -> None:  # noqa: ANN401  any JSON value
        where = f"{record.place}, tick {index}"
        try:
            if tick.get("type") == "quote" and tick["bid"] > tick["ask"]:
                self.counts["n_crossed"] += 1
                return
            symbol, at_ns = tick["symbol"], time_ns(tick["ts_event"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._flow.broken(where, f"{error!r} and no dead letter", "a tick, or a dead letter")
            return
        close_ns = at_ns
        if self._epoch is not None and tick.get("type") != "bar":
            close_ns = (at_ns // self._epoch.timeframe_ns + 1) * self._epoch.timeframe_ns
        if close_ns <= self._passed_ns:
            found = f"{symbol} at {at_ns} ns without dead letter, bars are closed to"
            self._flow.broken(where, f"{found} {self._passed_ns}", "a dead letter: it is late")
            return
        self.opened.setdefault(close_ns, Counter())[symbol] += 1
