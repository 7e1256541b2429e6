"""Watching a run from outside, as any consumer could: what was decided, how fast, what was wrong.

Reads the run's public topics without a group, so watching changes nothing.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from models.verification import SeenDecision, SeenExecution, SeenSnapshot
from streams import topics
from streams.clock import monotonic_s
from streams.errors import RecordError
from streams.kafka_access import kafka
from streams.records import Rejection, read_json
from streams.slices import Slice
from streams.sources.replay import ORIGIN_HEADER
from streams.timestamps import parse_ns

_NS_PER_MS = 1_000_000
_SLICE_TOPICS = (
    topics.MARKET_BARS,
    topics.FEATURE_SLICES,
    topics.REGIME_PROBABILITIES,
    topics.STRATEGY_WEIGHTS,
    topics.PORTFOLIO_EVENTS,
)


class _Decision(msgspec.Struct):
    timestamp: str
    decision_id: str
    portfolio: str
    symbol: str
    action: str
    quantity: float
    price: float
    approved: bool
    rejection_reasons: list[Rejection]
    note: str
    intent_id: str = ""


class _Execution(msgspec.Struct):
    execution_id: str
    decision_id: str
    portfolio: str
    symbol: str
    kind: str
    side: str
    quantity: float
    price: float
    fee: float
    ts_event: str


class _Snapshot(msgspec.Struct):
    timestamp: str
    portfolio: str
    equity: str


_DECISION = msgspec.json.Decoder(_Decision)
_EXECUTION = msgspec.json.Decoder(_Execution)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)


@dataclass(slots=True)
class Seen:
    """What was seen so far, by portfolio where it belongs to one."""

    slots: set[tuple[int, str]] = field(default_factory=set)
    decisions: dict[str, list[SeenDecision]] = field(default_factory=dict)
    executions: dict[str, list[SeenExecution]] = field(default_factory=dict)
    snapshots: dict[str, list[SeenSnapshot]] = field(default_factory=dict)
    dead_letters: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    rejections: Counter[str] = field(default_factory=Counter)
    slices: dict[str, int] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    decided_ns: int = -1
    first_decision_s: float | None = None


class Observer:
    """Follows one run.

    Parameters
    ----------
    bootstrap_servers, prefix
        Where the run's topics are.
    n_portfolios
        A bar counts as decided when this many snapshots of it were seen.
    keeps
        Whether what was decided is remembered. Without it only progress and dead letters are
        followed, and memory does not grow with the run.
    """

    def __init__(
        self, bootstrap_servers: str, prefix: str, n_portfolios: int, *, keeps: bool = True
    ) -> None:
        self.seen = Seen()
        self._servers = bootstrap_servers
        self._prefix = prefix
        self._n_portfolios = n_portfolios
        self._accounts: Counter[int] = Counter()
        self._progress = asyncio.Event()
        self._failure: Exception | None = None
        self._handlers: dict[str, Callable[[ConsumerRecord], None]] = {
            prefix + topics.PORTFOLIO_SNAPSHOTS.name: self._on_progress,
            prefix + topics.DEAD_LETTERS.name: self._on_dead_letter,
        }
        if keeps:
            self._handlers |= {
                prefix + topics.MARKET_BARS.name: self._on_bars,
                prefix + topics.TRADING_DECISIONS.name: self._on_decision,
                prefix + topics.EXECUTIONS.name: self._on_execution,
                prefix + topics.PORTFOLIO_SNAPSHOTS.name: self._on_snapshot,
            }

    async def follow(self) -> None:
        """Read until cancelled."""
        consumer = AIOKafkaConsumer(
            *self._handlers, **kafka(self._servers), auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            while True:
                fetched = await consumer.getmany(timeout_ms=200)
                for partition, records in fetched.items():
                    handle = self._handlers[partition.topic]
                    for record in records:
                        handle(record)
                self._progress.set()
        except Exception as error:
            self._failure = error
            raise
        finally:
            self._progress.set()
            await consumer.stop()

    async def decided(self, close_ns: int, *, patience_s: float) -> None:
        """Wait until the bar of ``close_ns`` is decided.

        Raises
        ------
        TimeoutError
            If nothing more was decided for ``patience_s``.
        Exception
            What ended :meth:`follow`: nothing will ever be seen again.
        """
        while self.seen.decided_ns < close_ns:
            before = self.seen.decided_ns
            async with asyncio.timeout(patience_s):
                while self.seen.decided_ns == before:
                    if self._failure is not None:
                        raise self._failure
                    self._progress.clear()
                    await self._progress.wait()

    async def count_slices(self, consumer: AIOKafkaConsumer, n_partitions: int) -> None:
        """Read how many slices each stage has sent, from the ends of its topic."""
        for spec in _SLICE_TOPICS:
            name = self._prefix + spec.name
            ends = await consumer.end_offsets(
                [TopicPartition(name, partition) for partition in range(n_partitions)]
            )
            self.seen.slices[spec.name] = sum(ends.values())

    def _on_bars(self, record: ConsumerRecord) -> None:
        try:
            slice_ = Slice.decode(record.value or b"")
        except RecordError:
            return  # of a stranger; the features stage makes it a dead letter
        close_ns = slice_.meta.close_ns
        self.seen.slots.update((close_ns, symbol) for symbol in slice_.symbols())

    def _on_decision(self, record: ConsumerRecord) -> None:
        said = read_json(_DECISION, record.value or b"")
        seen = self.seen
        if seen.first_decision_s is None:
            seen.first_decision_s = monotonic_s()
        decision = SeenDecision(
            parse_ns(said.timestamp),
            said.symbol,
            said.decision_id,
            hashlib.sha256(record.value).digest(),
            said.action,
            said.quantity,
            said.approved,
            said.price,
            is_slot=not said.intent_id,
        )
        seen.decisions.setdefault(said.portfolio, []).append(decision)
        seen.verdicts[_verdict(said)] += 1
        for rejection in said.rejection_reasons:
            seen.rejections[rejection.code] += 1
        origin_ns = next((v for k, v in record.headers if k == ORIGIN_HEADER), None)
        if origin_ns is not None:
            seen.latencies_ms.append(record.timestamp - int(origin_ns) / _NS_PER_MS)

    def _on_execution(self, record: ConsumerRecord) -> None:
        said = read_json(_EXECUTION, record.value or b"")
        self.seen.executions.setdefault(said.portfolio, []).append(
            SeenExecution(
                parse_ns(said.ts_event),
                said.execution_id,
                said.decision_id,
                said.symbol,
                said.kind,
                said.side,
                said.quantity,
                said.price,
                said.fee,
            )
        )

    def _on_snapshot(self, record: ConsumerRecord) -> None:
        said = read_json(_SNAPSHOT, record.value or b"")
        close_ns = parse_ns(said.timestamp)
        self.seen.snapshots.setdefault(said.portfolio, []).append(
            SeenSnapshot(close_ns, said.equity)
        )
        self._count(close_ns)

    def _on_progress(self, record: ConsumerRecord) -> None:
        if self.seen.first_decision_s is None:
            self.seen.first_decision_s = monotonic_s()
        self._count(parse_ns(read_json(_SNAPSHOT, record.value or b"").timestamp))

    def _count(self, close_ns: int) -> None:
        self._accounts[close_ns] += 1
        if self._accounts[close_ns] >= self._n_portfolios:
            self.seen.decided_ns = max(self.seen.decided_ns, close_ns)
            del self._accounts[close_ns]

    def _on_dead_letter(self, record: ConsumerRecord) -> None:
        headers = dict(record.headers)
        self.seen.dead_letters[headers.get("reason", b"?").decode()] += 1


def _verdict(said: _Decision) -> str:
    if said.note:
        return said.note.lower().replace("_", " ")
    if said.action == "HOLD":
        return "hold"
    return f"{said.action.lower()} {'approved' if said.approved else 'refused'}"
