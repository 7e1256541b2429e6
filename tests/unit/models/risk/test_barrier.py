"""The barrier: whatever order slices arrive in, the same bars come out in the same order."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.risk.barrier import BarKey, Barrier

# (close, partition, chunk) of three bars, three partitions of two chunks each.
N_PARTITIONS, N_CHUNKS = 3, 2
Place = tuple[int, int, int]


def feed(barrier: Barrier[Any], places: list[Place]) -> list[tuple[BarKey, list[Any]]]:
    """Put slices in and take what is complete after each, as risk does."""
    taken: list[tuple[BarKey, list[Any]]] = []
    for offset, (close, partition, chunk) in enumerate(places):
        item = (close, partition, chunk)
        barrier.put((close, 0), (partition, chunk), offset, item)
        if chunk == N_CHUNKS - 1:
            barrier.complete((close, 0), partition)
        taken.extend(barrier.take(N_PARTITIONS))
    return taken


@st.composite
def interleavings(draw: st.DrawFn) -> list[Place]:
    """Draw one log: each partition's slices in order, the partitions in any interleaving."""
    queues = [
        [(close, p, c) for close in (1, 2, 3) for c in range(N_CHUNKS)] for p in range(N_PARTITIONS)
    ]
    log = []
    while any(queues):
        queue = draw(st.sampled_from([q for q in queues if q]))
        log.append(queue.pop(0))
        if draw(st.booleans()):
            log.append(draw(st.sampled_from(log)))
    return log


@given(interleavings())
def test_take_when_partitions_interleave_then_gives_the_same_bars(log: list[Place]) -> None:
    """Every bar comes once, in time order, with its slices by partition and chunk."""
    barrier: Barrier[Any] = Barrier()
    expected = [
        ((close, 0), [(close, p, c) for p in range(N_PARTITIONS) for c in range(N_CHUNKS)])
        for close in (1, 2, 3)
    ]
    assert feed(barrier, log) == expected
    assert barrier.oldest_offset() is None
    assert barrier.decided == (3, 0)


@given(interleavings(), st.data())
def test_take_when_a_restart_reads_again_then_decides_the_rest(
    log: list[Place], data: st.DataObject
) -> None:
    """Reading again from the oldest waiting slice loses no bar and repeats none."""
    cut = data.draw(st.integers(0, len(log)))
    first: Barrier[Any] = Barrier()
    before = feed(first, log[:cut])
    oldest = first.oldest_offset()
    second: Barrier[Any] = Barrier(first.decided)
    after = feed(second, log[cut if oldest is None else oldest :])
    whole: Barrier[Any] = Barrier()
    assert before + after == feed(whole, log)


def test_take_when_a_partition_is_ahead_then_its_gaps_do_not_hold_others() -> None:
    """A partition that delivered a later close has nothing to say about the earlier one."""
    barrier: Barrier[str] = Barrier()
    barrier.put((1, 0), (0, 0), 10, "p0 at 1")
    barrier.complete((1, 0), 0)
    assert list(barrier.take(2)) == []
    assert barrier.oldest_offset() == 10
    barrier.put((5, 0), (1, 0), 11, "p1 at 5")
    barrier.complete((5, 0), 1)
    assert list(barrier.take(2)) == [((1, 0), ["p0 at 1"])]
    assert barrier.oldest_offset() == 11


def test_put_when_the_slice_is_there_or_decided_then_says_no() -> None:
    """A duplicate keeps the first offset, a slice of a decided bar waits for nothing."""
    barrier: Barrier[str] = Barrier()
    assert barrier.put((1, 0), (0, 0), 5, "first")
    assert not barrier.put((1, 0), (0, 0), 9, "again")
    assert barrier.oldest_offset() == 5
    barrier.complete((1, 0), 0)
    assert list(barrier.take(1)) == [((1, 0), ["first"])]
    assert not barrier.put((1, 0), (0, 1), 10, "late chunk")
    assert not barrier.put((0, 0), (0, 0), 11, "older")
    assert barrier.oldest_offset() is None


def test_take_when_only_a_first_chunk_came_then_waits_for_the_last() -> None:
    """A bar is complete with a partition's last chunk, whatever order the chunks come in."""
    barrier: Barrier[str] = Barrier()
    barrier.put((1, 0), (0, 0), 5, "chunk 0")
    assert list(barrier.take(1)) == []
    barrier.put((1, 0), (0, 1), 6, "chunk 1")
    barrier.complete((1, 0), 0)
    assert list(barrier.take(1)) == [((1, 0), ["chunk 0", "chunk 1"])]


def test_take_when_timeframes_close_together_then_the_shorter_comes_first() -> None:
    """Bars of one close are decided from the shortest timeframe up."""
    barrier: Barrier[str] = Barrier()
    for rank in (1, 0):
        barrier.put((1, rank), (0, 0), 5 - rank, f"rank {rank}")
        barrier.complete((1, rank), 0)
    assert [bar for bar, _ in barrier.take(1)] == [(1, 0), (1, 1)]


def test_complete_when_an_old_slice_is_sent_again_then_does_not_go_back() -> None:
    """What a partition has delivered only rises."""
    barrier: Barrier[str] = Barrier()
    barrier.complete((5, 0), 0)
    barrier.complete((1, 0), 0)
    assert barrier.delivered == {0: (5, 0)}
