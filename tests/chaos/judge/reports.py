"""I6: every report of a venue is in the book's log as it was sent, or in a dead letter.

A copy names no place that it comes from, so copies are counted by what they say: of each content
there must be as many as there are reports, or more, because a worker that was killed copies again.
A report that a venue repeats is copied each time; the book drops it, not the copy.
"""

from collections import Counter

from tests.chaos.judge.letters import Letter, Letters
from tests.chaos.judge.record import Record, Source, all_records, digest, read_object
from tests.chaos.judge.refused_reports import FIELDS, complete, report_faults
from tests.chaos.judge.verdict import Invariant

REPORTS, LOG = "venue-executions", "portfolio-events"
_STAGE = "execution"

# Says when a copy was made; all other headers go along.
_MADE = "ts-init-ns"

Content = bytes


class Reports:
    """The way of the venues' reports into the book's log.

    Parameters
    ----------
    source, letters
        The run.
    flow
        Takes the violations.
    """

    def __init__(self, source: Source, letters: Letters, flow: Invariant) -> None:
        self._source, self._letters, self._flow = source, letters, flow
        self._copies: Counter[Content] = Counter()
        self._places: dict[Content, str] = {}

    def check(self, *, is_running: bool) -> None:
        """Compare all partitions; ``is_running`` allows reports that are on their way."""
        for record in all_records(self._source, LOG):
            self._note(record)
        for partition in range(self._source.topics()[REPORTS]):
            self._partition(partition, is_running=is_running)
        for place in self._places.values():
            self._flow.broken(place, "a venue's execution", f"one that is on {REPORTS}")
        if not is_running:
            for letter in self._letters.unasked(_STAGE):
                self._flow.broken(letter.record.place, letter.reason, "a report that it is about")

    def _note(self, record: Record) -> None:
        """Count a record of the log that is a copy, by what it says."""
        if not (record.value or b"").startswith(b"{"):
            return
        said = read_object(record.value)
        if said is None or said.get("record") != FIELDS["record"]:
            return
        self._flow.n_checked += 1
        if said.keys() != FIELDS.keys():
            odd = ", ".join(sorted(map(str, said.keys() ^ FIELDS.keys())))
            self._flow.broken(record.place, f"not the fields of a copy: {odd}", "all, and no more")
        key = (record.key or b"").decode(errors="replace")
        content = _content(key, record, said)
        self._copies[content] += 1
        self._places.setdefault(content, record.place)

    def _partition(self, partition: int, *, is_running: bool) -> None:
        """Look for a copy or a dead letter of each report.

        Copies of a portfolio come in the order of its reports: one that has none is lost as soon as
        a later one has its own, and else, in a run that goes on, on its way.
        """
        taken: Counter[Content] = Counter()
        missing: dict[str, list[str]] = {}
        for record in self._source.records(REPORTS, partition):
            self._flow.n_checked += 1
            letter, faults = self._letters.get(_STAGE, record), report_faults(record)
            if letter is not None:
                self._refused(record, letter, faults)
                continue
            if faults:
                self._flow.broken(record.place, "no dead letter", f"one: {_text(faults)}")
                continue
            said = read_object(record.value) or {}
            name = said["portfolio"]
            content = _content(name, record, said)
            self._places.pop(content, None)
            if taken[content] < self._copies[content]:
                taken[content] += 1
                # The copy of a repeat may be the first one, copied again: it proves nothing.
                if taken[content] == 1:
                    self._lost(missing.pop(name, []))
            else:
                missing.setdefault(name, []).append(record.place)
        # What the same venue says in another partition has copies of its own.
        self._copies -= taken
        if not is_running:
            for places in missing.values():
                self._lost(places)

    def _lost(self, places: list[str]) -> None:
        for place in places:
            self._flow.broken(place, "neither copy nor dead letter", f"its copy in {LOG}")

    def _refused(self, record: Record, letter: Letter, faults: set[str]) -> None:
        """Look whether a dead letter has the report's bytes and one of its faults."""
        if letter.raw != (record.value or b""):
            found = f"dead letter of {letter.raw[:80]!r}"
            self._flow.broken(letter.record.place, found, f"bytes of {record.place}")
        if letter.reason not in faults:
            expected = f"one of {_text(faults)}" if faults else "no dead letter"
            self._flow.broken(letter.record.place, letter.reason, expected)


def _content(key: str, record: Record, said: dict[str, object]) -> Content:
    """Return what stands for a report and for its copy: key, fields and headers."""
    headers = [header for header in record.headers if header[0] != _MADE]
    return digest(repr((key, complete(said), headers)).encode())


def _text(faults: set[str]) -> str:
    return ", ".join(sorted(faults))
