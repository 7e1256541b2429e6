"""What becomes of ticks, counted by hand."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.chaos.judge.documents import Documents, canonical_digest
from tests.chaos.judge.letters import Letters
from tests.chaos.judge.record import Record
from tests.chaos.judge.ticks import TickFold
from tests.chaos.judge.verdict import Invariant
from tests.unit.chaos.world import epoch, record

S = 10**9
DOCUMENT: dict[str, Any] = {
    "timeframe": "1s",
    "lateness_ms": 100,
    "calendars": {},
    "instruments": [],
    "portfolios": [],
}


class Small:
    """A source of one document and some dead letters."""

    def __init__(self, letters: list[Record]) -> None:
        plain = json.dumps(DOCUMENT, sort_keys=True, separators=(",", ":")).encode()
        self.of = {"documents": [record("documents", 0, plain)], "dead-letters": letters}

    def topics(self) -> dict[str, int]:
        """Return one partition each."""
        return dict.fromkeys(self.of, 1)

    def records(self, topic: str, partition: int) -> Iterator[Record]:
        """Return what there is."""
        del partition
        return iter(self.of[topic])


def letter(offset: int, index: int, reason: str, raw: bytes) -> Record:
    """Return a dead letter of the bars stage."""
    place = {"topic": "market-ticks", "partition": "0", "offset": str(offset), "index": str(index)}
    made = record("dead-letters", offset, raw, reason=reason, stage="bars", **place)
    return made._replace(key=f"market-ticks:0:{offset}:{index}".encode())


def folded(values: list[Any], letters: list[Record]) -> tuple[TickFold, Invariant]:
    """Announce an epoch at offset 0, let second 10 begin at offset 1, then fold values."""
    flow = Invariant("I6", "")
    source = Small(letters)
    fold = TickFold(Documents(source), Letters(source, flow), flow)
    notice = {"digest": canonical_digest(DOCUMENT), "epoch": 1}
    beat = {"n": 0, "ts_event_ns": 10 * S}
    for offset, said in enumerate((notice, beat)):
        fold.take(record("market-ticks", offset, json.dumps(said).encode(), clock="1"))
    for offset, value in enumerate(values, start=2):
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        fold.take(record("market-ticks", offset, raw))
    return fold, flow


def tick(symbol: str, at_ns: int, **said: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a record
    """Return a trade."""
    return {"symbol": symbol, "ts_event": at_ns, "price": 1.5, **said}


def test_ticks_when_they_are_good_then_count_in_the_bar_of_their_time() -> None:
    """A bar covers its open and not its close; a ready-made bar counts at its close."""
    values = [
        [tick("A", 10 * S), tick("A", 11 * S - 1), tick("A", 11 * S)],
        tick("B", 12 * S, type="bar"),
        tick("B", "1970-01-01T00:00:10.5Z"),
    ]
    fold, flow = folded(values, [])
    expected = {11 * S: Counter(A=2, B=1), 12 * S: Counter(A=1, B=1)}
    assert (fold.opened, fold.counts["n_in"], flow.n_broken) == (expected, 5, 0)


def test_ticks_when_refused_or_crossed_then_are_counted_and_in_no_bar() -> None:
    """Every way out has its count."""
    crossed = tick("A", 10 * S, type="quote", bid=2, ask=1)
    late = tick("A", 1)
    values = [[tick("A", 10 * S), late], crossed, b"no JSON", b""]
    letters = [
        letter(2, 1, "LATE", json.dumps(late).encode()),
        letter(4, 0, "NOT_JSON", b"no JSON"),
        letter(5, 0, "EMPTY", b""),
    ]
    fold, flow = folded(values, letters)
    assert fold.counts == Counter(n_in=5, n_late=1, n_crossed=1, n_dead=2)
    assert (fold.opened, flow.n_broken) == ({11 * S: Counter(A=1)}, 0)


def test_ticks_when_unreadable_without_dead_letter_then_are_found() -> None:
    """Nothing vanishes."""
    _, flow = folded([b"no JSON", [{"symbol": "A"}], b""], [])
    assert flow.n_broken == 3


def test_ticks_when_behind_a_closed_bar_without_dead_letter_then_are_found() -> None:
    """At 12.1 s, with a lateness of 0.1 s, the bar that ends at 12 s is closed."""
    fold, flow = folded([], [])
    beat = json.dumps({"n": 1, "ts_event_ns": 121 * S // 10}).encode()
    fold.take(record("market-ticks", 2, beat, clock="1"))
    fold.take(record("market-ticks", 3, json.dumps(tick("A", 12 * S)).encode()))
    assert flow.n_broken == 0
    fold.take(record("market-ticks", 4, json.dumps(tick("A", 12 * S - 1)).encode()))
    assert flow.n_broken == 1


def test_heartbeat_when_it_passes_bars_then_closes_them_in_order() -> None:
    """Until the lateness is over a bar stays open; a heartbeat that was seen changes nothing."""
    fold, _ = folded([[tick("A", 10 * S), tick("A", 11 * S), tick("A", 12 * S)]], [])
    closed = [
        fold.take(record("market-ticks", 9, json.dumps(said).encode(), clock="1"))
        for said in (
            {"n": 1, "ts_event_ns": 11 * S},
            {"n": 2, "ts_event_ns": 121 * S // 10},
            {"n": 2, "ts_event_ns": 20 * S},
        )
    ]
    assert closed == [[], [11 * S, 12 * S], []]


def test_letter_when_its_bytes_are_of_another_tick_then_is_found() -> None:
    """A dead letter has the bytes of its tick."""
    _, flow = folded([tick("A", 1)], [letter(2, 0, "LATE", b"something else")])
    assert flow.n_broken == 1


def test_portfolio_when_all_its_symbols_share_a_calendar_then_its_day_is_a_session() -> None:
    """Sessions open at 100 s and 300 s; without them a day is one of UTC."""
    plain = epoch().portfolios["main"]
    assert [plain.day(at) for at in (1, 86_400 * S, 86_400 * S + 1)] == [0, 0, 1]
    plain.opens_ns = (100 * S, 300 * S)
    assert [plain.day(at * S) for at in (100, 101, 300, 301)] == [0, 1, 1, 2]
