"""Stories: records for the book's log, drawn at random or by hypothesis, folded under the judge.

The draws go through the interface of :class:`random.Random`, so hypothesis can make and shrink
them. A step is one new record folded, or one restart; what a restart reads again is not counted.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.risk import RiskFold
from agents.stage import Reader
from models.risk.account import Account
from streams.slices import Counts
from streams.transport import Record
from tables.book import StoredAccount, encode_account
from tables.calendars import encode_sessions
from tables.stores.artifacts import Artifacts
from tests.builders import MIDNIGHT, MINUTE, Run, Sent, epochs_in, letters, meta, outputs
from tests.builders import record as record_of
from tests.simulation.judge import PORTFOLIO, Bar, Judge, Meaning, Violation
from tests.simulation.setting import CALENDAR, HOURS, SYMBOLS, document_of, terms_of
from tests.simulation.shadow import Shadow
from tests.simulation.slices import proposal_of


@dataclass
class Tally:
    """What was done: stories, steps, restarts, records read again, decisions, and codes seen."""

    stories: int = 0
    steps: int = 0
    restarts: int = 0
    read_again: int = 0
    judged: int = 0
    approved: int = 0
    letters: int = 0
    codes: dict[str, int] = field(default_factory=dict)

    def add(self, story: "Story") -> None:
        """Add a story that has ended."""
        self.stories += 1
        self.steps += story.steps
        self.restarts += story.restarts
        self.read_again += story.read_again
        self.judged += story.judge.n_judged
        self.approved += story.judge.n_approved
        self.letters += story.n_letters
        for code, n in story.judge.codes.items():
            self.codes[code] = self.codes.get(code, 0) + n


class Story:
    """One log, its fold and its judge.

    Parameters
    ----------
    root
        Directory of the artefacts.
    portfolio
        What the portfolio has otherwise than by default.
    has_hours
        Whether the market of the first symbol closes.
    """

    def __init__(
        self, root: Path, portfolio: Mapping[str, Any], *, has_hours: bool = False
    ) -> None:
        hours = encode_sessions(CALENDAR, HOURS)
        digest = Artifacts(root).put_json(hours) if has_hours else ""
        document = document_of(portfolio, digest)
        self.epochs, (self.digest,) = epochs_in(root, document)
        self.document = document
        self.run = Run(self._new_fold)
        self.judge = Judge(Shadow(terms_of(document)), n_partitions=2)
        self.log: list[tuple[Record, Meaning]] = []
        self.queues: tuple[list[Bar], list[Bar]] = ([], [])
        self.prices = dict.fromkeys(SYMBOLS, 100.0)
        self.close_ns, self.now_ns = MIDNIGHT, MIDNIGHT
        self.n_ids = 0
        self.values: dict[str, bytes] = {}
        self.steps = self.restarts = self.read_again = self.n_letters = 0

    def _new_fold(self, _partition: int, read: Reader) -> RiskFold:
        return RiskFold(self.epochs, read)

    def warm(self, n_bars: int = 3, n_symbols: int = len(SYMBOLS)) -> "Story":
        """Fold some bars of the first symbols in which nothing moves and nothing is wanted."""
        for _ in range(n_bars):
            nothing = (100.0, 100.0, math.nan, math.nan)
            self.next_bar(dict.fromkeys(SYMBOLS[:n_symbols], nothing))
            self.deliver_all()
        return self

    @property
    def account(self) -> Account:
        """The fold's account."""
        fold = self.run.fold
        assert isinstance(fold, RiskFold)
        book = fold.look(PORTFOLIO)
        assert book is not None
        return book.account

    def new_id(self, prefix: str) -> str:
        """Return an id that was not used before."""
        self.n_ids += 1
        return f"{prefix}{self.n_ids}"

    def next_bar(
        self,
        rows: Mapping[str, tuple[float, float, float, float]],
        n: int = 1,
        fed: tuple[int, int] = (0, 0),
    ) -> None:
        """Make the bar ``n`` minutes on; its two slices wait to be delivered.

        Of ``fed`` ticks in each partition so many were bad.
        """
        self.close_ns += n * MINUTE
        for partition, queue in enumerate(self.queues):
            (symbols,) = self.document.chunks(partition)
            mine = {s: rows[s] for s in symbols if s in rows}
            queue.append(Bar(self.close_ns, partition, mine, fed))

    def deliver(self, partition: int) -> None:
        """Let the oldest slice of a partition enter the log."""
        bar = self.queues[partition].pop(0)
        about = meta(
            bar.close_ns,
            partition=partition,
            n_partitions=2,
            epoch_digest=self.digest,
            counts=Counts(n_in=bar.fed[0], n_dead=bar.fed[1]),
        )
        (symbols,) = self.document.chunks(partition)
        self.now_ns = max(self.now_ns, bar.close_ns)
        self.append(proposal_of(about, bar.rows, symbols), bar)

    def deliver_all(self) -> None:
        """Let all slices that wait enter the log, partition by partition."""
        for partition, queue in enumerate(self.queues):
            while queue:
                self.deliver(partition)

    def say(self, kind: str, /, **fields: Any) -> None:  # noqa: ANN401  any field
        """Append a record."""
        said = {"record": kind, "portfolio": PORTFOLIO, "ts_event": self.now_ns, **fields}
        self.append(json.dumps(said).encode(), said)

    def append(self, value: bytes, meaning: Meaning, key: str = PORTFOLIO) -> None:
        """Fold a record at the next offset, under the judge."""
        offset = len(self.log)
        one = record_of(value, offset, key=key.encode(), topic="portfolio-events")
        self.log.append((one, meaning))
        self.steps += 1
        sent = self.run.take([one])
        self.n_letters += len(letters(sent))
        self._keep(sent)
        try:
            self.judge.follow(meaning, sent)
            self.judge.compare(self.account)
        except Violation as violation:
            violation.add_note(f"at record {offset}: {meaning}")
            raise

    def persist(self) -> None:
        """Let the fold write its snapshot."""
        self.run.persist()

    def restart(self) -> None:
        """Kill the fold; a new one reads on from the last snapshot, and nothing has changed."""
        before = self.state()
        self.run.restart()
        self.steps += 1
        self.restarts += 1
        again = [one for one, _ in self.log if one.offset >= self.run.resume_at]
        self.read_again += len(again)
        self._keep(self.run.take(again))
        self.judge.compare(self.account)
        if self.state() != before:
            raise Violation("restart", f"another state after reading from {self.run.resume_at}")

    def state(self) -> bytes:
        """Return the account as a snapshot would hold it."""
        account = self.account
        stored = StoredAccount((0, 0), "", 0, account.kept)
        return encode_account(stored, account.scenarios.earned)

    def _keep(self, sent: list[Sent]) -> None:
        """Demand that an id always carries the same bytes."""
        for topic, name in (("trading-decisions", "decision_id"), ("executions", "execution_id")):
            for value in outputs(sent, topic):
                one = f"{topic} {json.loads(value)[name]}"
                if self.values.setdefault(one, value) != value:
                    raise Violation("id", f"{one} has two values: {self.values[one]!r}, {value!r}")
