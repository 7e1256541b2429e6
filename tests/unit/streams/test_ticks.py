"""Hostile records of ``market-ticks``: each bad tick has one reason and its bytes, no exception."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import ticks
from streams.partitions import partition_of
from streams.records import Tick
from streams.ticks import BadTick, Placement, read_ticks, tick_bytes
from tests.builders import MIDNIGHT, placement

GOOD: dict[str, Any] = {"symbol": "AAA", "ts_event": MIDNIGHT, "price": 1.5}
HERE = placement("AAA", others=["ELSEWHERE"])


def text(**changes: Any) -> bytes:  # noqa: ANN401  any JSON value
    """Write a good trade with some fields changed."""
    return json.dumps(GOOD | changes).encode()


def number(field: str, digits: str) -> bytes:
    """Write a good trade whose field has a number that no float can hold."""
    return text(**{field: "@"}).replace(b'"@"', digits.encode())


DEEP = b"[" * 100_000 + b"]" * 100_000

BAD = [
    (None, "EMPTY"),
    (b"", "EMPTY"),
    (b"  ", "NOT_JSON"),
    (b"not json", "NOT_JSON"),
    (b"\x00" * 1_000_000, "NOT_JSON"),
    (b"[" * 100_000, "NOT_JSON"),
    (b'{"a":' * 100_000, "NOT_JSON"),
    (b'{"x":' + DEEP + b"}", "NOT_JSON"),
    (b'[{"x":' + DEEP + b"}]", "NOT_JSON"),
    (b'[{"x":' + b"[" * 100_000, "NOT_JSON"),
    (text() + b"x", "NOT_JSON"),
    (b"\xef\xbb\xbf" + text(), "NOT_JSON"),
    (text(symbol="?").replace(b"?", b"\xff"), "NOT_JSON"),
    (text(venue="?").replace(b"?", b"\xff"), "NOT_JSON"),
    (b"[" + text(venue="?").replace(b"?", b"\xff") + b"]", "NOT_JSON"),
    (number("price", "NaN"), "NOT_JSON"),
    (number("price", "Infinity"), "NOT_JSON"),
    (number("price", "1e400"), "WRONG_TYPE"),
    (number("price", "1" + "0" * 400), "BAD_PRICE"),
    (number("price", "1" + "0" * 5_000), "WRONG_TYPE"),
    (number("size", "1" + "0" * 400), "BAD_SIZE"),
    (number("seq", "1" + "0" * 400), "BAD_ID"),
    (number("trade_id", "-1" + "0" * 400), "BAD_ID"),
    (text(trade_id="x" * 65), "BAD_ID"),
    (text(venue="x" * 1_000_000), "BAD_ID"),
    (b"null", "WRONG_TYPE"),
    (b"5", "WRONG_TYPE"),
    (b'"AAA"', "WRONG_TYPE"),
    (b"{}", "WRONG_TYPE"),
    (b"[null]", "WRONG_TYPE"),
    (b"[[]]", "WRONG_TYPE"),
    (b'{"symbol":"AAA"}', "WRONG_TYPE"),
    (b'{"ts_event":1,"price":1}', "WRONG_TYPE"),
    (text(symbol=None), "WRONG_TYPE"),
    (text(symbol=5), "WRONG_TYPE"),
    (text(type="auction"), "WRONG_TYPE"),
    (text(price="1.5"), "WRONG_TYPE"),
    (text(price=True), "WRONG_TYPE"),
    (text(size="100"), "WRONG_TYPE"),
    (text(ts_event=1.5), "WRONG_TYPE"),
    (text(ts_event=None), "WRONG_TYPE"),
    (text(version="1"), "WRONG_TYPE"),
    (text(version=2), "UNKNOWN_VERSION"),
    (text(version=0), "UNKNOWN_VERSION"),
    (text(symbol=""), "BAD_SYMBOL"),
    (text(symbol="A" * 65), "BAD_SYMBOL"),
    (text(price=None), "MISSING_FIELD"),
    (text(type="quote", bid=1), "MISSING_FIELD"),
    (text(type="bar", open=1, high=1, low=1), "MISSING_FIELD"),
    (text(price=0), "BAD_PRICE"),
    (text(price=-1.5), "BAD_PRICE"),
    (text(price=9e-9), "BAD_PRICE"),
    (text(price=5e-324), "BAD_PRICE"),
    (text(price=1.1e10), "BAD_PRICE"),
    (text(type="quote", bid=0, ask=1), "BAD_PRICE"),
    (text(size=-1), "BAD_SIZE"),
    (text(size=2e15), "BAD_SIZE"),
    (text(type="quote", bid=1, ask=1, ask_size=-1), "BAD_SIZE"),
    (text(type="bar", open=1, high=1, low=1, close=1, volume=-1), "BAD_SIZE"),
    (text(type="bar", open=3, high=2, low=1, close=1), "BAD_BAR"),
    (text(type="bar", open=1, high=2, low=1, close=0.5), "BAD_BAR"),
    (text(type="bar", open=1, high=1, low=2, close=1), "BAD_BAR"),
    (text(symbol="NOBODY"), "UNKNOWN_SYMBOL"),
    (text(symbol="\ud83d\ude00"), "UNKNOWN_SYMBOL"),
    (text(symbol="ELSEWHERE"), "WRONG_PARTITION"),
]


@pytest.mark.parametrize(("value", "reason"), BAD)
def test_read_when_a_record_is_bad_then_gives_one_reason_and_its_bytes(
    value: bytes | None, reason: str
) -> None:
    """Whatever it is, it is named once, its bytes are kept, and nothing is raised."""
    (bad,) = read_ticks(value, HERE)
    assert isinstance(bad, BadTick)
    assert bad.error.reason == reason
    assert bad.place == 0
    assert bad.raw in ((value or b""), (value or b"")[1:-1])
    assert len(bad.error.detail) <= 512


@pytest.mark.parametrize(
    ("value", "reason"),
    [(v, r) for v, r in BAD if r not in ("EMPTY", "NOT_JSON") and v and not v.startswith(b"[")],
)
def test_read_when_one_of_a_list_is_bad_then_its_neighbours_survive(
    value: bytes, reason: str
) -> None:
    """A bad tick in the middle takes nobody with it and keeps its own bytes and place."""
    first, bad, last = read_ticks(b" [ " + text() + b" , " + value + b"," + text() + b"]", HERE)
    assert isinstance(first, tuple)
    assert isinstance(last, tuple)
    assert (first[0], last[0]) == (0, 2)
    assert isinstance(bad, BadTick)
    assert (bad.place, bad.error.reason, bad.raw) == (1, reason, value)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ts_event": "2024-01-02T00:00:00Z"},
        {"price": 2, "size": 0},
        {"price": 1e-8},
        {"price": 1e10, "size": 1e15},
        {"trade_id": "a" * 64, "venue": "v" * 64, "seq": 2**63 - 1},
        {"type": "quote", "bid": 1, "ask": 1},
        {"type": "quote", "bid": 2, "ask": 1},
        {"type": "bar", "open": 1, "high": 1, "low": 1, "close": 1, "volume": 0},
        {"side": "unheard of", "new_field": {"of": ["a", "newer", "producer"]}},
        {"version": 1},
    ],
)
def test_read_when_a_tick_is_usable_then_gives_it(changes: dict[str, Any]) -> None:
    """The bounds themselves are allowed, and unknown fields of newer producers do no harm."""
    ((place, tick),) = read_ticks(text(**changes), HERE)
    assert place == 0
    assert isinstance(tick, Tick)
    assert tick.symbol == "AAA"


def test_read_when_the_list_is_empty_then_gives_nothing() -> None:
    """No tick is no error."""
    assert list(read_ticks(b"[]", HERE)) == []


def test_read_when_a_list_is_a_file_then_refuses_it_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list beyond the bound is one dead letter, whether its ticks are good or bad."""
    monkeypatch.setattr(ticks, "MAX_LIST", 2)
    for tick in (text(), text(price=-1), b"null"):
        value = b"[" + b",".join([tick] * 3) + b"]"
        (bad,) = read_ticks(value, HERE)
        assert isinstance(bad, BadTick)
        assert (bad.error.reason, bad.raw) == ("LIST_TOO_LONG", value)
        assert len(list(read_ticks(b"[" + tick + b"," + tick + b"]", HERE))) == 2


