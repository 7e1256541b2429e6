"""``portfolio-events -> trading-decisions, executions, portfolio-snapshots``: the fold of the book.

Table ``book``: one snapshot per portfolio. The only writer of decisions. A slice waits in the
barrier without effect and is not passed as progress until its bar is decided; a JSON record acts
where it stands in the log.
"""

import logging
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from agents.risk_shown import begin, show, show_state
from agents.stage import Output, Reader, Snapshot
from models.features.catalogue import NAMES
from models.risk.account import Account, open_account
from models.risk.barrier import BarKey, Barrier
from models.risk.decide import Row, decide
from models.risk.feed import Fed
from models.risk.limits import AccountRules
from streams import metrics
from streams.dead_letters import DeadLetter, Headers, Origin
from streams.errors import FieldError, RecordError, SliceConflict
from streams.ids import decision_id
from streams.instructions import Instruction, TargetIntent, check_headers, read_instruction
from streams.records import Decision
from streams.slices import Slice
from streams.topics import EXECUTIONS, PORTFOLIO_SNAPSHOTS, TRADING_DECISIONS
from streams.transport import Record
from tables.book import StoredAccount, decode_account, encode_account
from tables.decided import refuse_otherwise, remember
from tables.decisions import (
    Reasons,
    Slot,
    Told,
    decision_event,
    execution_event,
    intent_event,
    snapshot_event,
    void_event,
)
from tables.epochs import Epochs, LoadedEpoch
from tables.instructions import apply_instruction
from tables.recent import RecentBars
from tables.rules import slot_at, terms_of
from tables.stamped import Stamped

log = logging.getLogger("tradewind.risk")

# Bars, or records, after which a snapshot is due; it waits for a pause, or for 64 more steps.
SNAPSHOT_BARS = 16
SNAPSHOT_RECORDS = 512

# Records that may wait for the first slice, which brings the epoch; those of a book not yet open.
MOST_EARLY = 1_000

_JSON = msgspec.json.Encoder()


class _Waiting(NamedTuple):
    """A slice that waits for the others of its bar."""

    offset: int
    slice_: Slice
    rows: list[tuple[Row, Reasons]]
    headers: Headers
    checksum: int


@dataclass(slots=True)
class KeptBook:
    """One portfolio of the partition, with the rules of the epoch that decided last.

    Records below ``stamp`` are in the account already. The slices of the last bar begin at
    ``bar_offset``: a restart reads them again, because questions are answered from them.
    """

    epoch_digest: str
    epoch: int
    slot: Slot
    account: Account
    stamp: int = 0
    barrier: Barrier[_Waiting] = field(default_factory=Barrier)
    recent: RecentBars = field(default_factory=RecentBars)
    bar_offset: int | None = None
    is_dirty: bool = False


