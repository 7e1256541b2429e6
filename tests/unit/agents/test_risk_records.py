"""Records in the book's log: they act where they stand, once, whatever is restarted."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.risk import MOST_EARLY, SNAPSHOT_RECORDS
from models.portfolio import ledger
from models.risk.sessions import DAY_NS
from streams.epochs import Portfolio
from streams.ids import decision_id, intent_decision_id
from streams.transport import Record
from tests.builders import FREE, MIDNIGHT, MINUTE, Run, Sent, letters, outputs, reasons, record
from tests.unit.agents.test_risk import SYMBOLS, World, all_at, read

ONE, TWO = SYMBOLS[0], SYMBOLS[1]
CHANGE = {"actor": "ann", "role": "admin", "reason": "test"}


class Book(World):
    """A book whose log holds records as well."""

    def say(self, kind: str, key: str = "main", /, **fields: Any) -> Record:  # noqa: ANN401  any field
        """Build a record at the next offset."""
        self.offset += 1
        said = {"record": kind, "portfolio": "main", "ts_event": MIDNIGHT, **fields}
        return record(
            said,
            self.offset - 1,
            key=key.encode(),
            headers=[("trace", b"t")],
            topic="portfolio-events",
        )

    def intent(self, number: int, symbol: str = ONE, **changes: Any) -> Record:  # noqa: ANN401  any field
        """Build an intent to buy ten lots."""
        fields = {"intent_id": f"k{number}", "symbol": symbol, "side": "BUY", "quantity": 10}
        return self.say("order_intent", **(fields | changes))

    def switch(self, number: int, action: str, **changes: Any) -> Record:  # noqa: ANN401  any field
        """Build a kill switch."""
        fields = {"change_id": f"c{number}", "action": action} | CHANGE
        return self.say("trading_state", **(fields | changes))

    def fill(self, number: int, of: str, **changes: Any) -> Record:  # noqa: ANN401  any field
        """Build a venue's fill of an order of ONE."""
        fields = {
            "execution_id": f"e{number}",
            "decision_id": of,
            "symbol": ONE,
            "kind": "fill",
            "side": "BUY",
            "quantity": 10,
            "price": 100,
            "fee": 0.5,
            "currency": "USD",
            "venue": "X",
        }
        return self.say("venue_execution", **(fields | changes))

    def give(self, *records: Record) -> list[Sent]:
        """Fold records."""
        return self.run.take(records)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """Give a paper book that has seen three bars."""
    warm = Book(tmp_path)
    warm.warm()
    return warm


@pytest.fixture
def external(tmp_path: Path) -> Book:
    """Give a book at an external venue that has seen three bars."""
    warm = Book(tmp_path, portfolios=(Portfolio(id="main", limits=FREE, venue="external"),))
    warm.warm()
    return warm


