"""What the ticks of a partition must become: bars, dead letters, or drops that are counted.

A tick with a dead letter was refused, a quote with bid above ask is dropped, and every other one is
in the bar of its time. A refusal must be for a reason that this tick gives at this place, and a
tick that gives one must be refused.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.chaos.judge.documents import Documents, Epoch
from tests.chaos.judge.letters import Letter, Letters
from tests.chaos.judge.record import Record, read_json, read_object
from tests.chaos.judge.refused_ticks import (
    REMEMBERED_IDS,
    Place,
    close_of,
    identity_of,
    is_crossed,
    record_faults,
    shape_faults,
    tick_faults,
)
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
        Takes the violations: ticks that are nowhere, and refusals without reason.

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
        self._beat = self._beat_ns = self._passed_ns = -1
        self._seen: dict[str, dict[str, None]] = {}
        self.counts: Counter[str] = Counter()
        self.opened: dict[int, Counter[str]] = {}
        self.closed: dict[int, Counter[str]] = {}

    def take(self, record: Record) -> list[int]:
        """Fold one record; return the closes of the bars that it closes."""
        if record.header("clock") is not None:
            return self._clock(record)
        if self._epoch is None:
            # Before the first epoch there is no bar that could count it.
            letter = self._letters.get(_STAGE, record)
            if letter is None or letter.reason != "NO_CLOCK":
                found = "no dead letter" if letter is None else letter.reason
                self._flow.broken(record.place, found, "NO_CLOCK: no clock has come yet")
            return []
        at = Place(
            self._epoch,
            record.partition,
            self._beat_ns,
            self._passed_ns,
            self._seen,
            self.opened,
        )
        for index, tick, letter, faults in self._each(record, at):
            self.counts["n_in"] += 1
            self._flow.n_checked += 1
            if letter is None:
                self._accept(f"{record.place}, tick {index}", tick, at, faults)
            else:
                self._refuse(record, tick, letter, faults)
        return []

    def take_counts(self) -> Counter[str]:
        """Return the counts so far and begin anew."""
        counts, self.counts = self.counts, Counter()
        return counts

    def _clock(self, record: Record) -> list[int]:
        said = read_object(record.value)
        faults = self._clock_faults(said)
        letter = self._letters.get(_STAGE, record)
        if letter is not None:
            if letter.reason not in faults:
                expected = f"one of {', '.join(sorted(faults)) or 'none'}"
                self._flow.broken(letter.record.place, letter.reason, expected)
            return []
        if said is None or "FOREIGN_CLOCK" in faults:
            self._flow.broken(record.place, "no dead letter", ", ".join(sorted(faults)))
            return []
        if "digest" in said:
            self._epoch = self._epoch or self._documents.epoch(said["digest"])
            return []
        if self._epoch is None or said["n"] <= self._beat or said["ts_event_ns"] < self._beat_ns:
            return []
        self._beat, self._beat_ns = said["n"], said["ts_event_ns"]
        frame_ns = self._epoch.timeframe_ns
        passed_ns = (self._beat_ns - self._epoch.lateness_ns) // frame_ns * frame_ns
        self._passed_ns = max(self._passed_ns, passed_ns)
        due = sorted(close for close in self.opened if close <= self._passed_ns)
        for close in due:
            self.closed[close] = self.opened.pop(close)
        return due

    def _clock_faults(self, said: dict[str, Any] | None) -> set[str]:
        """Return the reasons for which a record of the clock may be refused."""
        if said is None:
            return {"NOT_JSON", "WRONG_TYPE"}
        if "digest" in said:
            epoch = self._documents.epoch(said["digest"])
            faults = {"LAYOUT_CHANGED", "EPOCH_CONFLICT"} if self._epoch else set()
        elif self._epoch is None:
            return {"NO_CLOCK"}
        else:
            epoch, faults = self._epoch, set()
        if not all(isinstance(said.get(name), int) for name in _NUMBERS["digest" in said]):
            faults.add("WRONG_TYPE")
        elif said.get("clock_id") != epoch.clock_id:
            faults.add("FOREIGN_CLOCK")
        return faults

    def _each(
        self, record: Record, at: Place
    ) -> Iterator[tuple[int, Any, Letter | None, set[str]]]:
        """Yield place, content, dead letter and faults of each tick of a record."""
        first = self._letters.get(_STAGE, record)
        try:
            ticks = read_json(record.value)
        except (ValueError, RecursionError):
            ticks = None
        if faults := record_faults(record.value, ticks):
            yield 0, None, first, faults
        elif not isinstance(ticks, list):
            yield 0, ticks, first, tick_faults(ticks, at)
        else:
            for index, tick in enumerate(ticks):
                # What comes twice in one list is known by then.
                letter = self._letters.get(_STAGE, record, index)
                yield index, tick, letter, tick_faults(tick, at)

    def _refuse(self, record: Record, tick: Any, letter: Letter, faults: set[str]) -> None:  # noqa: ANN401  any JSON value
        self.counts[_COUNT_OF.get(letter.reason, "n_dead")] += 1
        if letter.raw not in (record.value or b""):
            found = f"dead letter of {letter.raw[:80]!r}"
            self._flow.broken(letter.record.place, found, f"bytes of {record.place}")
        if letter.reason not in faults:
            expected = f"one of {', '.join(sorted(faults))}" if faults else "no dead letter"
            self._flow.broken(letter.record.place, letter.reason, expected)
        elif letter.reason == "DUPLICATE":
            self._remember(tick)

    def _accept(self, where: str, tick: Any, at: Place, faults: set[str]) -> None:  # noqa: ANN401  any JSON value
        if not faults or not shape_faults(faults):
            if is_crossed(tick):
                self.counts["n_crossed"] += 1
                return
            if not faults:
                self._remember(tick)
                close_ns = close_of(tick, at.epoch)
                self.opened.setdefault(close_ns, Counter())[tick["symbol"]] += 1
                return
        self._flow.broken(where, "no dead letter", f"one: {', '.join(sorted(faults))}")

    def _remember(self, tick: dict[str, Any]) -> None:
        """Keep the id of a tick, and let the oldest go."""
        identity, seen = identity_of(tick), self._seen.setdefault(tick["symbol"], {})
        if identity and identity not in seen:
            seen[identity] = None
            if len(seen) > REMEMBERED_IDS:
                del seen[next(iter(seen))]


# Of a heartbeat, and of a notice of an epoch.
_NUMBERS = (("n", "ts_event_ns"), ("epoch", "from_close_ns"))
