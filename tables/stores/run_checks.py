"""What the last check of a live run found, and from where the next one goes on: two files."""

from pathlib import Path

import msgspec

from tables.stamped import Stamped
from tables.stores.replacing import replacing

RESULT, ANCHORS = "run-check.json", "run-check.anchors"


class RunCheck(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes
    ----------
    at_ns
        When it was made, in ns since 1970.
    n_same
        Records that came out as they stand on their topics.
    n_differing
        Records that do not stand there.
    n_unchecked
        Records of input that could not be folded again.
    first
        The first record that differs, else why something was not checked; empty if all is well.
    """

    at_ns: int
    n_same: int = 0
    n_differing: int = 0
    n_unchecked: int = 0
    first: str = ""


class Anchor(msgspec.Struct, frozen=True):
    """A stage's states of a partition by key, and the offset from which a restart would read."""

    progress: int = 0
    states: dict[bytes, Stamped] = {}


# By stage and partition, as ``risk/0``.
Anchors = dict[str, Anchor]


def keep_check(home: Path, found: RunCheck, anchors: Anchors) -> None:
    """Write down what was found, then where the next check begins.

    After a crash in between a stretch is checked twice.
    """
    for name, said in (
        (RESULT, msgspec.json.encode(found)),
        (ANCHORS, msgspec.msgpack.encode(anchors)),
    ):
        with replacing(home / name) as file:
            file.write(said)


def last_check(home: Path) -> RunCheck | None:
    """Return what the last check found; None if there was none, or its file is damaged."""
    try:
        return msgspec.json.decode((home / RESULT).read_bytes(), type=RunCheck)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def anchors_of(home: Path) -> Anchors:
    """Return where the next check begins; nothing known, or damaged, is the beginning."""
    try:
        return msgspec.msgpack.decode((home / ANCHORS).read_bytes(), type=Anchors)
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}
