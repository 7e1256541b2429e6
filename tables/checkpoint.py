"""Where a run stands: every stage's snapshots, and from which records on they are folded further.

The states are those that the stages keep in their tables, so a fold takes them up by the same way
as a worker after a restart. They need not be of one moment: each says itself what it has folded.
"""

from collections.abc import Mapping
from typing import NamedTuple

from streams.codec import pack_state, unpack_state
from streams.slices import SliceKey
from tables.stamped import Stamped

# (offset up to which the state has folded, its bytes) by the stage's own key.
States = dict[str, tuple[int, bytes]]


class Checkpoint(NamedTuple):
    """The states of a run's stages.

    Attributes
    ----------
    close_ns
        Nothing is decided yet of a later time than this, in ns since 1970.
    digests
        Epochs that may decide from there on.
    ticks, bars, book
        By partition, the first offset to fold of ``market-ticks``, ``market-bars`` and
        ``portfolio-events``.
    slices
        By partition and chunk, the key of the last slice that the stages of a symbol have folded.
    states
        By ``stage-partition``, and in it by the stage's own key.
    """

    close_ns: int
    digests: list[str]
    ticks: list[int]
    bars: list[int]
    book: list[int]
    slices: list[dict[int, SliceKey]]
    states: dict[str, States]

    def encode(self) -> bytes:
        """Return the bytes that are kept."""
        return pack_state(self)

    @classmethod
    def decode(cls, data: bytes) -> "Checkpoint":
        """Read what was kept.

        Raises
        ------
        StateError
            If the bytes are none.
        """
        return unpack_state(cls, data)

    def read(self, stage: str, partition: int, key: bytes) -> Stamped | None:
        """Return a stage's snapshot, None where it had none."""
        kept = self.states.get(place(stage, partition), {}).get(key.decode())
        return None if kept is None else Stamped(*kept)

    def is_folded(self, partition: int, key: SliceKey) -> bool:
        """Tell whether the stages of a symbol have folded a slice already."""
        last = self.slices[partition].get(key.chunk)
        return last is not None and key <= last


def place(stage: str, partition: int) -> str:
    """Return the name of a stage's states in a partition."""
    return f"{stage}-{partition}"


def plain(states: Mapping[bytes, Stamped]) -> States:
    """Return a stage's snapshots as they are kept."""
    return {key.decode(): (*stamped,) for key, stamped in states.items()}
