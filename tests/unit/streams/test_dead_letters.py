"""A dead letter keeps the bytes, says where they stood and why they could not be used."""

from streams.dead_letters import DeadLetter, Origin
from streams.errors import RecordError


def test_origin_when_asked_for_its_id_then_names_the_place() -> None:
    """The same poison has the same id after any restart, and its neighbours have others."""
    assert Origin("r1.market-ticks", 3, 41, 2).id() == "r1.market-ticks:3:41:2"
    assert Origin("market-ticks", 3, 41).id() == "market-ticks:3:41:0"


def test_dead_letter_when_made_of_an_error_then_has_all_its_headers() -> None:
    """Reason, detail, stage and origin travel beside the raw bytes, never inside them."""
    origin = Origin("t", 1, 7, 5, b"k")
    letter = DeadLetter.of(RecordError("LATE", "by 2 s"), origin, "bars", b"\xff\x00")
    assert letter.raw == b"\xff\x00"
    assert dict(letter.headers()) == {
        "reason": b"LATE",
        "detail": b"by 2 s",
        "stage": b"bars",
        "topic": b"t",
        "partition": b"1",
        "offset": b"7",
        "index": b"5",
        "key": b"k",
    }


def test_dead_letter_when_the_record_is_longer_than_a_topic_takes_then_has_its_beginning() -> None:
    """What was compressed on its way is refused, and the refusal is not refused in turn."""
    raw = bytes(range(256)) * 4096
    whole = DeadLetter.of(RecordError("X", "why"), Origin("t", 0, 0), "bars", raw)
    assert (whole.raw, whole.detail) == (raw, "why")
    cut = DeadLetter.of(RecordError("X", "why"), Origin("t", 0, 0), "bars", raw + b"more")
    assert (cut.raw, cut.detail) == (raw, "why (the first 1,048,576 of 1,048,580 bytes)")


def test_headers_when_the_detail_is_long_or_no_unicode_then_stay_short_and_readable() -> None:
    """A cut never leaves half a character behind, and a lone surrogate is replaced."""
    long = DeadLetter.of(RecordError("X", "é" * 9_999), Origin("t", 0, 0), "bars", b"")
    detail = dict(long.headers())["detail"]
    assert detail.decode() == "é" * 512
    lone = DeadLetter.of(RecordError("X", "\ud800"), Origin("t", 0, 0), "bars", b"")
    assert dict(lone.headers())["detail"] == b"?"
