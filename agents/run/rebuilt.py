"""A decision made again from the ticks on: every stage folded in this process, up to its bar.

Where the first ticks were deleted the bars are the beginning, and where those were deleted too
nothing is: a window of features that begins later has other bits. What was made is compared with
what the run said, and if it differs, stage by stage.
"""

import asyncio
from pathlib import Path
from typing import NamedTuple

from agents.run.divergence import Heard, Slot, earliest_stage
from agents.run.topic_backtest import TopicBacktest
from streams.errors import TopicError
from streams.slices import Slice
from streams.timestamps import format_ns
from streams.topics import MARKET_BARS, MARKET_TICKS


class Rebuilt(NamedTuple):
    """A decision as the whole chain makes it now.

    Attributes
    ----------
    value : bytes or None
        None if the chain does not make it, or if nothing is left to make it from.
    topic : str
        What was folded; empty if nothing was.
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
    begins: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    stage: str = ""
    missing: tuple[str, ...] = ()


def rebuild(home: Path, servers: str, run: str, slot: Slot, recorded: bytes) -> Rebuilt:
    """Fold a run from its beginning to a decision's bar, and compare with what was recorded.

    Raises
    ------
    SettingsError, ArtifactError
        If the epochs or models that decided are no longer there.
    """
    missing: list[str] = []
    for topic in (MARKET_TICKS.name, MARKET_BARS.name):
        test = TopicBacktest(home, servers, run, topic, (None, format_ns(slot.ts_ns)))
        try:
            test.check()
        except TopicError as error:
            missing.append(str(error))
            continue
        if not test.range.is_whole:
            missing += test.range.remarks
            continue
        return asyncio.run(_folded(test, slot, recorded))._replace(missing=tuple(missing))
    return Rebuilt(missing=tuple(missing))


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
    return Rebuilt(heard.value, test.topic, test.range.begins, test.range.ends, stage)
