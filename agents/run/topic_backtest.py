"""A backtest of what a run has recorded: a range of its topic through the chain in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

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
from agents.run.in_process import Books, InProcess, Watch
from agents.run.in_process import Said as Saying
from agents.run.progress import Progress
from agents.run.recorded_books import RecordedBooks
from agents.run.survey import survey
from agents.run.terms import Changes, changed
from agents.run.topic_log import reading
from agents.run.topic_range import Range, after, bars_of, chosen, ticks_of, until
from agents.topology import prefix_of
from streams.errors import SettingsError
from streams.sources.replay import Stretch
from streams.timestamps import format_ns
from streams.topics import MARKET_TICKS, PORTFOLIO_EVENTS
from streams.transport import Record
from tables.checkpoint import Checkpoint
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tables.stores.backtest_folder import BacktestFolder


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
    epochs: Epochs = field(init=False)
    range: Range = field(init=False)
    digests: dict[str, str] = field(default_factory=dict)
    book_ends: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.epochs = Epochs(Artifacts(self.home / "artifacts"))

    @property
    def source(self) -> str:
        """What is folded, for people."""
        offsets = zip(self.range.begins, self.range.ends, strict=True)
        places = ", ".join(f"{first}..{last}" for first, last in offsets)
        return f"{self.range.topic} at {self.servers}, offsets {places}"

    @property
    def before_ns(self) -> int:
        """The close of the bar behind the range: what is decided from then on is none of it."""
        epoch = self.epochs.load(self.range.digests[0]).epoch
        return self.range.last_ns + epoch.timeframe_ns

    @property
    def is_recorded(self) -> bool:
        """Whether what people and venues said to the run's books acts again."""
        is_known = self.range.is_whole or self.begin is not None
        return is_known and not self.changes.decide and self.models is None

    def check(self) -> Span:
        """Read the topic once and refuse what cannot work; return what will be folded.

        Raises
        ------
        TopicError, SettingsError, ArtifactError
            With what was found and what was expected.
        """
        self.range = self._range()
        topic = self.range.topic
        if not self.range.digests:
            raise SettingsError(f"{topic} names no epoch; expected that its clock announced one")
        for digest in self.range.digests:
            epoch = changed(self.epochs.load(digest).epoch, self.changes, self.models)
            self.digests[digest] = self.epochs.put(epoch)
            loaded = self.epochs.load(self.digests[digest])
            if loaded.models.metadata["timeframe"] != epoch.timeframe:
                raise SettingsError(
                    f"models {epoch.models[:12]} decide bars of "
                    f"{loaded.models.metadata['timeframe']}; expected those of {epoch.timeframe}"
                )
        self.book_ends = asyncio.run(self._book_ends())
        stretch = Stretch(self.range.from_ns, self.range.last_ns)
        return Span(stretch, self.range.from_ns, self.range.n_bars)

    def _range(self) -> Range:
        topic, is_ticks = prefix_of(self.run_name) + self.topic, self.topic == MARKET_TICKS.name
        seen = asyncio.run(
            survey(self.servers, topic, is_ticks=is_ticks, epochs=self.epochs, begin=self.begin)
        )
        if self.begin is None:
            return chosen(topic, seen, *self.asked)
        begins = self.begin.ticks if is_ticks else self.begin.bars
        return after(topic, seen, begins, self.asked[1])

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
        """Fold all; return how many records of people and venues acted."""
        n_partitions = len(self.range.begins)
        books = Books(self.epochs, n_partitions, self.begin)
        async with AsyncExitStack() as stack:
            logs = await self._book_logs(stack) if self.is_recorded else []
            recorded = RecordedBooks(books, logs, self.range.last_ns, self.begin)
            to_books = recorded.take if self.is_recorded else books.take
            chain = InProcess(self.epochs, n_partitions, to_books, self.watch, self.begin)
            async for said in self._steps(chain):
                for each in said:
                    take(each)
                if recorded.has_news:
                    async for each in recorded.catch_up():
                        take(each)
            async for each in recorded.catch_up():
                take(each)
            return recorded.n_records

    async def _steps(self, chain: InProcess) -> AsyncIterator[Iterator[Saying]]:
        """Yield what each record of the range causes."""
        if self.topic == MARKET_TICKS.name:
            async for record in ticks_of(self.servers, self.range, self.translate):
                yield chain.tick(record)
            return
        async for slice_ in bars_of(self.servers, self.range, self.translate):
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