@dataclass(slots=True)
class RiskFold:
    """The fold of one partition of ``portfolio-events``."""

    epochs: Epochs
    read: Reader
    portfolios: dict[str, KeptBook] = field(default_factory=dict)
    latest: LoadedEpoch | None = None
    early: list[Record] = field(default_factory=list)
    next_offset: int = 0
    n_since: int = 0
    n_records: int = 0
    shown: set[str] = field(default_factory=set)

    def apply(self, record: Record) -> Iterable[Output | DeadLetter]:
        """Let a slice wait, and decide its bar when it is complete; let a record act at once."""
        place = record.partition
        outputs = [output for said in self.fold(record) for output in _outputs(said, place)]
        if not (record.value or b"").startswith(b"{"):
            waiting = sum(len(book.barrier.waiting) for book in self.portfolios.values())
            metrics.BARRIER_WAITING.labels(place).set(waiting)
        if len(self.shown) < len(self.portfolios):
            self._show_found(place)
        return outputs

    def _show_found(self, place: int) -> None:
        """Show the accounts that were opened, or found again after a restart."""
        for name in sorted(self.portfolios.keys() - self.shown):
            book = self.portfolios[name]
            slot = slot_at(book.slot, book.account, max(book.account.kept.now_ns, 0), book.epoch)
            begin(place, snapshot_event(slot, book.account))
            self.shown.add(name)

    def fold(self, record: Record, slice_: Slice | None = None) -> Iterator[Told | DeadLetter]:
        """Fold one record and yield what is said: before it is bytes, before the account goes on.

        ``slice_`` is that of the record where somebody has read it already.
        """
        self.next_offset = record.offset + 1
        try:
            name = (record.key or b"").decode()
            if (record.value or b"").startswith(b"{"):
                yield from self._instruct(record, name)
            else:
                slice_ = Slice.decode(record.value or b"") if slice_ is None else slice_
                yield from self._take(record, name, slice_)
        except UnicodeDecodeError as error:
            yield _dead(record, RecordError("BAD_KEY", str(error)))
        except RecordError as error:
            yield _dead(record, error)

    def _take(self, record: Record, name: str, slice_: Slice) -> Iterator[Told | DeadLetter]:
        loaded = self.epochs.load(slice_.meta.epoch_digest)
        book = self._portfolio(loaded, name)
        rows = _checked(book.account.rules, slice_)
        self.latest = loaded
        yield from self._act_on_early()
        meta = slice_.meta
        bar = (meta.close_ns, meta.rank)
        place = (meta.partition, meta.chunk)
        checksum = zlib.crc32(record.value or b"")
        waiting = _Waiting(record.offset, slice_, rows, record.headers, checksum)
        standing = book.barrier.held(bar, place)
        if standing is not None and standing.checksum != waiting.checksum:
            raise SliceConflict(f"risk: slice {slice_.key} of {place} came again with other bytes")
        book.recent.take(slice_)
        book.barrier.put(bar, place, record.offset, waiting)
        if bar == book.barrier.decided and book.bar_offset is None:
            book.bar_offset = record.offset
        if meta.chunk == meta.n_chunks - 1:
            book.barrier.complete(bar, meta.partition)
        for decided, slices in book.barrier.take(meta.n_partitions):
            yield self._decide(book, decided, slices)

    def _portfolio(self, loaded: LoadedEpoch, name: str) -> KeptBook:
        book = self.look(name)
        if book is None:
            slot, rules = terms_of(loaded, name)
            account = open_account(slot.portfolio.cash_e16(), slot.lot_sizes, rules)
            book = KeptBook(loaded.digest, 0, slot, account)
        self.portfolios[name] = book
        return book

    def _restored(self, name: str) -> KeptBook | None:
        stamped = self.read(name.encode())
        if stamped is None:
            return None
        stored = decode_account(stamped.state)
        slot, rules = terms_of(self.epochs.load(stored.epoch_digest), name)
        return KeptBook(
            stored.epoch_digest,
            stored.epoch,
            slot,
            Account(stored.kept, rules),
            stamped.next_offset,
            Barrier(stored.decided),
        )

    def look(self, name: str) -> KeptBook | None:
        """Return a portfolio as the records read so far have left it; None if none has come."""
        return self.portfolios.get(name) or self._restored(name)

    def _instruct(self, record: Record, name: str) -> Iterator[Told | DeadLetter]:
        check_headers(record.headers)
        said = read_instruction(record.value or b"")
        kind = type(said).__struct_config__.tag
        if said.portfolio != name:
            raise FieldError(
                "WRONG_KEY", "portfolio", said.portfolio, f"the record's key, {name!r}"
            )
        book = self.look(name)
        if book is None and self.latest is None and len(self.early) < MOST_EARLY:
            self.early.append(record)
            return
        if book is None:
            if self.latest is None:
                raise RecordError("NO_EPOCH", "no bar has come; send it again after the first one")
            book = self._portfolio(self.latest, name)
        self.portfolios[name] = book
        if record.offset < book.stamp:
            return
        # What is refused may have moved time on.
        book.is_dirty = True
        self.n_records += 1
        try:
            yield self._acted(book, said, record.headers)
        except RecordError:
            metrics.PORTFOLIO_RECORDS.labels(kind, "refused").inc()
            raise
        metrics.PORTFOLIO_RECORDS.labels(kind, "taken").inc()

    def _act_on_early(self) -> Iterator[Told | DeadLetter]:
        early, self.early = self.early, []
        for record in early:
            try:
                yield from list(self._instruct(record, (record.key or b"").decode()))
            except RecordError as error:
                yield _dead(record, error)

    def _acted(self, book: KeptBook, said: Instruction, headers: Headers) -> Told:
        account = book.account
        if isinstance(said, TargetIntent) and not account.kept.memory.is_known(said.id):
            _check_origin(book, said)
        refuse_otherwise(account.kept.memory, said)
        applied = apply_instruction(account, said, book.slot.portfolio.currency)
        slot = slot_at(book.slot, account, max(account.kept.now_ns, 0), book.epoch)
        decisions = [] if applied.decided is None else [applied.decided]
        if applied.judged is not None:
            decisions.append(intent_event(slot, applied.judged))
        for decision in decisions:
            remember(account.kept.memory, said.id, decision)
        return Told(slot, account, applied.outcome, decisions, headers)

    def _decide(self, book: KeptBook, bar: BarKey, waiting: list[_Waiting]) -> Told:
        slices = [held.slice_ for held in waiting]
        headers = [*waiting[-1].headers, *_origins(slices)]
        loaded = self.epochs.load(slices[0].meta.epoch_digest)
        if book.epoch_digest != loaded.digest:
            book.slot, rules = terms_of(loaded, book.slot.portfolio.id)
            book.account.adopt(rules)
            book.epoch_digest = loaded.digest
        book.epoch = slices[0].meta.epoch
        book.bar_offset = min(held.offset for held in waiting)
        pairs = sorted((p for held in waiting for p in held.rows), key=lambda p: p[0].symbol)
        reasons = {row.symbol: reason for row, reason in pairs}
        named = (book.slot.portfolio.id, book.slot.timeframe, bar[0])
        rows = [row for row, _ in pairs]
        outcome = decide(
            book.account, bar[0], rows, lambda symbol: decision_id(*named, symbol), _fed(slices)
        )
        book.is_dirty = True
        self.n_since += 1
        slot = slot_at(book.slot, book.account, bar[0], book.epoch)
        events = [decision_event(slot, v, reasons[v.row.symbol]) for v in outcome.verdicts]
        events.extend(_void(loaded, slot, slices))
        return Told(slot, book.account, outcome, events, headers, tuple(slices))

    def due(self) -> bool:
        """Tell whether enough bars were decided, or records taken, for a snapshot."""
        return self.n_since >= SNAPSHOT_BARS or self.n_records >= SNAPSHOT_RECORDS

    def snapshot(self) -> Snapshot:
        """Return the accounts that changed; progress stops before what a restart must read again.

        That is the oldest waiting record, or the last bar of those portfolios that have seen it.
        """
        self.n_since = self.n_records = 0
        states = {}
        for name, book in self.portfolios.items():
            if book.is_dirty:
                stored = StoredAccount(
                    book.barrier.decided, book.epoch_digest, book.epoch, book.account.kept
                )
                encoded = encode_account(stored, book.account.scenarios.earned)
                states[name.encode()] = Stamped(self.next_offset, encoded)
                book.is_dirty = False
        waiting = [book.barrier.oldest_offset() for book in self.portfolios.values()]
        waiting.extend(record.offset for record in self.early[:1])
        newest = max((book.barrier.decided for book in self.portfolios.values()), default=None)
        waiting.extend(
            book.bar_offset for book in self.portfolios.values() if book.barrier.decided == newest
        )
        oldest = min((offset for offset in waiting if offset is not None), default=None)
        return Snapshot(states, self.next_offset if oldest is None else oldest)


