"""The walk along the book's log: what each of its records must have caused, in its order.

``portfolio-events`` is the one order of everything that changes an account. A bar is decided where
its last partition has delivered it; a record of people or venues acts where it stands. At each of
them the next decisions, executions and accounts are taken, and judged at that prefix.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.chaos.judge.changes import CHANGES
from tests.chaos.judge.documents import Documents, Epoch
from tests.chaos.judge.exact import intent_id, rounded, time_ns, time_text
from tests.chaos.judge.intents import shown
from tests.chaos.judge.ledger import Account
from tests.chaos.judge.letters import Letter, Letters
from tests.chaos.judge.limits import Asked, check_order
from tests.chaos.judge.order import Order
from tests.chaos.judge.record import Record, Slice, read_object, read_slice
from tests.chaos.judge.refused_records import REASONS, Refusal, excuse, excuse_of_slice
from tests.chaos.judge.said import Body, Item, Said
from tests.chaos.judge.slots import Slots
from tests.chaos.judge.verdict import Verdict

_STAGE = "risk"

# Days of the book for which an id is known.
_DAYS_KEPT = 2

# What a record is known by; changes by people share one field. A target that was decided aside is
# known by the key of the target.
_INTENTS = ("order_intent", "target_intent")
_ID_OF = dict.fromkeys((*_INTENTS, "decided_intent"), "intent_id") | {
    "venue_execution": "execution_id"
}

# What no book can take may be refused for.
_OF_NOBODY = ("NOT_JSON", "WRONG_TYPE", "BAD_KEY", "UNKNOWN_PORTFOLIO", "WRONG_KEY", "NO_EPOCH")


class Outputs(NamedTuple):
    """What risk said into the partition of the same number."""

    decisions: Said
    executions: Said
    snapshots: Said


class Kept(NamedTuple):
    """What the judge keeps of the whole run."""

    documents: Documents
    letters: Letters
    slots: Slots
    order: Order


class Desk:
    """One portfolio on the walk: its account, and the slices that wait for their bar.

    ``bar_ns`` is the close of its last bar; ``is_ahead`` is set once a running run has not yet said
    what came of a bar. ``is_as_at_bar`` is set as long as nothing but decisions made aside has
    changed the account since that bar.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.bar_ns = -1
        self.is_ahead = False
        self.is_as_at_bar = False
        self.known: dict[tuple[str, str], int] = {}
        self.waiting: dict[int, dict[tuple[int, int], Slice]] = {}
        self.delivered: dict[int, int] = {}

    def ready(self, n_partitions: int) -> list[int]:
        """Return the closes that every partition has delivered or gone past, in order."""
        if len(self.delivered) < n_partitions:
            return []
        reached = min(self.delivered.values())
        return sorted(close for close in self.waiting if close <= reached)