@pytest.mark.parametrize("bad", [b"{}", text(price=-1)])
def test_read_when_no_tick_of_a_list_can_be_used_then_refuses_so_many_at_most(bad: bytes) -> None:
    """Each is a dead letter of its own, so a small record must not be the cause of very many."""
    longest = b"[" + b",".join([bad] * 1_000) + b"]"
    assert [item.raw for item in read_ticks(longest, HERE) if isinstance(item, BadTick)] == (
        [bad] * 1_000
    )
    longer = b"[" + b",".join([bad] * 300_000) + b"]"
    (refused,) = read_ticks(longer, HERE)
    assert isinstance(refused, BadTick)
    assert (refused.error.reason, refused.raw) == ("LIST_TOO_LONG", longer)


def test_read_when_the_partition_is_wrong_then_names_home_and_setting() -> None:
    """The advice tells the producer where the symbol lives and what to set."""
    symbol = next(s for s in map(str, range(100)) if partition_of(s, 4) == 3)
    place = Placement(1, 4, frozenset({symbol}), frozenset())
    (bad,) = read_ticks(text(symbol=symbol), place)
    assert isinstance(bad, BadTick)
    assert "partition 1, its home is 3" in bad.error.detail
    assert "murmur2_random" in bad.error.detail


@given(st.binary(max_size=300))
def test_read_when_bytes_are_random_then_never_raises(value: bytes) -> None:
    """Any bytes give ticks or reasons; every reason has a code."""
    for item in read_ticks(value, HERE):
        assert isinstance(item, tuple)
        if isinstance(item, BadTick):
            assert item.error.reason.isupper()


@given(st.lists(st.sampled_from([v for v, r in BAD if v and r != "NOT_JSON"] + [text()])))
def test_read_when_a_list_is_mixed_then_every_element_is_answered_once(values: list[bytes]) -> None:
    """The places are 0 to n - 1, whatever the elements are."""
    got = list(read_ticks(b"[" + b",".join(values) + b"]", HERE))
    assert [item[0] for item in got] == list(range(len(values)))


def test_tick_bytes_when_a_record_is_cut_then_gives_what_was_written() -> None:
    """Spaces, field order and unknown fields of the producer are kept."""
    odd = b'{ "price":1.50, "symbol":"AAA",  "zz": [1, 2], "ts_event": 17}'
    assert tick_bytes(odd, 0) == odd
    assert tick_bytes(b" [" + odd + b"\n,  " + text() + b"]", 0) == odd
    assert tick_bytes(b" [" + odd + b"\n,  " + text() + b"]", 1) == text()


def test_tick_bytes_when_a_list_cannot_be_cut_then_gives_the_record() -> None:
    """Nothing is lost where the elements cannot be told apart."""
    assert tick_bytes(b"[1,", 1) == b"[1,"
