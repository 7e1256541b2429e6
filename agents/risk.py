"""``portfolio-events -> trading-decisions, executions, portfolio-snapshots``: the fold of the book.

Table ``book``: one snapshot per portfolio. The only writer of decisions. A slice waits in the
barrier without effect and is not passed as progress until its bar is decided.
"""

import hashlib
import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from agents.stage import Output, Reader, Snapshot
from models.features.catalogue import NAMES
from models.risk.barrier import BarKey, Barrier
from models.risk.decide import AccountRules, AccountState, Outcome, Row, decide, initial_state
from models.risk.limits import RiskLimits
from streams import metrics
from streams.dead_letters import DeadLetter, Headers, Origin
from streams.epochs import Portfolio
from streams.errors import RecordError, SliceConflict
from streams.records import Decision, Digests
from streams.slices import Slice
from streams.topics import EXECUTIONS, PORTFOLIO_SNAPSHOTS, TRADING_DECISIONS
from streams.transport import Record
from tables.book import decode_account, encode_account
from tables.decisions import (
    CONTRACT,
    Reasons,
    Slot,
    decision_event,
    execution_event,
    snapshot_event,
    void_event,
)
from tables.epochs import Epochs, LoadedEpoch
from tables.stamped import Stamped

# Bars after which a snapshot is due; it waits for a pause, or for 64 more steps.
SNAPSHOT_BARS = 16

_JSON = msgspec.json.Encoder()


class _Waiting(NamedTuple):
    """A slice that waits for the others of its bar."""

    slice_: Slice
    rows: list[tuple[Row, Reasons]]
    headers: Headers
    checksum: int


@dataclass(slots=True)
class _Account:
    """One portfolio of the partition, with the rules of the epoch that decided last."""

    epoch_digest: str
    slot: Slot
    rules: AccountRules
    state: AccountState
    barrier: Barrier[_Waiting] = field(default_factory=Barrier)
    is_dirty: bool = False


@dataclass(slots=True)
class RiskFold:
    """The fold of one partition of ``portfolio-events``."""

    epochs: Epochs
    read: Reader
    accounts: dict[str, _Account] = field(default_factory=dict)
    next_offset: int = 0
    n_since: int = 0

    def apply(self, record: Record) -> Iterable[Output | DeadLetter]:
        """Let a slice wait; when its bar is complete, decide it."""
        self.next_offset = record.offset + 1
        try:
            slice_ = Slice.decode(record.value or b"")
            loaded = self.epochs.load(slice_.meta.epoch_digest)
            account = self._account(loaded, (record.key or b"").decode())
            rows = _checked(account.rules, slice_)
        except (RecordError, UnicodeDecodeError) as error:
            refused = (
                error if isinstance(error, RecordError) else RecordError("BAD_KEY", str(error))
            )
            origin = Origin(record.topic, record.partition, record.offset)
            return (DeadLetter.of(refused, origin, "risk", record.value or b""),)
        meta = slice_.meta
        bar = (meta.close_ns, meta.rank)
        place = (meta.partition, meta.chunk)
        waiting = _Waiting(slice_, rows, record.headers, zlib.crc32(record.value or b""))
        standing = account.barrier.held(bar, place)
        if standing is not None and standing.checksum != waiting.checksum:
            raise SliceConflict(f"risk: slice {slice_.key} of {place} came again with other bytes")
        account.barrier.put(bar, place, record.offset, waiting)
        if meta.chunk == meta.n_chunks - 1:
            account.barrier.complete(bar, meta.partition)
        outputs: list[Output] = []
        for decided, slices in account.barrier.take(meta.n_partitions):
            outputs.extend(self._decide(account, decided, slices))
        metrics.BARRIER_WAITING.set(sum(len(a.barrier.waiting) for a in self.accounts.values()))
        return outputs

    def _account(self, loaded: LoadedEpoch, name: str) -> _Account:
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = self._restore(loaded, name)
        return account

    def _restore(self, loaded: LoadedEpoch, name: str) -> _Account:
        slot, rules = _rules(loaded, name)
        stamped = self.read(name.encode())
        if stamped is None:
            state = initial_state(slot.portfolio.cash_e16(), slot.lot_sizes, rules)
            return _Account(loaded.digest, slot, rules, state)
        decided, state = decode_account(stamped.state)
        return _Account(loaded.digest, slot, rules, state, Barrier(decided))

    def _decide(self, account: _Account, bar: BarKey, waiting: list[_Waiting]) -> Iterator[Output]:
        slices = [held.slice_ for held in waiting]
        headers = [*waiting[-1].headers, *_origins(slices)]
        loaded = self.epochs.load(slices[0].meta.epoch_digest)
        if account.epoch_digest != loaded.digest:
            account.slot, account.rules = _rules(loaded, account.slot.portfolio.id)
            account.epoch_digest = loaded.digest
        reasons = {}
        rows = []
        pairs = (pair for held in waiting for pair in held.rows)
        for row, reason in sorted(pairs, key=lambda pair: pair[0].symbol):
            rows.append(row)
            reasons[row.symbol] = reason
        account.state, outcome = decide(account.state, account.rules, bar[0], rows)
        account.is_dirty = True
        self.n_since += 1
        slot = account.slot._replace(close_ns=bar[0], epoch=slices[0].meta.epoch)
        events = [decision_event(slot, v, reasons[v.row.symbol]) for v in outcome.verdicts]
        events.extend(_void(loaded, slot, slices))
        yield from self._outputs(slot, account, outcome, events, headers)

    def _outputs(
        self,
        slot: Slot,
        account: _Account,
        outcome: Outcome,
        events: list[Decision],
        headers: Headers,
    ) -> Iterator[Output]:
        key = slot.portfolio.id.encode()
        for executed in outcome.executions:
            event = execution_event(slot, executed)
            yield Output(EXECUTIONS.name, key, _JSON.encode(event), headers)
        for decision in events:
            _count(decision)
            yield Output(TRADING_DECISIONS.name, key, _JSON.encode(decision), headers)
        snapshot = snapshot_event(slot, account.state)
        metrics.EQUITY.labels(slot.portfolio.id).set(float(snapshot.equity))
        yield Output(PORTFOLIO_SNAPSHOTS.name, key, _JSON.encode(snapshot), headers)

    def due(self) -> bool:
        """Tell whether enough bars were decided for a snapshot."""
        return self.n_since >= SNAPSHOT_BARS

    def snapshot(self) -> Snapshot:
        """Return the accounts that changed; progress stops before the oldest waiting slice."""
        self.n_since = 0
        states = {}
        for name, account in self.accounts.items():
            if account.is_dirty:
                encoded = encode_account(account.barrier.decided, account.state)
                states[name.encode()] = Stamped(self.next_offset, encoded)
                account.is_dirty = False
        waiting = (account.barrier.oldest_offset() for account in self.accounts.values())
        oldest = min((offset for offset in waiting if offset is not None), default=None)
        return Snapshot(states, self.next_offset if oldest is None else oldest)