def test_intent_when_it_comes_then_is_decided_at_once(book: Book) -> None:
    """One decision with its own id, the record's headers, and the account's time."""
    (sent,) = book.give(book.intent(1))
    (decision,) = read([sent])
    assert decision["decision_id"] == intent_decision_id("main", "k1", MIDNIGHT // DAY_NS - 1)
    assert (decision["intent_id"], decision["approved"], decision["quantity"]) == ("k1", True, 10)
    assert decision["price"] == 100.0
    assert sent.headers == [("trace", b"t")]  # type: ignore[union-attr]  an output
    nothing_more = all_at(100.0, target=math.nan)
    assert read(book.take(1, nothing_more), "executions") == []
    executions = read(book.take(2, nothing_more), "executions")
    assert [(e["decision_id"], e["quantity"]) for e in executions] == [
        (decision["decision_id"], 10)
    ]


def test_intent_when_repeated_then_says_nothing_twice(book: Book) -> None:
    """The idempotency key is the order."""
    assert len(book.give(book.intent(1), book.intent(1))) == 1


def test_intent_when_malformed_then_is_a_letter_with_its_field(book: Book) -> None:
    """The letter names code and field, and the next record is decided."""
    sent = book.give(
        book.intent(1, quantity=2.5), book.intent(2, "ZZZ"), book.intent(3, quantity="9")
    )
    found = [(letter.reason, letter.field) for letter in letters(sent)]
    assert found == [
        ("BAD_QUANTITY", "quantity"),
        ("UNKNOWN_SYMBOL", "symbol"),
        ("WRONG_TYPE", "quantity"),
    ]
    assert dict(letters(sent)[0].headers())["field"] == b"quantity"
    assert len(read(book.give(book.intent(1)))) == 1


def test_record_when_its_headers_fill_it_then_is_a_letter(book: Book) -> None:
    """A decision takes them along and says more, so the broker would refuse it at every start."""
    stuffed = book.intent(1)._replace(headers=[("trace", b"t" * 1_000_000)])
    assert reasons(book.give(stuffed)) == ["HEADERS_TOO_LARGE"]
    assert len(read(book.give(book.intent(1)))) == 1


def test_record_when_its_key_is_anothers_then_is_a_letter(book: Book) -> None:
    """A record acts on the portfolio that its key and its body name alike."""
    stray = book.say("order_intent", "other", intent_id="k", symbol=ONE, side="BUY", quantity=1)
    assert reasons(book.give(stray)) == ["WRONG_KEY"]
    unknown = book.say(
        "order_intent", "x", portfolio="x", intent_id="k", symbol=ONE, side="BUY", quantity=1
    )
    assert reasons(book.give(unknown)) == ["UNKNOWN_PORTFOLIO"]


def test_switch_when_thrown_then_bars_behind_it_are_refused(book: Book) -> None:
    """The bar before trades, the bar behind does not, and after a resume it does again."""
    before = read(book.take(1, all_at(100.0)))
    book.give(book.switch(1, "halt"))
    halted = book.take(2, all_at(100.0, target=0.2))
    book.give(book.switch(2, "resume"))
    after = read(book.take(3, all_at(100.0, target=0.3)))
    assert {d["approved"] for d in before} == {True}
    assert {d["rejection_reasons"][0]["code"] for d in read(halted)} == {"HALTED"}
    assert {d["approved"] for d in after} == {True}
    (snapshot,) = read(halted, "portfolio-snapshots")
    assert snapshot["risk"]["state"] == "HALTED"


def test_limits_when_changed_then_decisions_name_them(book: Book) -> None:
    """The digest of the limits changes with the record, and so does the next verdict."""
    before = read(book.take(1, all_at(100.0)))
    book.give(
        book.say("limit_change", change_id="c1", limits={"max_asset_fraction": 0.11}, **CHANGE)
    )
    after = read(book.take(2, all_at(100.0, target=0.2)))
    assert {d["approved"] for d in after} == {False}
    assert before[0]["digests"]["limits"] != after[0]["digests"]["limits"]


def test_venue_when_external_then_orders_wait_for_its_word(external: Book) -> None:
    """No bar fills the order; the venue does, in two parts, and cancels another."""
    external.take(1, {ONE: (100.0, 0.6, 0.001), TWO: (100.0, 0.5, 0.01)})
    for minute in (2, 3, 4, 5, 6, 7, 8):
        sent = external.take(minute, all_at(100.0, target=float("nan")))
        assert read(sent, "executions") == []
    close_ns = MIDNIGHT + MINUTE
    first, second = (decision_id("main", "1min", close_ns, s) for s in (ONE, TWO))
    sent = external.give(
        external.fill(1, first, kind="partial_fill", quantity=4),
        external.fill(1, first, kind="partial_fill", quantity=4),
        external.fill(2, first, quantity=6),
        external.fill(3, second, symbol=TWO, kind="cancel", quantity=0),
    )
    said = [(e["decision_id"], e["kind"], e["quantity"], e["venue_kind"]) for e in executed(sent)]
    assert said == [
        (first, "fill", 4, "partial_fill"),
        (first, "fill", 6, "fill"),
        (second, "expire", 100, "cancel"),
    ]
    (snapshot,) = read(external.take(9, all_at(100.0, target=float("nan"))), "portfolio-snapshots")
    assert [(h["symbol"], h["quantity"], h["open_quantity"]) for h in snapshot["holdings"]] == [
        (ONE, 10, 0)
    ]
    assert snapshot["cash"] == "998999"


def test_record_when_it_is_read_again_after_a_restart_then_acts_no_second_time(
    external: Book,
) -> None:
    """Refused behind an open order, a new opening stays refused once the order is filled.

    Ten lots at 100 with a fee of 0.5: 1,000,000 - 1,000 - 0.5 is 998,999.5.
    """
    begins = external.offset
    log = [
        *external.bar(1, all_at(100.0, target=math.nan)),
        external.intent(1),
        external.say("book_open", change_id="c1", cash="1000", positions=[], **CHANGE),
        external.fill(1, intent_decision_id("main", "k1", MIDNIGHT // DAY_NS)),
    ]
    assert reasons(external.give(*log)) == ["ORDERS_OPEN"]
    external.run.persist()
    external.run.restart()
    assert external.run.resume_at == begins
    assert external.give(*log) == []
    (snapshot,) = read(external.take(2, all_at(100.0, target=math.nan)), "portfolio-snapshots")
    assert snapshot["cash"] == "998999.5"


def executed(sent: list[Sent]) -> list[dict[str, Any]]:
    """Read the executions."""
    return read(sent, "executions")


def test_venue_when_the_order_is_unknown_then_the_account_reduces(external: Book) -> None:
    """The fill is booked and published, and the next buy is refused."""
    (execution,) = executed(external.give(external.fill(1, "stranger")))
    assert (execution["decision_id"], execution["quantity"]) == ("stranger", 10)
    found = read(external.take(1, all_at(100.0)))
    assert {d["rejection_reasons"][0]["code"] for d in found} == {"REDUCE_ONLY"}


def test_book_when_executions_do_not_explain_it_then_halts(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted defect of the ledger, one lot too many, is found at the bar that books it."""
    book.take(1, all_at(100.0))
    honest = ledger.post

    def one_more(account: ledger.Book, fill: ledger.Fill) -> None:
        honest(account, fill._replace(lots=fill.lots + 1))

    monkeypatch.setattr("models.risk.account.post", one_more)
    sent = book.take(2, all_at(100.0, target=0.2))
    assert {d["rejection_reasons"][0]["code"] for d in read(sent)} == {"HALTED"}
    (snapshot,) = read(sent, "portfolio-snapshots")
    assert snapshot["risk"]["switches"]["portfolio"].startswith("HALTED by risk: BOOK_MISMATCH")


def test_early_when_no_bar_has_come_then_waits_for_the_first(tmp_path: Path) -> None:
    """An opening balance is there before the first bar is decided, and progress waits with it."""
    book = Book(tmp_path)
    positions = [{"symbol": ONE, "quantity": 5, "price": 90}]
    opening = book.say("book_open", change_id="c1", cash="1000", positions=positions, **CHANGE)
    wrong = book.intent(1, quantity=0.5)
    assert book.give(opening, wrong) == []
    book.run.persist()
    assert (book.run.resume_at, book.run.memory.states) == (0, {})
    first, second = book.bar(1, all_at(100.0, target=float("nan")))
    assert reasons(book.give(first)) == ["BAD_QUANTITY"]
    (snapshot,) = read(book.give(second), "portfolio-snapshots")
    assert (snapshot["cash"], snapshot["equity"]) == ("1000", "1500")


def test_early_when_too_many_wait_then_the_others_are_letters(tmp_path: Path) -> None:
    """What waits for an epoch that never comes has a bound."""
    book = Book(tmp_path)
    assert book.give(*(book.intent(n) for n in range(MOST_EARLY))) == []
    assert reasons(book.give(book.intent(MOST_EARLY))) == ["NO_EPOCH"]


def test_due_when_many_records_came_then_asks_for_a_snapshot(book: Book) -> None:
    """Records without bars are kept as well."""
    book.run.persist()
    for number in range(SNAPSHOT_RECORDS):
        assert not book.run.fold.due()
        book.give(book.intent(number, quantity=1))
    assert book.run.fold.due()
    book.run.persist()
    assert not book.run.fold.due()


def story(book: Book) -> list[Record]:
    """Write a log in which bars of two partitions and every kind of record take turns."""
    rows = [all_at(100.0 + n, 0.6, 0.05 + n / 50) for n in range(6)]
    bars = [book.slice(n, p, one) for n, one in enumerate(rows, start=1) for p in (0, 1)]
    first = decision_id("main", "1min", MIDNIGHT + MINUTE, ONE)
    entries: list[Any] = [
        ("book_open", {"change_id": "c0", "cash": "900000", "positions": []} | CHANGE),
        bars[0],
        ("order_intent", intent_of(1)),
        bars[1],
        ("order_intent", intent_of(2, ts_event=MIDNIGHT + MINUTE + 5)),
        bars[3],
        ("venue_execution", report_of(1, first, kind="partial_fill", quantity=3)),
        bars[2],
        ("limit_change", {"change_id": "c1", "limits": {"max_asset_fraction": 0.2}} | CHANGE),
        ("split", {"change_id": "c2", "symbol": TWO, "new": 3, "old": 2} | CHANGE),
        bars[5],
        ("order_intent", intent_of(3, quantity=0.5)),
        bars[4],
        ("venue_execution", report_of(2, "stranger", symbol=TWO, quantity=7)),
        ("trading_state", {"change_id": "c3", "action": "halt"} | CHANGE),
        bars[6],
        bars[7],
        ("trading_state", {"change_id": "c4", "action": "resume"} | CHANGE),
        ("dividend", {"change_id": "c5", "symbol": ONE, "amount": 0.25} | CHANGE),
        ("venue_execution", report_of(3, first, kind="correction", quantity=2, corrects="e1")),
        bars[8],
        ("risk_parity", {"change_id": "c6", "weights": dict.fromkeys(SYMBOLS, 0.25)} | CHANGE),
        ("order_intent", intent_of(1)),
        bars[9],
        bars[10],
        bars[11],
    ]
    return [
        book.say(entry[0], **entry[1]) if isinstance(entry, tuple) else book.record(entry)
        for entry in entries
    ]


def intent_of(number: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  any field
    """Give the fields of an intent."""
    fields = {"intent_id": f"k{number}", "symbol": ONE, "side": "BUY", "quantity": 10, "price": 100}
    return fields | changes


def report_of(number: int, of: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  any field
    """Give the fields of a venue's fill."""
    fields = {
        "execution_id": f"e{number}",
        "decision_id": of,
        "symbol": ONE,
        "kind": "fill",
        "side": "BUY",
        "quantity": 10,
        "price": 100,
        "fee": 0.5,
        "currency": "USD",
        "venue": "X",
    }
    return fields | changes


@pytest.mark.parametrize("venue", ["paper", "external"])
def test_fold_when_restarted_anywhere_then_says_the_same_bytes(tmp_path: Path, venue: str) -> None:
    """Also between records and in the middle of a bar: outputs and states to the last byte."""
    limits = msgspec.structs.replace(FREE, var_bars=3)
    portfolio = Portfolio(id="main", limits=limits, venue=venue)  # type: ignore[arg-type]  a literal
    book = Book(tmp_path, portfolios=(portfolio,))
    log = story(book)
    whole = Run(book.new_fold)
    expected = whole.take(log)
    assert len(read(expected, "portfolio-snapshots")) == 6
    assert len([d for d in read(expected) if d["intent_id"]]) == 2
    assert reasons(expected) == ["BAD_QUANTITY"]
    whole.persist()
    for cut in range(len(log) + 1):
        run = Run(book.new_fold)
        said = run.take_with_restart_at(cut, log)
        assert events(said) == events(expected), cut
        run.persist()
        assert run.memory.states == whole.memory.states, cut


def events(sent: list[Sent]) -> dict[str, bytes]:
    """Give what a consumer keeps: one value an id, and equal ones for a repetition."""
    kept: dict[str, bytes] = {}
    for topic, name in (
        ("trading-decisions", "decision_id"),
        ("executions", "execution_id"),
        ("portfolio-snapshots", "timestamp"),
    ):
        for value in outputs(sent, topic):
            said = json.loads(value)
            assert kept.setdefault(f"{topic} {said[name]}", value) == value
    for letter in letters(sent):
        kept[f"letter {letter.origin.id()}"] = letter.raw
    return kept
