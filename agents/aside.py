"""Decisions while the log is away: judged on a copy of the book, durable, told to the log later.

``wish -> a copy of the account -> the decision -> the outage buffer -> answer``; when the broker is
back: ``the outage buffer -> portfolio-events``, where the fold takes them over as facts. Only who
owns the portfolio may do so, and no longer than nobody else can have taken it over.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import msgspec

from agents.risk import KeptBook
from models.risk.account import Account
from streams import clock
from streams.away import n_waiting
from streams.errors import FieldError
from streams.instructions import DecidedIntent, TargetIntent
from streams.transport import Outgoing, Producer
from tables.book import StoredAccount, decode_account, encode_account
from tables.decisions import intent_event
from tables.epochs import Epochs
from tables.instructions import apply_instruction
from tables.rules import slot_at, terms_of
from tables.stores.errors import SpillFailed, SpillFull
from tables.stores.spill import Spill
from tables.views.problems import ProblemError, not_ready, wrong_field

log = logging.getLogger("tradewind.aside")

# How often it is looked whether the broker is away or back.
_LOOK_S = 0.1
# A broker that answers takes milliseconds to take a record.
_LATE_S = 0.5
# What a decision aside may take until it is durable, while nobody else may own its portfolio.
_DISK_S = 1.0
# What the fold may take to come to decisions that were told.
_TAKEN_OVER_S = 5.0

_JSON = msgspec.json.Encoder()


@dataclass(slots=True)
class _Copy:
    """A book as it stood when the log went away, with what was decided since, by key.

    ``told_s`` is since when the log has all of it, without an end while it does not.
    """

    book: KeptBook
    decided: set[str] = field(default_factory=set)
    told_s: float = math.inf
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def undo(self, key: str, order_id: str) -> None:
        """Take back a decision that could not be kept: the same wish can come again."""
        account = self.book.account
        order = account.reservations.find(order_id)
        if order is not None:
            account.release(order)
            sent = (order.strategy, order.symbol, order.lots)
            account.kept.flow = account.kept.flow.without(*sent)
        account.kept.memory.ids.pop(key, None)
        self.decided.discard(key)


class Aside:
    """What a worker decides without the log.

    Parameters
    ----------
    spill
        Where decisions are durable until the log has them.
    producer
        The worker's, once it has one.
    topic
        Full name of the books' log.
    epochs
        The documents that decide.
    alone_until_s
        Until when nobody else can have taken a portfolio over, on the monotonic clock; without an
        end if no other worker exists.
    """

    def __init__(
        self,
        spill: Spill,
        producer: Callable[[], Producer],
        topic: str,
        epochs: Epochs,
        alone_until_s: Callable[[], float],
    ) -> None:
        self._spill = spill
        self._producer = producer
        self._topic = topic
        self._epochs = epochs
        self._alone_until_s = alone_until_s
        self._copies: dict[str, _Copy] = {}
        self._late: set[object] = set()

    @property
    def is_away(self) -> bool:
        """Whether sends wait for the broker."""
        return bool(self._late or n_waiting())

    @property
    def can_decide(self) -> bool:
        """Whether nobody else can have taken a portfolio over, so that this worker may decide."""
        return self._late_s() <= 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take the broker for away while what is inside waits for it longer than it should.

        What was handed over cannot be taken back: whoever asked for that one waits, and those who
        come behind are decided aside.
        """
        wait = object()
        late = asyncio.get_running_loop().call_later(_LATE_S, self._late.add, wait)
        try:
            yield
        finally:
            late.cancel()
            self._late.discard(wait)

    def copy_of(self, portfolio: str) -> KeptBook | None:
        """Return the book with what was decided aside; None while the log has all of it."""
        copy = self._copies.get(portfolio)
        return None if copy is None else copy.book

    async def decide(self, book: KeptBook, said: TargetIntent, headers: Mapping[str, str]) -> bytes:
        """Judge a target on the copy of its book, and return its decision once it is durable.

        Raises
        ------
        ProblemError
            503 if the time is over in which nobody else decides, or if nothing can be kept; 504 if
            it was over when the decision was kept.
        """
        self._check_owner()
        copy = self._copies.get(said.portfolio)
        if copy is None:
            copy = self._copies[said.portfolio] = _Copy(self._copied(book))
        record, value = _judged(copy.book, said)
        copy.decided.add(said.id)
        # An append can be late for less than a look, so `settle` may never see the broker away.
        copy.told_s = math.inf
        kept = [(name, text.encode()) for name, text in headers.items()]
        outgoing = Outgoing(self._topic, said.portfolio.encode(), _JSON.encode(record), kept, None)
        try:
            await self._spill.put(outgoing)
        except (SpillFull, SpillFailed) as error:
            # Nobody was answered, so the portfolio waits for no such record to reach the log.
            copy.undo(said.id, record.decision.decision_id)
            if isinstance(error, SpillFull):
                raise not_ready("BUFFER_FULL", str(error), retry_s=5) from error
            raise ProblemError(503, "BUFFER_FAILED", str(error)) from error
        self._check_kept()
        return value

    def _check_kept(self) -> None:
        late_s = clock.monotonic_s() - self._alone_until_s()
        if late_s > 0:
            raise ProblemError(
                504,
                "KEPT_TOO_LATE",
                f"the decision was kept {late_s:.1f} s after another worker may have taken over "
                "the portfolio; it may still happen: ask again with the same key",
            )

    def _check_owner(self) -> None:
        late_s = self._late_s()
        if late_s > 0:
            raise not_ready(
                "BROKER_AWAY",
                f"the broker does not answer, and for {late_s:.1f} s another worker may own the "
                "portfolio, so nothing is decided here",
                retry_s=5,
            )

    def _late_s(self) -> float:
        return clock.monotonic_s() + _DISK_S - self._alone_until_s()

    def _copied(self, book: KeptBook) -> KeptBook:
        stored = StoredAccount(
            book.barrier.decided, book.epoch_digest, book.epoch, book.account.kept
        )
        state = decode_account(encode_account(stored, book.account.scenarios.earned))
        _, rules = terms_of(self._epochs.load(book.epoch_digest), book.slot.portfolio.id)
        log.warning("portfolio %s: decided aside until the broker is back", book.slot.portfolio.id)
        return replace(book, account=Account(state.kept, rules))

    async def settle(self, live: Callable[[str], KeptBook | None]) -> None:
        """Tell the log what was decided aside when the broker is back; run until cancelled.

        ``live`` returns the fold's own book of a portfolio.
        """
        while True:
            if self.is_away:
                for copy in self._copies.values():
                    copy.told_s = math.inf
            else:
                await self.tell()
                self._forget(live)
            await asyncio.sleep(_LOOK_S)

    async def tell(self) -> None:
        """Append what waits to the log; who reads it knows by its id what came before."""
        if self._spill.n_records:
            n = await self._spill.drain(lambda records: self._producer().send_all(records))
            log.warning("%d decisions that were made aside are in the log", n)

    def _forget(self, live: Callable[[str], KeptBook | None]) -> None:
        """Let go the copies whose decisions the fold has taken over.

        All stand in the log before whatever is appended from now on, so a copy that the fold does
        not come to, because it refused a record or because the portfolio has moved away, is let go
        as well when that has taken long.
        """
        now_s = clock.monotonic_s()
        for portfolio, copy in list(self._copies.items()):
            book = live(portfolio)
            copy.told_s = min(copy.told_s, now_s)
            if book is None or not all(map(book.account.kept.memory.is_known, copy.decided)):
                if now_s - copy.told_s < _TAKEN_OVER_S:
                    continue
                log.warning(
                    "portfolio %s: not all of %d decisions aside are in its book %.0f s after they "
                    "were told; see its dead letters",
                    portfolio,
                    len(copy.decided),
                    now_s - copy.told_s,
                )
            del self._copies[portfolio]
            copy.gone.set()

    async def settled(self, portfolio: str) -> None:
        """Return when the log has all that was decided aside."""
        copy = self._copies.get(portfolio)
        if copy is not None:
            await copy.gone.wait()


def _judged(book: KeptBook, said: TargetIntent) -> tuple[DecidedIntent, bytes]:
    try:
        applied = apply_instruction(book.account, said, book.slot.portfolio.currency)
    except FieldError as error:
        raise wrong_field(error) from error
    if applied.judged is None:
        raise ProblemError(409, "DECIDED_BEFORE", f"the key {said.intent_id!r} has its decision")
    slot = slot_at(book.slot, book.account, max(book.account.kept.now_ns, 0), book.epoch)
    decision = intent_event(slot, applied.judged)
    record = DecidedIntent(
        portfolio=said.portfolio,
        ts_event=said.ts_event,
        intent_id=said.intent_id,
        decision=decision,
        strategy=said.strategy,
    )
    return record, _JSON.encode(decision)