class Book:
    """The walk along one partition of ``portfolio-events``."""

    def __init__(
        self,
        outputs: Outputs,
        kept: Kept,
        verdict: Verdict,
        *,
        is_running: bool,
    ) -> None:
        self._out, self._verdict, self._is_running = outputs, verdict, is_running
        self._documents, self._letters, self._slots, self._sequence = kept
        self._early: list[Record] = []
        self._epoch: Epoch | None = None
        self.desks: dict[str, Desk] = {}

    def take(self, record: Record) -> None:
        """Walk one record further."""
        if (record.value or b"").startswith(b"{"):
            if self._epoch is None:
                # What comes before the first bar acts with it: only then there is an epoch.
                self._early.append(record)
            else:
                self._instruct(record)
            return
        slice_ = read_slice(record)
        letter = self._letters.get(_STAGE, record)
        if letter is not None:
            name = (record.key or b"").decode(errors="replace")
            epoch = None if slice_ is None else self._documents.epoch(slice_.meta["epoch_digest"])
            self._tell(letter, excuse_of_slice(letter.reason, slice_, name, epoch))
        elif slice_ is None:
            self._verdict.flow.broken(record.place, "neither slice nor JSON", "a dead letter")
        else:
            self._wait(slice_, record)

    def _tell(self, letter: Letter, expected: str) -> None:
        """Note a refusal without reason."""
        if expected:
            self._verdict.flow.broken(letter.record.place, letter.reason, expected)

    def finish(self) -> None:
        """Look for records that nothing in the log has caused."""
        for item in self._out.decisions.left():
            desk = self.desks.get(item.said["portfolio"])
            if desk is not None and desk.is_ahead:
                continue
            if desk is None or item.said.get("intent_id"):
                found = f"decision on {item.said['symbol']}, which nothing in the log asks for"
                self._verdict.slots.broken(item.record.place, found, "no such record")
            else:
                self._slots.decided(desk.account.portfolio, item.said, item.record)
        for said in (self._out.executions, self._out.snapshots):
            for item in said.left():
                desk = self.desks.get(item.said["portfolio"])
                if desk is None or not desk.is_ahead:
                    found = f"{item.said['event_type']}, which nothing in the log causes"
                    self._verdict.ledger.broken(item.record.place, found, "no such record")

    def _desk(self, name: str, epoch: Epoch) -> Desk:
        desk = self.desks.get(name)
        if desk is None:
            account = Account(epoch.portfolios[name], self._verdict.ledger)
            desk = self.desks[name] = Desk(account)
        return desk

    def _wait(self, slice_: Slice, record: Record) -> None:
        """Let a slice wait; decide all bars that are complete with it."""
        meta, name = slice_.meta, (record.key or b"").decode(errors="replace")
        self._epoch = self._documents.epoch(meta["epoch_digest"])
        if name not in self._epoch.portfolios:
            self._verdict.flow.broken(record.place, f"key {name!r}", "a portfolio of the epoch")
            return
        desk = self._desk(name, self._epoch)
        early, self._early = self._early, []
        for before in early:
            self._instruct(before)
        close_ns = meta["close_ns"]
        if close_ns > desk.bar_ns:
            place = (meta["partition"], meta["chunk"])
            desk.waiting.setdefault(close_ns, {}).setdefault(place, slice_)
        if slice_.is_last_chunk:
            before_ns = desk.delivered.get(meta["partition"], -1)
            desk.delivered[meta["partition"]] = max(before_ns, close_ns)
        for ready_ns in desk.ready(meta["n_partitions"]):
            self._decide(desk, ready_ns, list(desk.waiting.pop(ready_ns).values()))

    def _decide(self, desk: Desk, close_ns: int, slices: list[Slice]) -> None:
        """Judge one bar of one portfolio: executions, prices, orders, and the account after it."""
        account, name = desk.account, desk.account.portfolio.id
        if desk.is_ahead or (self._is_running and self._out.snapshots.next(name) is None):
            desk.is_ahead = True
            return
        desk.bar_ns, desk.is_as_at_bar = close_ns, True
        first = min(slices, key=lambda s: (s.meta["partition"], s.meta["chunk"]))
        account.portfolio = self._documents.epoch(first.meta["epoch_digest"]).portfolios[name]
        account.time_comes(close_ns)
        self._look_at_voids(name, close_ns, slices)
        if any(slice_.batch.num_rows for slice_ in slices):
            for item in self._of_bar(self._out.executions, name, "ts_event", close_ns):
                account.execute(item.said, item.record)
            account.age(f"executions, portfolio {name}, {time_text(close_ns)}", close_ns)
        decisions = self._of_bar(self._out.decisions, name, "timestamp", close_ns)
        for item in decisions:
            if item.said["price"] > 0:
                account.mark(item.said["symbol"], item.said["price"])
        for item in decisions:
            self._slots.decided(account.portfolio, item.said, item.record)
            self._order(account, item, 0, close_ns)
        self._snapshot(account, close_ns)

    def _look_at_voids(self, name: str, close_ns: int, slices: list[Slice]) -> None:
        """Take note of slices that could not be used; each has a dead letter that says why."""
        for void in sorted({slice_.meta["void"] for slice_ in slices} - {""}):
            self._slots.voided(name, close_ns)
            if void not in self._letters.voids:
                where = f"portfolio {name}, {time_text(close_ns)}"
                self._verdict.flow.broken(where, f"a void slice: {void}", "its dead letter")

    def _of_bar(self, said: Said, portfolio: str, when: str, close_ns: int) -> list[Item]:
        """Take what is said at a bar, and what came too late for an earlier one."""
        found = []
        while (item := said.next(portfolio)) is not None:
            is_of_record = item.said.get("venue_kind") or item.said.get("intent_id")
            if time_ns(item.said[when]) > close_ns or is_of_record:
                break
            found.append(said.take(portfolio))
        return found

    def _order(
        self, account: Account, item: Item, price: int, placed_ns: int, *, is_judged: bool = True
    ) -> None:
        """Judge a decision's order, and open it."""
        said = item.said
        if not said["approved"] or said["action"] == "HOLD":
            return
        try:
            lots = account.lots(said["symbol"], said["quantity"])
        except (KeyError, ValueError) as error:
            self._verdict.ledger.broken(item.record.place, error, "whole lots of a known symbol")
            return
        asked = Asked(said["symbol"], lots if said["action"] == "BUY" else -lots, price)
        if is_judged:
            check_order(account, asked, item.record, self._verdict.limits)
        account.approve(said["decision_id"], asked.symbol, asked.lots, placed_ns)

    def _snapshot(self, account: Account, close_ns: int) -> None:
        """Compare with the account that is published after the bar."""
        ledger, name = self._verdict.ledger, account.portfolio.id
        while (item := self._out.snapshots.next(name)) is not None:
            at_ns = time_ns(item.said["timestamp"])
            if at_ns > close_ns:
                break
            self._out.snapshots.take(name)
            if at_ns == close_ns:
                account.compare(item.said, item.record)
                return
            ledger.broken(item.record.place, item.said["timestamp"], f"{time_text(close_ns)} next")
        where = f"portfolio-snapshots, portfolio {name}"
        ledger.broken(where, "no account", f"one at {time_text(close_ns)}")

    def _instruct(self, record: Record) -> None:
        """Let a JSON record act where it stands, once for each id."""
        name = (record.key or b"").decode(errors="replace")
        said = read_object(record.value)
        letter = self._letters.get(_STAGE, record)
        if said is None or self._epoch is None or name not in self._epoch.portfolios:
            if letter is None or letter.reason not in _OF_NOBODY:
                found = "no dead letter" if letter is None else letter.reason
                self._verdict.flow.broken(record.place, found, f"one of {', '.join(_OF_NOBODY)}")
            return
        desk = self._desk(name, self._epoch)
        if letter is not None:
            refusal = Refusal(name, said, desk.account, desk.known)
            self._tell(letter, excuse(letter.reason, refusal))
            return
        try:
            self._act(desk, said, record)
        except (KeyError, TypeError, ValueError) as error:
            found = f"{said.get('record')!r} without dead letter: {error!r}"
            self._verdict.flow.broken(record.place, found, "a record that a book can take")

    def _act(self, desk: Desk, said: dict[str, Any], record: Record) -> None:
        """Let a record act that was not refused."""
        kind, account = said["record"], desk.account
        if kind not in REASONS:
            raise ValueError("no such record")
        key = (_ID_OF.get(kind, "change_id"), said[_ID_OF.get(kind, "change_id")])
        if desk.is_ahead or self._is_known(desk, kind, key):
            return
        if desk.bar_ns >= 0:
            latest_ns = desk.bar_ns + account.portfolio.epoch.timeframe_ns
            account.time_comes(min(time_ns(said["ts_event"]), latest_ns))
        day = max(account.portfolio.day(time_ns(said["ts_event"])), account.day)
        desk.known[key] = day
        if kind == "decided_intent":
            self._decided(desk, said, record, day)
            return
        desk.is_as_at_bar = False
        if kind in _INTENTS:
            self._intent(account, said, record, day)
        elif kind == "venue_execution":
            self._venue(account, said, record)
        else:
            if kind == "split":
                self._take_executions(account, lambda e: e.get("venue_kind") == "split")
            CHANGES[kind](account, said)

    def _is_known(self, desk: Desk, kind: str, key: tuple[str, str]) -> bool:
        """Tell whether a record was taken; all but executions are forgotten after two days."""
        taken_on = desk.known.get(key)
        if taken_on is None:
            return False
        return kind == "venue_execution" or taken_on > desk.account.day - _DAYS_KEPT

    def _intent(self, account: Account, said: dict[str, Any], record: Record, day: int) -> None:
        """Take the decision about an order or a target that the book takes on a day."""
        item = self._answer(account, said, record, range(day, day + 1))
        if item is None:
            return
        for name, (found, wanted) in shown(said, item.said).items():
            self._verdict.slots.equal(item.record.place, name, found, wanted)
        if said.get("is_checked") is False and item.said["approved"]:
            self._verdict.limits.broken(item.record.place, "approved", "refused: risk is not asked")
        placed_ns = max(time_ns(said["ts_event"]), account.bar_ns + 1)
        self._order(account, item, rounded(said.get("price") or 0), placed_ns)

    def _decided(self, desk: Desk, said: dict[str, Any], record: Record, day: int) -> None:
        """Take over a decision that was made aside: said as it was, on a day that was not later.

        Its limits were those of the copy on which it was made. Where that copy was the account as
        it is here, they are looked at; else it is a fact that nothing here can be held against.
        """
        account, decision = desk.account, said["decision"]
        first = min(account.portfolio.day(time_ns(said["ts_event"])), day)
        item = self._answer(account, said, record, range(first, day + 1))
        if item is None:
            return
        for field in sorted(item.said.keys() | decision.keys()):
            found, wanted = item.said.get(field), decision.get(field)
            self._verdict.slots.equal(item.record.place, field, found, wanted)
        name, at = account.portfolio.id, item.said["timestamp"]
        self._sequence.aside(name, item.said["decision_id"], at, item.record)
        at_ns, bar_ns = time_ns(at), desk.bar_ns
        is_now = bar_ns < at_ns <= bar_ns + account.portfolio.epoch.timeframe_ns
        placed_ns = max(time_ns(said["ts_event"]), account.bar_ns + 1)
        is_judged = desk.is_as_at_bar and is_now
        self._order(account, item, 0, placed_ns, is_judged=is_judged)

    def _answer(
        self, account: Account, said: dict[str, Any], record: Record, days: range
    ) -> Item | None:
        """Take the next decision, which must be that about an intent, taken on one of the days."""
        name, slots = account.portfolio.id, self._verdict.slots
        slots.n_checked += 1
        item = self._out.decisions.next(name)
        ids = {intent_id(name, said["intent_id"], day) for day in days}
        if item is None or item.said["decision_id"] not in ids:
            found = "none" if item is None else f"{item.record.place} on {item.said['symbol']}"
            slots.broken(record.place, f"next decision {found}", f"one on {said['intent_id']}")
            return None
        return self._out.decisions.take(name)

    def _venue(self, account: Account, said: dict[str, Any], record: Record) -> None:
        """Take what a venue's execution became: one execution, two of a correction, or none."""
        wanted = said["execution_id"]
        n = self._take_executions(account, lambda e: e.get("venue_execution_id") == wanted)
        if n == 0 and said["kind"] in {"fill", "partial_fill"}:
            found = f"no execution of the venue's {wanted}"
            self._verdict.ledger.broken(record.place, found, "it on executions, or a dead letter")

    def _take_executions(self, account: Account, is_wanted: Callable[[Body], bool]) -> int:
        name, n = account.portfolio.id, 0
        while (item := self._out.executions.next(name)) is not None and is_wanted(item.said):
            self._out.executions.take(name)
            account.execute(item.said, item.record)
            n += 1
        return n
