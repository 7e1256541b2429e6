"""What becomes of ticks, counted by hand."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.judge.documents import Documents, canonical_digest
from tests.chaos.judge.letters import Letters
from tests.chaos.judge.record import Record
from tests.chaos.judge.ticks import TickFold
from tests.chaos.judge.verdict import Invariant
from tests.unit.chaos.world import epoch, record

S = 10**9

# 2001-09-09T01:46:40Z: a time that ticks may have.
T = 10**9 * S

DOCUMENT: dict[str, Any] = {
    "timeframe": "1s",
    "n_partitions": 2,
    "clock_id": "test",
    "lateness_ms": 100,
    "max_ahead_ms": 3_000,
    "calendars": {},
    # By murmur2 these live in partition 0 of two, and D in the other one.
    "instruments": [{"id": name, "lot_size": "1", "calendar": "24/7"} for name in ("A", "B", "D")],
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


def clock(offset: int, **said: Any) -> Record:  # noqa: ANN401  fields of a record
    """Return a record of the clock."""
    value = json.dumps({"clock_id": "test", **said}).encode()
    return record("market-ticks", offset, value, clock="1")


def folded(values: list[Any], letters: list[Record]) -> tuple[TickFold, Invariant]:
    """Announce an epoch at offset 0, let time T begin at offset 1, then fold values."""
    flow = Invariant("I6", "")
    source = Small(letters)
    fold = TickFold(Documents(source), Letters(source, flow), flow)
    notice = {"digest": canonical_digest(DOCUMENT), "epoch": 1, "from_close_ns": 0}
    fold.take(clock(0, **notice))
    fold.take(clock(1, n=0, ts_event_ns=T))
    for offset, value in enumerate(values, start=2):
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        fold.take(record("market-ticks", offset, raw))
    return fold, flow


def tick(symbol: str, at_ns: int, **said: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a record
    """Return a trade."""
    return {"symbol": symbol, "ts_event": at_ns, "price": 1.5, **said}


def test_ticks_when_they_are_good_then_count_in_the_bar_of_their_time() -> None:
    """A bar covers its open and not its close; a ready-made bar counts at its close."""
    whole = {"type": "bar", "open": 1, "high": 2, "low": 1, "close": 2}
    values = [
        [tick("A", T), tick("A", T + S - 1), tick("A", T + S)],
        tick("B", T + 2 * S, **whole),
        tick("B", "2001-09-09T01:46:40.5Z"),
    ]
    fold, flow = folded(values, [])
    expected = {T + S: Counter(A=2, B=1), T + 2 * S: Counter(A=1, B=1)}
    assert (fold.opened, fold.counts["n_in"], flow.n_broken) == (expected, 5, 0)


def test_ticks_when_refused_or_crossed_then_are_counted_and_in_no_bar() -> None:
    """Every way out has its count."""
    crossed = tick("A", T, type="quote", bid=2, ask=1)
    late = tick("A", T - 2 * S)
    values = [[tick("A", T), late], crossed, b"no JSON", b""]
    letters = [
        letter(2, 1, "LATE", json.dumps(late).encode()),
        letter(4, 0, "NOT_JSON", b"no JSON"),
        letter(5, 0, "EMPTY", b""),
    ]
    fold, flow = folded(values, letters)
    assert fold.counts == Counter(n_in=5, n_late=1, n_crossed=1, n_dead=2)
    assert (fold.opened, flow.n_broken) == ({T + S: Counter(A=1)}, 0)


def test_ticks_when_unreadable_without_dead_letter_then_are_found() -> None:
    """Nothing vanishes."""
    _, flow = folded([b"no JSON", [{"symbol": "A"}], b""], [])
    assert flow.n_broken == 3


def test_ticks_when_behind_a_closed_bar_without_dead_letter_then_are_found() -> None:
    """At T + 2.1 s, with a lateness of 0.1 s, the bar that ends at T + 2 s is closed."""
    fold, flow = folded([], [])
    fold.take(clock(2, n=1, ts_event_ns=T + 21 * S // 10))
    fold.take(record("market-ticks", 3, json.dumps(tick("A", T + 2 * S)).encode()))
    assert flow.n_broken == 0
    fold.take(record("market-ticks", 4, json.dumps(tick("A", T + 2 * S - 1)).encode()))
    assert flow.n_broken == 1


# At T, with nothing before it: what is wrong with a tick, and why it is refused.
BAD = {
    "UNKNOWN_SYMBOL": tick("NOBODY", T),
    "WRONG_PARTITION": tick("D", T),
    "LATE": tick("A", T - 2 * S),
    "TOO_FAR_AHEAD": tick("A", T + 4 * S + 1),
    "MISSING_FIELD": {"symbol": "A", "ts_event": T},
    "BAD_PRICE": tick("A", T) | {"price": 1e11},
    "BAD_SIZE": tick("A", T, size=-1),
    "BAD_BAR": tick("A", T + S, type="bar", open=3, high=2, low=1, close=2),
    "MISALIGNED_BAR": tick("A", T + 1, type="bar", open=1, high=2, low=1, close=2),
    "WRONG_TIMEFRAME": tick(
        "A", T + S, type="bar", open=1, high=2, low=1, close=2, timeframe="1min"
    ),
    "BAD_TIMESTAMP": tick("A", "yesterday"),
    "BAD_ID": tick("A", T, trade_id="i" * 65),
    "BAD_SYMBOL": tick("", T),
    "UNKNOWN_VERSION": tick("A", T, version=2),
    "WRONG_TYPE": tick("A", T, size="many"),
}


@pytest.mark.parametrize("reason", BAD)
def test_letter_when_its_reason_is_the_ticks_then_is_right_and_else_is_found(reason: str) -> None:
    """The same reason passes; none at all, or one that the tick does not give, is found."""
    value = BAD[reason]
    raw = json.dumps(value).encode()
    assert folded([value], [letter(2, 0, reason, raw)])[1].n_broken == 0
    assert folded([value], [])[1].n_broken == 1
    others = [letter(2, 0, "DUPLICATE", raw), letter(2, 0, "NO_SUCH_REASON", raw)]
    assert [folded([value], [other])[1].n_broken for other in others] == [1, 1]


@pytest.mark.parametrize("reason", ["LATE", "DUPLICATE", "UNKNOWN_SYMBOL", "WRONG_PARTITION"])
def test_letter_when_the_tick_is_good_then_is_no_excuse(reason: str) -> None:
    """A tick that belongs into a bar was refused: whatever the letter says, it is missing."""
    good = tick("A", T)
    _, flow = folded([good], [letter(2, 0, reason, json.dumps(good).encode())])
    assert flow.first is not None
    assert (flow.first.found, flow.first.expected) == (reason, "no dead letter")


def test_ticks_when_an_id_comes_again_then_the_second_must_be_refused() -> None:
    """Ids are those of a venue; 128 of a symbol are remembered, and a refused one counts once."""
    one, other = tick("A", T, trade_id=1, venue="X"), tick("A", T, trade_id=1, venue="Y")
    raw = json.dumps(one).encode()
    assert folded([one, other], [])[1].n_broken == 0
    assert folded([one, one], [letter(3, 0, "DUPLICATE", raw)])[1].n_broken == 0
    assert folded([one, one], [])[1].n_broken == 1
    many = [tick("A", T, seq=n, venue="X") for n in range(128)]
    assert folded([one, many, one], [])[1].n_broken == 0
    last = letter(4, 0, "DUPLICATE", raw)
    assert folded([one, many[:-1], one], [last])[1].n_broken == 0


def test_heartbeat_when_it_passes_bars_then_closes_them_in_order() -> None:
    """Until the lateness is over a bar stays open; a heartbeat that was seen changes nothing."""
    fold, _ = folded([[tick("A", T), tick("A", T + S), tick("A", T + 2 * S)]], [])
    closed = [
        fold.take(clock(9, n=n, ts_event_ns=at_ns))
        for n, at_ns in ((1, T + S), (2, T + 21 * S // 10), (2, T + 10 * S), (3, T))
    ]
    assert closed == [[], [T + S, T + 2 * S], [], []]


def test_heartbeat_when_it_is_of_this_clock_then_may_not_be_refused() -> None:
    """A heartbeat with a dead letter closes nothing; only another clock's may have one."""
    for name, n_broken in (("test", 1), ("other", 0)):
        letters = [letter(2, 0, "FOREIGN_CLOCK", b"{}")]
        flow = Invariant("I6", "")
        source = Small(letters)
        fold = TickFold(Documents(source), Letters(source, flow), flow)
        notice = {"digest": canonical_digest(DOCUMENT), "epoch": 1, "from_close_ns": 0}
        fold.take(clock(0, **notice))
        fold.take(clock(2, n=1, ts_event_ns=T, clock_id=name))
        assert flow.n_broken == n_broken


def test_letter_when_its_bytes_are_of_another_tick_then_is_found() -> None:
    """A dead letter has the bytes of its tick."""
    _, flow = folded([tick("A", T - 2 * S)], [letter(2, 0, "LATE", b"something else")])
    assert flow.n_broken == 1


def test_portfolio_when_all_its_symbols_share_a_calendar_then_its_day_is_a_session() -> None:
    """Sessions open at 100 s and 300 s; without them a day is one of UTC."""
    plain = epoch().portfolios["main"]
    assert [plain.day(at) for at in (1, 86_400 * S, 86_400 * S + 1)] == [0, 0, 1]
    plain.opens_ns = (100 * S, 300 * S)
    assert [plain.day(at * S) for at in (100, 101, 300, 301)] == [0, 1, 1, 2]