def _rules(loaded: LoadedEpoch, name: str) -> tuple[Slot, AccountRules]:
    portfolio = next((p for p in loaded.epoch.portfolios if p.id == name), None)
    if portfolio is None:
        raise RecordError("UNKNOWN_PORTFOLIO", f"{name!r} is not in the epoch")
    limits = RiskLimits(**msgspec.structs.asdict(portfolio.limits))
    universe = tuple(sorted(portfolio.universe)) or loaded.epoch.symbols()
    costs = portfolio.costs
    return _slot(loaded, portfolio), AccountRules(
        universe, limits, costs.slippage_bps, costs.fee_bps, portfolio.order_expiry_bars
    )


def _slot(loaded: LoadedEpoch, portfolio: Portfolio) -> Slot:
    """Return what all bars of an epoch share; each bar adds its close and the epoch's number."""
    epoch = loaded.epoch
    digests = Digests(
        schema=CONTRACT,
        feature_pipeline=epoch.pipeline_digest,
        models=epoch.models,
        limits=hashlib.sha256(_JSON.encode(portfolio.limits)).hexdigest(),
        universe=hashlib.sha256(_JSON.encode(epoch.symbols())).hexdigest(),
    )
    lot_sizes = {instrument.id: instrument.lot_size_e8() for instrument in epoch.instruments}
    return Slot(portfolio, epoch.timeframe, 0, 0, digests, lot_sizes)


def _checked(rules: AccountRules, slice_: Slice) -> list[tuple[Row, Reasons]]:
    """Return a slice's rows, read once; what a decision could not be made of is refused here."""
    if slice_.n_rows == 0:
        return []
    columns = ("close", "fill_price", "confidence", "target_fraction")
    numbers = zip(*(slice_.floats(name).tolist() for name in columns), strict=True)
    features, regime, weights = (
        slice_.matrix(name).tolist() for name in ("features", "regime", "weights")
    )
    symbols = slice_.symbols()
    unknown = set(symbols) - set(rules.symbols)
    if unknown:
        raise RecordError("UNKNOWN_SYMBOL", f"{min(unknown)!r} is not in the portfolio's universe")
    widths = (len(features[0]), len(regime[0]), len(weights[0]))
    if widths != (len(NAMES), 4, 3):
        raise RecordError("BAD_COLUMN", f"lists of {widths}; expected {(len(NAMES), 4, 3)}")
    rows = [Row(symbol, *values) for symbol, values in zip(symbols, numbers, strict=True)]
    if not all(math.isfinite(row.close) and row.close > 0 for row in rows):
        raise RecordError("BAD_PRICE", "a close is not a positive number")
    return [(row, Reasons(NAMES, features[i], regime[i], weights[i])) for i, row in enumerate(rows)]


def _origins(slices: list[Slice]) -> Headers:
    """Say from which ticks a bar was made: what differs between runs stays out of the values."""
    offsets = ",".join(
        f"{s.meta.partition}:{s.meta.first_offset}-{s.meta.last_offset}" for s in slices
    )
    return [("source-offsets", offsets.encode()), ("epoch", str(slices[0].meta.epoch).encode())]


def _void(loaded: LoadedEpoch, slot: Slot, slices: list[Slice]) -> Iterator[Decision]:
    universe = slot.portfolio.universe or loaded.epoch.symbols()
    for slice_ in slices:
        meta = slice_.meta
        if meta.void:
            for symbol in loaded.epoch.chunks(meta.partition)[meta.chunk]:
                if symbol in universe:
                    yield void_event(slot, symbol, meta.void)


def _count(decision: Decision) -> None:
    verdict = "approved" if decision.approved else "refused"
    metrics.DECISIONS.labels(decision.action, verdict).inc()
    for rejection in decision.rejection_reasons:
        metrics.REJECTIONS.labels(rejection.code).inc()
