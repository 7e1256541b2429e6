"""A backtest of what a run has recorded: a range of its topic through the chain in this process."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from aiokafka import TopicPartition

from agents.run.backtest import (
    FRESH_BOOK,
    Result,
    Said,
    Span,
    Taking,
    collected,
    fitted_on,
    result_of,
    sample,
)
from agents.run.decided import decided_up_to
from agents.run.in_process import Books, InProcess, Watch
from agents.run.in_process import Said as Saying
from agents.run.progress import Progress
from agents.run.recorded_books import RecordedBooks
from agents.run.survey import Seen, survey
from agents.run.terms import Changes, changed
from agents.run.topic_log import reading
from agents.run.topic_range import Middle, Range, after, bars_of, chosen, middle, ticks_of, until
from agents.topology import prefix_of
from streams.dead_letters import DeadLetter
from streams.errors import SettingsError
from streams.sources.replay import Stretch
from streams.timestamps import format_ns
from streams.topics import MARKET_TICKS, PORTFOLIO_EVENTS
from streams.transport import Record
from tables.checkpoint import Checkpoint, States, place, plain
from tables.counted import Counted
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tables.stores.backtest_folder import BacktestFolder

# Of books: as the run's stood, with what people and venues said; or empty, and nobody speaks.
RECORDED, FRESH = "recorded", "fresh"


class _Folding(NamedTuple):
    """A range being folded: what its steps say, and who says it."""

    chain: InProcess
    books: Books
    steps: AsyncGenerator[Saying, None]
    recorded: RecordedBooks


@dataclass
class TopicBacktest:
    """A range of a run's topic, decided by the run's own epochs or by others.

    Parameters
    ----------
    home, servers, run
        The stack's directory, its broker, and the run whose topics are read.
    topic
        ``market-ticks`` or ``market-bars``.
    asked
        First and last close that count, or offsets; None for all there are.
    changes, models
        What differs from the run's epochs.
    watch
        Sees what each stage makes.
    begin
        Where the run stood before the range, so that its books go on; None: they are empty.
    since_ns
        First close that counts of a run whose books go on; 0 for all that is folded.
    fresh_book
        Books begin empty, and nobody speaks to them, also where a run's own could be known.
    """

    home: Path
    servers: str
    run_name: str
    topic: str
    asked: tuple[str | None, str | None]
    changes: Changes = Changes()  # noqa: RUF009  a NamedTuple is never changed
    models: str | None = None
    watch: Watch | None = None
    begin: Checkpoint | None = None
    since_ns: int = 0
    fresh_book: bool = False
    epochs: Epochs = field(init=False)
    range: Range = field(init=False)
    middle: Middle | None = field(init=False, default=None)
    digests: dict[str, str] = field(default_factory=dict)
    book_ends: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.epochs = Epochs(Artifacts(self.home / "artifacts"))

    @property
    def source(self) -> str:
        """What is folded, for people."""
        counted = self.counted
        offsets = zip(counted.begins, counted.ends, strict=True)
        places = ", ".join(f"{first}..{last}" for first, last in offsets)
        return f"{counted.topic} at {self.servers}, offsets {places}"

    @property
    def book(self) -> str:
        """How the books begin and who speaks to them."""
        return RECORDED if self.is_recorded else FRESH

    @property
    def before_ns(self) -> int:
        """The close of the bar behind the range: what is decided from then on is none of it."""
        epoch = self.epochs.load(self.range.digests[0]).epoch
        return self.range.last_ns + epoch.timeframe_ns

    @property
    def after_ns(self) -> int:
        """The close behind which decisions count; -1 for all."""
        return -1 if self.middle is None else self.middle.close_ns

    @property
    def counted(self) -> Range:
        """What of the range counts."""
        if self.middle is None:
            return self.range
        # The open bars at the middle know the epochs that were announced before it.
        _, begins, from_ns, n_bars = self.middle
        behind = self.range._replace(begins=begins, from_ns=from_ns, n_bars=n_bars)
        return behind._replace(notices=(), is_whole=False)

    @property
    def is_recorded(self) -> bool:
        """Whether what people and venues said to the run's books acts again."""
        is_known = (self.range.is_whole or self.begin is not None) and not self.fresh_book
        return is_known and not self.changes.decide and self.models is None

    def check(self) -> Span:
        """Read the topic once and refuse what cannot work; return what will be folded.

        Raises
        ------
        TopicError, SettingsError, ArtifactError
            With what was found and what was expected.
        """
        asyncio.run(self._choose())
        for digest in self.range.digests:
            epoch = changed(self.epochs.load(digest).epoch, self.changes, self.models)
            self.digests[digest] = self.epochs.put(epoch)
            loaded = self.epochs.load(self.digests[digest])
            if loaded.models.metadata["timeframe"] != epoch.timeframe:
                raise SettingsError(
                    f"models {epoch.models[:12]} decide bars of "
                    f"{loaded.models.metadata['timeframe']}; expected those of {epoch.timeframe}"
                )
        stretch = Stretch(self.range.from_ns, self.range.last_ns)
        return Span(stretch, self.range.from_ns, self.range.n_bars)

    async def _choose(self) -> None:
        """Read the topic and choose the range; where books go on, of what the run has decided."""
        topic, is_ticks = prefix_of(self.run_name) + self.topic, self.topic == MARKET_TICKS.name
        seen = await survey(
            self.servers, topic, is_ticks=is_ticks, epochs=self.epochs, begin=self.begin
        )
        self.range = self._range(topic, seen, self.asked[1])
        if not self.range.digests:
            raise SettingsError(f"{topic} names no epoch; expected that its clock announced one")
        if self.is_recorded:
            decided_ns = await decided_up_to(
                self.servers, prefix_of(self.run_name), self._portfolios()
            )
            if decided_ns < 0:
                self.fresh_book = True
                self._remark(f"run {self.run_name or 'live'} has decided nothing: books are empty")
            elif decided_ns < self.range.last_ns:
                self.range = self._range(topic, seen, format_ns(decided_ns))
                self._remark(f"it ends where the run's decisions do, at {format_ns(decided_ns)}")
        if self.since_ns:
            self.middle = middle(topic, seen, self.since_ns, self.range.last_ns)
        self.book_ends = await self._book_ends()
        self._check_partitions()

    def _remark(self, text: str) -> None:
        self.range = self.range._replace(remarks=(*self.range.remarks, text))

    def _portfolios(self) -> set[str]:
        """Return the portfolios of all epochs of the range."""
        epochs = [self.epochs.load(digest).epoch for digest in self.range.digests]
        return set.intersection(*({each.id for each in epoch.portfolios} for epoch in epochs))

    def _range(self, topic: str, seen: list[Seen], end: str | None) -> Range:
        if self.begin is None:
            return chosen(topic, seen, self.asked[0], end)
        is_ticks = self.topic == MARKET_TICKS.name
        return after(topic, seen, self.begin.ticks if is_ticks else self.begin.bars, end)

    def _check_partitions(self) -> None:
        wanted = self.changes.n_partitions
        n_partitions = len(self.range.begins)
        if self.middle is not None and wanted not in (None, n_partitions):
            raise SettingsError(
                f"the books' run has {n_partitions} partitions, and so have their states; "
                f"{wanted} go with a whole run, or with a fresh book"
            )

    def fitted(self, _progress: Progress) -> str:
        """Return the digests of the models that decide."""
        epochs = [self.epochs.load(digest).epoch for digest in self.digests.values()]
        return ", ".join(sorted({used for epoch in epochs for used in epoch.model_sets()}))

    def run(self, folder: BacktestFolder, span: Span, progress: Progress) -> Result:
        """Fold the range and measure what came of it."""
        taking = Taking(folder, lambda n_bars: progress("bars", min(n_bars / span.n_bars, 1.0)))
        with collected():
            n_records = asyncio.run(self.fold(taking.take))
        loaded = [self.epochs.load(digest) for digest in sorted(set(self.digests.values()))]
        told = list(self.range.remarks)
        for each in loaded:
            told += sample(each.models.metadata, each.epoch.symbols(), span.from_ns)
        models = "; ".join(
            f"{each.epoch.models[:12]}, {fitted_on(each.models.metadata)}" for each in loaded
        )
        again = (
            f"as recorded: {n_records} records of people and venues acted again"
            if self.is_recorded
            else FRESH_BOOK
        )
        facts = [
            ("Data", self.source),
            ("Range", f"{format_ns(span.from_ns)} to {format_ns(span.folded.last_close_ns)}"),
            ("Models", models),
            ("Book", again),
            *self.changes.facts(),
        ]
        source = self.range._asdict() | {"kind": "topic", "run": self.run_name, "notices": None}
        epochs = [each.epoch for each in loaded]
        return result_of(taking.recorder, span.from_ns, Said(facts, told, source, epochs))

    async def fold(self, take: Callable[[Saying], None]) -> int:
        """Fold all, let ``take`` have what counts; return how many people's records acted."""
        counted = Counted(self.after_ns)

        def taken(said: Saying) -> None:
            if isinstance(said, DeadLetter):
                take(said)
            elif (held := counted.of(said)) is not None:
                take(held)

        async with self._folding(self.range) as (_, _, steps, recorded):
            async for each in steps:
                taken(each)
            return recorded.n_records

    async def stood(self) -> dict[str, States]:
        """Fold what stands before the middle; return the states of all stages there.

        Raises
        ------
        TopicError
            If records that it goes on with are gone.
        """
        if self.middle is None:
            return {}
        before = self.range._replace(ends=self.middle.begins, last_ns=self.middle.close_ns)
        states = {} if self.begin is None else dict(self.begin.states)
        async with self._folding(before) as (chain, books, steps, _):
            async for _ in steps:
                pass
            for number in range(len(before.begins)):
                changed = {
                    "bars": chain.open_bars(number),
                    **chain.snapshots(number),
                    "risk": books.snapshots(number),
                }
                for stage, kept in changed.items():
                    name = place(stage, number)
                    states[name] = states.get(name, {}) | plain(kept)
        return states

    @asynccontextmanager
    async def _folding(self, range_: Range) -> AsyncIterator[_Folding]:
        n_partitions = len(range_.begins)
        books = Books(self.epochs, n_partitions, self.begin)
        async with AsyncExitStack() as stack:
            logs = await self._book_logs(stack) if self.is_recorded else []
            recorded = RecordedBooks(books, logs, range_.last_ns, self.begin)
            to_books = recorded.take if self.is_recorded else books.take
            chain = InProcess(self.epochs, n_partitions, to_books, self.watch, self.begin)
            steps = self._said(chain, recorded, range_)
            async with aclosing(steps):
                yield _Folding(chain, books, steps, recorded)

    async def _said(
        self, chain: InProcess, recorded: RecordedBooks, range_: Range
    ) -> AsyncGenerator[Saying, None]:
        async for said in self._steps(chain, range_):
            for each in said:
                yield each
            if recorded.has_news:
                async for each in recorded.catch_up():
                    yield each
        async for each in recorded.catch_up():
            yield each

    async def _steps(self, chain: InProcess, range_: Range) -> AsyncIterator[Iterator[Saying]]:
        """Yield what each record of the range causes."""
        if self.topic == MARKET_TICKS.name:
            async for record in ticks_of(self.servers, range_, self.translate):
                yield chain.tick(record)
            return
        async for slice_ in bars_of(self.servers, range_, self.translate):
            yield chain.bar(slice_)

    def translate(self, digest: str) -> str:
        """Return the digest of the epoch that decides instead of one announced."""
        return self.digests.get(digest, digest)

    async def _book_logs(self, stack: AsyncExitStack) -> list[AsyncIterator[Record]]:
        logs = []
        n_partitions = len(self.range.begins)
        begins = [0] * n_partitions if self.begin is None else self.begin.book
        for partition, (begin, end) in enumerate(zip(begins, self.book_ends, strict=True)):
            consumer = await stack.enter_async_context(reading(self.servers))
            logs.append(until(consumer, self._book_place(partition), begin, end))
        return logs

    async def _book_ends(self) -> list[int]:
        """Return where the book's log ends now: what is said later is none of the range."""
        places = [self._book_place(partition) for partition in range(len(self.range.begins))]
        async with reading(self.servers) as consumer:
            ends = await consumer.end_offsets(places)
        return [int(ends[place]) for place in places]

    def _book_place(self, partition: int) -> TopicPartition:
        return TopicPartition(prefix_of(self.run_name) + PORTFOLIO_EVENTS.name, partition)
