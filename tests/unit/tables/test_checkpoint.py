"""A checkpoint's bytes, and what it says of stages and slices."""

import pytest

from streams.codec import StateError
from streams.slices import SliceKey
from tables.checkpoint import Checkpoint, place, plain
from tables.stamped import Stamped

KEPT = Checkpoint(
    close_ns=1_700_000_000_000_000_000,
    digests=["d"],
    ticks=[7, 0],
    bars=[3, 0],
    book=[5, 0],
    slices=[{0: SliceKey(60, 0, 0), 1: SliceKey(50, 0, 1)}, {}],
    states={place("bars", 0): plain({b"open": Stamped(7, b"\x00\xff")}), place("risk", 1): {}},
)


def test_checkpoint_when_written_then_is_read_as_it_was() -> None:
    """Offsets, keys and the bytes of states, none of them changed."""
    assert Checkpoint.decode(KEPT.encode()) == KEPT


@pytest.mark.parametrize("data", [b"", b"checkpoint", KEPT.encode()[:-3]])
def test_checkpoint_when_the_bytes_are_none_then_is_refused(data: bytes) -> None:
    """A file of something else, or half of one, is no state to go on from."""
    with pytest.raises(StateError):
        Checkpoint.decode(data)


def test_read_when_a_stage_has_no_snapshot_then_there_is_none() -> None:
    """A fold takes up what was kept, and begins empty elsewhere."""
    assert KEPT.read("bars", 0, b"open") == Stamped(7, b"\x00\xff")
    assert KEPT.read("bars", 1, b"open") is None
    assert KEPT.read("risk", 1, b"main") is None


@pytest.mark.parametrize(
    ("partition", "key", "is_folded"),
    [
        (0, SliceKey(60, 0, 0), True),
        (0, SliceKey(61, 0, 0), False),
        (0, SliceKey(60, 0, 1), False),
        (0, SliceKey(50, 0, 1), True),
        (1, SliceKey(1, 0, 0), False),
    ],
)
def test_slice_when_its_chunk_has_come_so_far_then_is_folded(
    *, partition: int, key: SliceKey, is_folded: bool
) -> None:
    """Each chunk of a partition has a last slice of its own."""
    assert KEPT.is_folded(partition, key) is is_folded
