"""Ranges by time and by offset, from what a survey found."""

import pytest

from agents.run.survey import Seen
from agents.run.topic_range import after, chosen, middle
from models.features.catalogue import WARMUP_BARS
from streams.errors import TopicError
from streams.records import EpochNotice
from streams.timestamps import format_ns
from tests.builders import MIDNIGHT, MINUTE

N_BARS = 400


def seen(**changes: int) -> Seen:
    """Return a partition whose n-th minute is closed by the record at offset 10 n + 1."""
    notice = EpochNotice(clock_id="c", epoch=1, digest="d", from_close_ns=0)
    found = Seen(0, 10 * N_BARS + 2, notices=[(0, notice)], digests={"d"}, **changes)
    for n in range(1, N_BARS + 1):
        found.close(MIDNIGHT + n * MINUTE, 10 * n + 1)
        found.close(MIDNIGHT + n * MINUTE, 10 * n + 2)
    return found


def at(bar: int) -> str:
    """Return the close of a bar."""
    return format_ns(MIDNIGHT + bar * MINUTE)


def close(bar: int) -> int:
    """Return the close of a bar as a number."""
    return MIDNIGHT + bar * MINUTE


def test_range_when_nothing_is_asked_then_is_all() -> None:
    """From the first offset to behind the last; the epoch stands in the range itself."""
    found = chosen("t", [seen(), seen()], None, None)
    assert (found.begins, found.ends) == ((0, 0), (4_002, 4_002))
    assert found.is_whole
    assert (found.n_bars, found.notices, found.digests) == (N_BARS, (), ("d",))
    assert (format_ns(found.from_ns), format_ns(found.last_ns)) == (at(1), at(400))
    assert found.remarks == ()


def test_range_when_times_are_asked_then_bars_before_warm_up() -> None:
    """The range begins with the heartbeat of the 253rd bar before it, so the first one is warm."""
    found = chosen("t", [seen()], at(300), at(350))
    assert found.begins == (10 * (300 - WARMUP_BARS) + 1,)
    assert found.ends == (3_502,)
    assert (format_ns(found.from_ns), format_ns(found.last_ns)) == (at(300), at(350))
    assert found.n_bars == 350 - 300 + 1 + WARMUP_BARS
    assert [notice.epoch for notice in found.notices] == [1]
    assert not found.is_whole
    assert chosen("t", [seen()], at(10), None).is_whole


def short(first: int, last: int) -> Seen:
    """Return a partition that has other offsets, and only some of the bars."""
    found = Seen(20 * first, 20 * last + 1)
    for n in range(first, last + 1):
        found.close(close(n), 20 * n)
    return found


def test_range_when_offsets_are_asked_then_begins_with_a_heartbeat_that_all_have() -> None:
    """The first one that is behind the offset everywhere; it finds no bar that it could close."""
    found = chosen("t", [seen()], "1000", "1102")
    assert (found.begins, found.ends, found.n_bars) == ((1_001,), (1_102,), 11)
    assert format_ns(found.from_ns) == at(101)
    assert chosen("t", [seen()], "0", "99999").ends == (4_002,)
    # The 101st minute is the first behind offset 1010 in both, the 150th the last before 3002.
    both = chosen("t", [seen(), short(1, N_BARS)], "1010", "3002")
    assert (both.begins, both.ends) == ((1_011, 2_020), (1_502, 3_001))


def test_range_when_partitions_end_apart_then_ends_where_all_do() -> None:
    """A live topic is read partition by partition, while it grows."""
    found = chosen("t", [seen(), short(1, 397)], None, None)
    assert (found.ends, format_ns(found.last_ns)) == ((3_972, 7_941), at(397))


def test_range_when_a_partition_has_lost_more_then_begins_where_all_do() -> None:
    """Retention takes whole segments, another one in each partition."""
    late = seen()
    late.begin = 5
    found = chosen("t", [late, short(30, N_BARS)], None, None)
    assert found.begins == (301, 600)
    assert (found.is_whole, format_ns(found.from_ns)) == (False, at(31))


@pytest.mark.parametrize(
    ("begin", "end"), [(at(500), None), (None, at(-5)), ("4002", None), (at(30), at(20))]
)
def test_range_when_it_has_no_bar_then_says_what_there_is(
    begin: str | None, end: str | None
) -> None:
    """Nothing runs on nothing."""
    with pytest.raises(TopicError, match=f"t has no bar.*{at(1)} to {at(400)}.*0: 0..4002"):
        chosen("t", [seen()], begin, end)


def test_range_when_a_topic_is_empty_then_says_so() -> None:
    """A topic that was never written has no time at all."""
    with pytest.raises(TopicError, match="its closes: none"):
        chosen("t", [Seen()], None, None)


def test_range_when_the_topic_is_odd_then_a_person_is_told() -> None:
    """Deleted records, holes, a clock that stood still, records of other versions."""
    odd = seen(n_missing=2, n_beats_missed=3, n_strange=4)
    odd.begin = 7
    told = " ".join(chosen("t", [odd, seen()], None, None).remarks)
    assert "begins at offsets 7, 0: what came before was deleted" in told
    assert "2 offsets without a record" in told
    assert "3 heartbeats that the clock left out" in told
    assert "4 records of another version, or of none" in told


def test_range_when_after_a_checkpoint_then_begins_where_it_goes_on() -> None:
    """What was read from there on counts, and the beginning is no run's."""
    late = seen()
    late.begin = 3_000
    found = after("t", [late], [3_000], at(380))
    assert (found.begins, found.ends) == ((3_000,), (3_802,))
    assert not found.is_whole


def test_range_when_what_a_checkpoint_goes_on_with_is_gone_then_says_both_offsets() -> None:
    """One record that is missing would make another state."""
    late = seen()
    late.begin = 3_001
    with pytest.raises(
        TopicError, match="t begins at offsets 3001; the checkpoint goes on at 3000"
    ):
        after("t", [late], [3_000], None)


def test_middle_when_a_range_begins_there_then_is_behind_the_heartbeat_before_it() -> None:
    """By each partition's own offsets: the n-th minute was closed by the record at 10 n + 1."""
    other = Seen(0, 9_000)
    for n in range(1, N_BARS + 1):
        other.close(close(n), 20 * n)
    found = middle("t", [seen(), other], close(300), close(350))
    assert found is not None
    assert (found.close_ns, found.from_ns, found.n_bars) == (close(299), close(300), 51)
    assert found.begins == (2_992, 5_981)
    between = middle("t", [seen(), other], close(299) + 1, close(350))
    assert between == found


def test_middle_when_no_close_is_before_it_then_there_is_none() -> None:
    """All that was read counts."""
    assert middle("t", [seen(), seen()], close(1), close(350)) is None


@pytest.mark.parametrize("from_ns", [close(351), close(500)])
def test_middle_when_no_close_is_behind_it_then_says_up_to_where_was_looked(from_ns: int) -> None:
    """Nothing runs on nothing."""
    with pytest.raises(TopicError, match=f"t has no bar from .* to {at(350)}"):
        middle("t", [seen()], from_ns, close(350))


def test_middle_when_a_partition_is_read_from_behind_it_then_is_refused() -> None:
    """Its open bars are of a later time than those of the others."""
    late = Seen(3_000, 9_000)
    for n in range(300, N_BARS + 1):
        late.close(close(n), 20 * n)
    with pytest.raises(TopicError, match=f"partition 1, is read from offset 3,000 .* {at(299)}"):
        middle("t", [seen(), late], close(300), close(350))
