"""The books of a worker for those who ask: answered from its folds, or by way of its log.

``wish -> portfolio-events -> the fold of the book -> trading-decisions -> answer``. Whoever asks
waits until the broker has the decision; the fold does not know that anybody waits.
"""

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from typing import Any, NamedTuple

import faust
import msgspec

from agents.aside import Aside
from agents.features import FeatureFold
from agents.risk import KeptBook, RiskFold
from agents.signals import SignalFold
from agents.stage import Output, Stage
from streams import clock
from streams.away import n_waiting
from streams.dead_letters import DeadLetter
from streams.errors import RecordError
from streams.instructions import TargetIntent
from streams.partitions import partition_of
from streams.questions import Wrong
from streams.topics import (
    MARKET_BARS,
    PORTFOLIO_EVENTS,
    PORTFOLIO_SNAPSHOTS,
    TRADING_DECISIONS,
    TopicSpec,
)
from streams.transport import Outgoing, consumer_of, producer_of
from tables.epochs import Epochs, LoadedEpoch
from tables.stores.cached_row import CachedRow, CacheKey
from tables.stores.feature_cache import FeatureCache
from tables.views.desk import MOST_REMEMBERED, Part, Place, refuse_decided, unknown_portfolio
from tables.views.features import cached
from tables.views.problems import ProblemError, not_ready

log = logging.getLogger("tradewind.desk")

_JSON = msgspec.json.Encoder()
_SILENT_S = 4.0  # heartbeats are a second apart


class Stages(NamedTuple):
    """The stages that questions are answered from: the book, and the signals of its bars."""

    book: Stage
    signals: Stage


# An intent in the log: whose it is, and its key.
_Asked = tuple[str, str]


class _Named(msgspec.Struct):
    """What an event or a refused record says about the intent behind it."""

    portfolio: str = ""
    intent_id: str = ""


_NAMED = msgspec.json.Decoder(_Named)