def _dead(record: Record, error: RecordError) -> DeadLetter:
    origin = Origin(record.topic, record.partition, record.offset, key=record.key)
    return DeadLetter.of(error, origin, "risk", record.value or b"")


def _check_origin(book: KeptBook, said: TargetIntent) -> None:
    """Refuse what other models wanted than those by which the book goes on."""
    if said.epoch_digest != book.epoch_digest:
        raise FieldError("OTHER_EPOCH", "epoch_digest", said.epoch_digest, book.epoch_digest)
    if len(said.features) != len(NAMES):
        raise FieldError("BAD_FEATURES", "features", len(said.features), f"{len(NAMES)} values")


def _outputs(said: Told | DeadLetter, place: int) -> Iterator[Output | DeadLetter]:
    if isinstance(said, DeadLetter):
        yield said
        return
    slot, headers = said.slot, said.headers
    name = slot.portfolio.id
    key = name.encode()
    for executed in said.outcome.executions:
        event = execution_event(slot, executed)
        yield Output(EXECUTIONS.name, key, _JSON.encode(event), headers)
    _count(said.decisions)
    for decision in said.decisions:
        yield Output(TRADING_DECISIONS.name, key, _JSON.encode(decision), headers)
    for code, about in said.outcome.alerts:
        metrics.RISK_ALERTS.labels(name, code).inc()
        log.error("portfolio %s: %s: %s", name, code, about, extra={"portfolio": name})
    if said.slices:
        snapshot = snapshot_event(slot, said.account)
        show(place, snapshot)
        yield Output(PORTFOLIO_SNAPSHOTS.name, key, _JSON.encode(snapshot), headers)
    else:
        show_state(place, name, said.account.kept.switches.state())


def _checked(rules: AccountRules, slice_: Slice) -> list[tuple[Row, Reasons]]:
    """Return a slice's rows, read once; what a decision could not be made of is refused here."""
    if slice_.n_rows == 0:
        return []
    columns = ("close", "fill_price", "confidence", "target_fraction")
    closes, *numbers = (slice_.floats(name).tolist() for name in columns)
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
    if not all(0 < close < math.inf for close in closes):
        raise RecordError("BAD_PRICE", "a close is not a positive number")
    rows = map(Row, symbols, closes, *numbers)
    return list(zip(rows, map(Reasons, features, regime, weights), strict=True))


def _fed(slices: list[Slice]) -> Fed:
    counts = [slice_.meta.counts for slice_ in slices]
    return Fed(sum(c.n_in for c in counts), sum(c.n_dead for c in counts))


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


def _count(decisions: list[Decision]) -> None:
    said = Counter((each.action, each.approved) for each in decisions)
    for (action, approved), n in said.items():
        metrics.DECISIONS.labels(action, "approved" if approved else "refused").inc(n)
    for code, n in Counter(r.code for each in decisions for r in each.rejection_reasons).items():
        metrics.REJECTIONS.labels(code).inc(n)
    for decision in decisions:
        if decision.approved and decision.quantity > decision.allowed_quantity:
            metrics.RISK_VIOLATIONS.labels(decision.portfolio).inc()
            of = {"portfolio": decision.portfolio, "decision_id": decision.decision_id}
            log.error("decision %s was approved for more than allowed", of["decision_id"], extra=of)
