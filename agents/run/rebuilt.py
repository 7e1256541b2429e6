"""A decision made again from the ticks on: every stage folded in this process, up to its bar.

The run's nearest checkpoint is the beginning, or its first tick. Where the ticks from there on were
deleted the bars are, and where those were deleted too nothing is: a window of features that begins
later has other bits. What was made is compared with what the run said, and if it differs, stage by
stage.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agents.run.divergence import Heard, Slot, earliest_stage
from agents.run.topic_backtest import TopicBacktest
from streams.codec import StateError
from streams.errors import TopicError
from streams.slices import Slice
from streams.timestamps import format_ns
from streams.topics import MARKET_BARS, MARKET_TICKS
from tables.checkpoint import Checkpoint
from tables.stores.run_checkpoints import RunCheckpoints


class Rebuilt(NamedTuple):
    """A decision as the whole chain makes it now.

    Attributes
    ----------
    value : bytes or None
        None if the chain does not make it, or if nothing is left to make it from.
    topic : str
        What was folded; empty if nothing was.
    begin_ns : int
        Up to which time the checkpoint stood; 0 where the run's first record is the beginning.
    begins, ends : tuple of int
        First offset of each partition, and the one behind the last.
    stage : str
        The earliest stage whose slice of the bar differs, ``risk`` if only the decision does;
        empty where the bytes are the same.
    missing : list of str
        Why earlier beginnings were not taken.
    """

    value: bytes | None = None
    topic: str = ""
    begin_ns: int = 0
    begins: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    stage: str = ""
    missing: tuple[str, ...] = ()


def rebuild(home: Path, servers: str, run: str, slot: Slot, recorded: bytes) -> Rebuilt:
    """Fold a run from its nearest beginning to a decision's bar, and compare with the recorded.

    Raises
    ------
    SettingsError, ArtifactError
        If the epochs or models that decided are no longer there.
    """
    missing: dict[str, None] = {}
    until = (None, format_ns(slot.ts_ns))
    for topic, begin in _beginnings(RunCheckpoints(home, run), slot.ts_ns, missing):
        test = TopicBacktest(home, servers, run, topic, until, begin=begin)
        try:
            test.check()
            if begin is None and not test.range.is_whole:
                missing |= dict.fromkeys(test.range.remarks)
                continue
            return asyncio.run(_folded(test, slot, recorded))._replace(missing=tuple(missing))
        except (TopicError, StateError) as error:
            missing[str(error)] = None
    return Rebuilt(missing=tuple(missing))


def _beginnings(
    kept: RunCheckpoints, ts_ns: int, missing: dict[str, None]
) -> Iterator[tuple[str, Checkpoint | None]]:
    """Yield from what a decision could be made, the shortest way first."""
    nearest = kept.nearest(ts_ns, missing)
    for topic in (MARKET_TICKS.name, MARKET_BARS.name):
        if nearest is not None:
            yield topic, nearest
        yield topic, None


async def _folded(test: TopicBacktest, slot: Slot, recorded: bytes) -> Rebuilt:
    heard = Heard(slot.decision_id)
    made: dict[tuple[str, int, int], Slice] = {}

    def watch(stage: str, slice_: Slice) -> None:
        if slice_.meta.close_ns == slot.ts_ns:
            made[stage, slice_.meta.partition, slice_.meta.chunk] = slice_

    test.watch = watch
    await test.fold(heard.take)
    is_same = heard.value == recorded
    stage = "" if is_same else await earliest_stage(test, made, slot)
    begin_ns = 0 if test.begin is None else test.begin.close_ns
    return Rebuilt(heard.value, test.topic, begin_ns, test.range.begins, test.range.ends, stage)