class WorkerDesk:
    """The books of this worker, for those who ask.

    Parameters
    ----------
    app, stages
        The worker and its stages.
    epochs
        The documents that decide.
    cache
        Where the features of decided bars are put.
    aside
        Who decides while the log is away.
    """

    def __init__(
        self, app: faust.App, stages: Stages, epochs: Epochs, cache: FeatureCache, aside: Aside
    ) -> None:
        self._app = app
        self._risk = stages.book
        self._signals = stages.signals
        self._epochs = epochs
        self._cache = cache
        self._aside = aside
        self._waiting: dict[_Asked, asyncio.Future[bytes]] = {}
        # Those that waited when partitions went away last.
        self._moved: set[_Asked] = set()
        self._decided: OrderedDict[_Asked, bytes] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._n_sent_on = 0
        self._warmed: dict[tuple[int, str], tuple[int, ...]] = {}
        self._risk.listeners.append(self._hear)
        self._risk.on_revoked.append(self._mark_moved)
        self._signals.listeners.append(self._hear_features)

    def owner(self, portfolio: str) -> str:
        """Return the address of the worker that owns a portfolio; empty if this one does."""
        return self._owner(self._risk, PORTFOLIO_EVENTS, portfolio)

    def symbol_owner(self, symbol: str) -> str:
        """Return the address of the worker that folds a symbol's bars; empty if this one does."""
        return self._owner(self._signals, MARKET_BARS, symbol)

    def _owner(self, stage: Stage, source: TopicSpec, key: str) -> str:
        partition = self._partition(key)
        assigned = consumer_of(self._app).assignment()
        topic = stage.prefix + source.name
        if any(tp.topic == topic and tp.partition == partition for tp in assigned):
            return ""
        changelog = stage.table.changelog_topic_name
        for url, topics in self._app.router.tables_metadata().items():
            if partition in topics.get(changelog, ()) and url != str(self._app.conf.canonical_url):
                return str(url)
        raise not_ready("NO_OWNER", f"no worker owns {key!r} at the moment")

    def informed(self) -> str:
        """Return the address of another worker while none of the bars has come to this one."""
        if self._seen():
            return ""
        own = str(self._app.conf.canonical_url)
        peers = {str(url): topics for url, topics in self._app.router.tables_metadata().items()}
        others = sorted(url for url, topics in peers.items() if url != own and any(topics.values()))
        if not others:
            raise not_ready("NO_EPOCH", "no bar has come yet, neither here nor to another worker")
        # Which of them has seen one nobody knows: whoever asks again meets the next.
        self._n_sent_on += 1
        return others[self._n_sent_on % len(others)]

    def book(self, portfolio: str) -> tuple[KeptBook, Place]:
        """Return a portfolio of this worker."""
        partition = self._partition(portfolio)
        fold = self._risk.fold_of(partition)
        book = fold.portfolios.get(portfolio) if isinstance(fold, RiskFold) else None
        if not isinstance(fold, RiskFold) or book is None or book.account.kept.bar_ns < 0:
            known = self.portfolios()
            if known and portfolio not in known:
                raise unknown_portfolio(portfolio)
            raise not_ready("NO_BOOK", f"no bar has reached portfolio {portfolio!r} yet")
        return self._aside.copy_of(portfolio) or book, Place(partition, fold.next_offset)

    def live(self, portfolio: str) -> KeptBook | None:
        """Return the fold's own book of a portfolio, without what was decided aside."""
        fold = self._risk.fold_of(self._partition(portfolio))
        return fold.portfolios.get(portfolio) if isinstance(fold, RiskFold) else None

    def portfolios(self) -> list[str]:
        """Return all portfolios of the epoch, as far as a book of this worker has seen one."""
        return sorted({each.id for loaded in self._seen() for each in loaded.epoch.portfolios})

    def running(self) -> LoadedEpoch:
        """Return the epoch of a bar that came here; all change theirs at the same bar."""
        seen = self._seen()
        if not seen:
            raise not_ready("NO_EPOCH", "no bar has come to this worker yet")
        return seen[-1]

    def longer(self, symbol: str, timeframe: str) -> CachedRow | None:
        """Return a symbol's features at the close of its last bar of a longer timeframe."""
        fold = self._features(self._partition(symbol))
        if fold is None or timeframe not in fold.longer:
            # Its state is in the table, and is folded on from there with the next bar.
            text = f"this worker has read no bar of {symbol}'s partition since it started"
            raise not_ready("NO_BAR_SINCE_START", text)
        return _longer(fold, timeframe, symbol)

    def _seen(self) -> list[LoadedEpoch]:
        """Return the epochs of the partitions of this worker."""
        books = (fold.latest for fold in self._risk.folds() if isinstance(fold, RiskFold))
        signals = (fold for fold in self._signals.folds() if isinstance(fold, SignalFold))
        seen = (*books, *(fold.features.latest for fold in signals))
        return [loaded for loaded in seen if loaded is not None]

    def _features(self, partition: int) -> FeatureFold | None:
        """Return the features of a partition as they stand; None if nothing of it was read here."""
        fold = self._signals.fold_of(partition)
        return fold.features if isinstance(fold, SignalFold) else None

    def epoch(self, digest: str) -> LoadedEpoch:
        """Return an epoch with its models."""
        return self._epochs.load(digest)

    async def decide(self, said: TargetIntent, headers: Mapping[str, str]) -> bytes:
        """Append a target and return its decision, once the broker has it."""
        asked = (said.portfolio, said.intent_id)
        if asked in self._decided:
            return self._decided[asked]
        waiting = self._waiting.get(asked)
        if asked in self._moved:
            refuse_decided(self.book(said.portfolio)[0], said.id)
        if waiting is None:
            if self._aside.is_away:
                return await self._decide_aside(said, headers)
            await self._aside.settled(said.portfolio)
            # Whoever waited beside this one may have asked by now, and have the answer.
            if asked in self._decided:
                return self._decided[asked]
            waiting = self._waiting.get(asked) or self._ask(asked, said, headers)
        return await asyncio.shield(waiting)

    def _ask(
        self, asked: _Asked, said: TargetIntent, headers: Mapping[str, str]
    ) -> "asyncio.Future[bytes]":
        """Append a target; it goes on if the caller gives up: nothing half sent is taken back."""
        refuse_decided(self.book(said.portfolio)[0], said.id)
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[asked] = waiting
        waiting.add_done_callback(lambda _: self._waiting.pop(asked, None))
        self._go_on(self._append(said, headers, waiting))
        return waiting

    async def _decide_aside(self, said: TargetIntent, headers: Mapping[str, str]) -> bytes:
        book, _ = self.book(said.portfolio)
        refuse_decided(book, said.id)
        value = await self._aside.decide(book, said, headers)
        self._remember((said.portfolio, said.intent_id), value)
        return value

    async def _append(
        self, said: TargetIntent, headers: Mapping[str, str], waiting: "asyncio.Future[bytes]"
    ) -> None:
        record = Outgoing(
            self._risk.prefix + PORTFOLIO_EVENTS.name,
            said.portfolio.encode(),
            _JSON.encode(said),
            [(name, value.encode()) for name, value in headers.items()],
            None,
        )
        try:
            with self._aside.watched():
                await producer_of(self._app).append(record)
        except Exception as error:
            log.exception("a target was not appended")
            if not waiting.done():
                text = f"the record could not be appended: {error!r}"
                waiting.set_exception(ProblemError(503, "NOT_APPENDED", text))

    def _hear(self, outputs: list[Output | DeadLetter]) -> None:
        for output in outputs:
            if isinstance(output, DeadLetter):
                self._hear_refusal(output)
            elif output.topic == TRADING_DECISIONS.name:
                self._hear_decision(output.value)
            elif output.topic == PORTFOLIO_SNAPSHOTS.name:
                self._go_on(self._warm((output.key or b"").decode()))

    def _hear_decision(self, value: bytes) -> None:
        # Most decisions are a slot's, which has an empty key, and nobody waits for them.
        if value.endswith(b'"intent_id":""}'):
            return
        named = _NAMED.decode(value)
        asked = (named.portfolio, named.intent_id)
        self._remember(asked, value)
        waiting = self._waiting.get(asked)
        if waiting is not None and not waiting.done():
            waiting.set_result(value)

    def _mark_moved(self) -> None:
        """Mark what waits while partitions go away: another worker may decide it, unheard here."""
        for asked in self._moved & self._waiting.keys():
            if not (waiting := self._waiting[asked]).done():
                text = "its portfolio has moved twice meanwhile: ask again with the same key"
                waiting.set_exception(ProblemError(504, "MOVED_AWAY", text))
                waiting.exception()  # whoever asked may have given up long ago
        self._moved = set(self._waiting)

    def _remember(self, asked: _Asked, value: bytes) -> None:
        self._decided[asked] = value
        if len(self._decided) > MOST_REMEMBERED:
            self._decided.popitem(last=False)

    def _hear_refusal(self, letter: DeadLetter) -> None:
        if not self._waiting:
            return
        try:
            named = _NAMED.decode(letter.raw)
        except msgspec.MsgspecError:
            return  # whatever it is, it is none of ours
        waiting = self._waiting.get((named.portfolio, named.intent_id))
        if waiting is not None and not waiting.done():
            waiting.set_exception(_refused(letter))

    def _hear_features(self, outputs: list[Output | DeadLetter]) -> None:
        """Put the features of longer bars that have just closed where they are asked for."""
        records = (one for one in outputs if not isinstance(one, DeadLetter))
        partitions = {one.partition for one in records if one.partition is not None}
        for partition in sorted(partitions):
            fold = self._features(partition)
            for timeframe in () if fold is None else fold.longer:
                self._go_on(self._warm_longer(partition, timeframe))

    async def _warm_longer(self, partition: int, timeframe: str) -> None:
        fold = self._features(partition)
        if fold is None or fold.latest is None:
            return
        place, closes_ns = (partition, timeframe), fold.closes_ns(timeframe)
        if closes_ns == self._warmed.get(place):
            return
        self._warmed[place] = closes_ns
        version = fold.latest.epoch.pipeline_version
        rows = ((symbol, _longer(fold, timeframe, symbol)) for symbol in fold.places)
        await self._cache.put(
            (CacheKey(symbol, timeframe, version), row) for symbol, row in rows if row is not None
        )

    async def _warm(self, portfolio: str) -> None:
        """Put the features of a bar that was just decided where they are asked for."""
        book, _ = self.book(portfolio)
        until_ns = book.account.kept.bar_ns
        version = self.epoch(book.epoch_digest).epoch.pipeline_version
        rows: list[tuple[CacheKey, CachedRow]] = []
        for symbol in book.account.scenarios.symbols:
            row = book.recent.row(symbol, until_ns)
            if row is not None:
                rows.append((CacheKey(symbol, row.timeframe, version), cached(row)))
        await self._cache.put(rows)

    def parts(self) -> list[Part]:
        """Say how everything is that answers depend on."""
        assigned = bool(consumer_of(self._app).assignment())
        trouble = self._broker_trouble()
        # While it is away, wishes are decided aside for as long as nobody else can decide them.
        is_needed = not self._aside.can_decide
        broker = Part("broker", not trouble, trouble or "answers", is_needed)
        group = Part("assignment", assigned, "has partitions" if assigned else "has none yet")
        return [broker, group, self._books(), self._redis()]

    def _broker_trouble(self) -> str:
        """Say why the broker is not well; a send notices at once, heartbeats without one."""
        if waits := n_waiting():
            return f"{waits} sends wait for it"
        silent_s = clock.monotonic_s() - consumer_of(self._app).member_at_s()
        is_silent = _SILENT_S < silent_s < math.inf
        return f"no heartbeat was answered for {silent_s:.0f} s" if is_silent else ""

    def _books(self) -> Part:
        """Say how the books are, by numbers and codes: whoever asks has not said who he is."""
        models, wrong = set(), []
        for name in self.portfolios():
            try:
                if self.owner(name):
                    continue
                book, _ = self.book(name)
                models.add(self.epoch(book.epoch_digest).epoch.models[:12])
            except ProblemError as error:
                wrong.append(error.code)
            except RecordError as error:
                log.warning("the models of portfolio %s cannot be used: %s", name, error)
                wrong.append("MODELS")
        if wrong:
            detail = f"{len(wrong)} books cannot be used: {', '.join(sorted(set(wrong)))}"
            return Part("books", is_well=False, detail=detail)
        if models:
            said = ", ".join(sorted(models))
            detail = f"decided with models {said}, whose files have that digest"
            return Part("books", is_well=True, detail=detail)
        others = len(self._app.router.tables_metadata()) > 1
        detail = "no portfolio's book is here" if others else "no bar has come yet"
        return Part("books", is_well=others, detail=detail)

    def _redis(self) -> Part:
        trouble = self._cache.trouble
        return Part("redis", not trouble, trouble or "answers", is_needed=False)

    def _partition(self, portfolio: str) -> int:
        return partition_of(portfolio, int(self._app.conf.topic_partitions))

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("serving: a task failed", exc_info=error)


def _longer(fold: FeatureFold, timeframe: str, symbol: str) -> CachedRow | None:
    row = fold.row(timeframe, symbol)
    return None if row is None else CachedRow(row.close_ns, tuple(row.features.tolist()))


def _refused(letter: DeadLetter) -> ProblemError:
    """Return what a caller is told of a record that the book refused."""
    fields = (Wrong(letter.field, None, letter.detail),) if letter.field else ()
    busy = letter.reason in {"TOO_MANY_RECORDS", "OTHER_EPOCH"}
    headers = {"Retry-After": "1"} if busy else {}
    return ProblemError(503 if busy else 422, letter.reason, letter.detail, fields, headers)
