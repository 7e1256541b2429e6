"""The watchdog of a worker: what has work and makes no progress ends the process.

Restart is the recovery, so the rest is done by whoever started it. An await that never ends is seen
by offsets that stand still, a group that never agrees by a rebalance that stays the same one, a
send to a topic that was deleted by a broker that answers and does not have it; a step that never
gives the loop back by the thread of `loop_watched`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar, cast

import faust
from aiokafka.errors import KafkaError
from faust.exceptions import NotReady
from faust.tables import TableManager
from faust.types import TP
from mode import Service

from agents import waits
from agents.loop_watch import loop_watched
from agents.stage import Stage
from streams.away import n_waiting
from streams.transport import Consumer, Producer, consumer_of, producer_of

log = logging.getLogger("tradewind.watchdog")

Answer = TypeVar("Answer")

# Two minutes: a step takes milliseconds, and a broker that is away is no trouble of ours. Looks are
# counted and no seconds, because a process that was frozen has had no time.
LOOKS = 12
EVERY_S = 10.0

_ASK_S = 5.0
# Markers of transactions are at a topic's end and are never handed on.
_MARKERS_MOST = 16


class StageStuck(Exception):  # noqa: N818  says what is the case
    """A stage has records to fold, and has folded none for long.

    Operator action: none at first, the process starts again; if it comes back, the log names the
    stage, the record and where it waits: see docker/runbooks/StageLag.md.
    """


class GroupStuck(Exception):  # noqa: N818  says what is the case
    """The broker answers, and a rebalance of this worker's group, or its recovery, does not end.

    Operator action: none at first, the process starts again; if it comes back, the log says where
    every task of the process waits: see docker/runbooks/StageLag.md.
    """


class TopicGone(Exception):  # noqa: N818  says what is the case
    """A send waits for a topic that the broker, which answers, does not have.

    Operator action: a topic is deleted by people alone. `tradewind down`, restore the run from its
    archive into a new one, and take from whoever did it the right to delete topics.
    """


class Watched(NamedTuple):
    """A stage and the full name of the topic that it reads."""

    stage: Stage
    topic: str


class Standing(NamedTuple):
    """Where a partition stands: folded, handed on and fetched up to an offset, and its end."""

    folded: int
    handed_on: int
    fetched: int
    end: int

    @property
    def is_behind(self) -> bool:
        """Whether there is work: records that were handed on, or that the broker has.

        What was fetched and never handed on is work, too: the position alone would hide it.
        """
        return self.folded < self.handed_on or self.end - self.folded > _MARKERS_MOST


class Regrouping(NamedTuple):
    """Which rebalance since the start this is, and how many records its recovery has to read."""

    number: int
    to_recover: int


class _Looks:
    """How many looks in a row have found the same as the first of them."""

    def __init__(self) -> None:
        self._found: object = None
        self._n = 0

    def of(self, found: object) -> int:
        """Count one more; nothing found is nothing that stands still."""
        self._n = self._n + 1 if found is not None and found == self._found else 0
        self._found = found
        return self._n


class Watchdog(Service):
    """Looks at every partition of a worker's stages, and at its group.

    Parameters
    ----------
    app
        The worker; it ends if one is stuck.
    watched
        Its stages.
    looks, every_s
        So many looks in a row without progress are too many, and how far they are apart.
    """

    def __init__(
        self,
        app: faust.App,
        watched: Sequence[Watched],
        looks: int = LOOKS,
        every_s: float = EVERY_S,
    ) -> None:
        super().__init__()
        self._app = app
        self._watched = watched
        self._looks = looks
        self._every_s = every_s
        self._stood: dict[TP, tuple[Standing, int]] = {}
        self._regrouping = _Looks()
        self._gone = _Looks()

    async def on_start(self) -> None:
        """Begin to look."""
        self.add_future(self._watch())

    async def _watch(self) -> None:
        with loop_watched():
            while not self.should_stop:
                await self.sleep(self._every_s)
                await self.look()

    async def look(self) -> None:
        """Look once; end the worker if its group, a send or a partition stood still too long."""
        regrouping = await self._regroups()
        if self._regrouping.of(regrouping) >= self._looks:
            await self._end_group(cast(Regrouping, regrouping))
            return
        gone = await self._waits_for_what_is_gone()
        if self._gone.of(gone) >= self._looks:
            await self._end_waits(cast("list[str]", gone))
            return
        standings = await self._standings()
        self._stood = {tp: self._counted(tp, found) for tp, found in standings.items()}
        for tp, (standing, n) in self._stood.items():
            if n >= self._looks:
                await self._end(tp, standing)
                return

    def _counted(self, tp: TP, found: Standing) -> tuple[Standing, int]:
        before, n = self._stood.get(tp, (found, -1))
        stands = found.is_behind and (before.folded, before.fetched) == (
            found.folded,
            found.fetched,
        )
        return found, n + 1 if stands else 0

    async def _regroups(self) -> Regrouping | None:
        """Return the rebalance under way; None if there is none, or the broker is the reason."""
        app = self._app
        if not (app.rebalancing or app.in_recovery) or n_waiting():
            return None
        if not await self._asked(lambda producer: producer.answers()):
            return None
        recovery = cast(TableManager, app.tables).recovery
        return Regrouping(app.rebalancing_count, recovery.active_remaining_total())

    async def _waits_for_what_is_gone(self) -> list[str] | None:
        """Return the topics that a broker does not have while something waits for it, or None."""
        gone = await self._asked(lambda producer: producer.gone()) if n_waiting() else None
        return sorted(gone) if gone else None

    async def _asked(self, ask: Callable[[Producer], Awaitable[Answer]]) -> Answer | None:
        """Return what the broker says in time; None if it says nothing."""
        try:
            async with asyncio.timeout(_ASK_S):
                return await ask(producer_of(self._app))
        except (KafkaError, NotReady, OSError, TimeoutError) as error:
            log.info("the broker does not answer: %r", error)
            return None

    async def _end_waits(self, gone: Sequence[str]) -> None:
        text = (
            f"the broker answers and does not have {', '.join(gone)}, to which this worker sends, "
            f"{self._looks} looks of {self._every_s:g} s long: somebody has deleted it"
        )
        log.critical("a topic is gone, this process ends: %s", text)
        await self._app.crash(TopicGone(text))

    async def _end_group(self, regrouping: Regrouping) -> None:
        text = (
            f"rebalance {regrouping.number} since the start, with {regrouping.to_recover} records "
            f"to recover, does not end, {self._looks} looks of {self._every_s:g} s long"
        )
        where = waits.of_worker(self._app)
        log.critical("the group is stuck, this process ends: %s\n%s", text, where)
        await self._app.crash(GroupStuck(text))

    async def _standings(self) -> dict[TP, Standing]:
        """Return where partitions stand; none while the broker or the group is the reason."""
        app = self._app
        if app.rebalancing or app.in_recovery or n_waiting():
            return {}
        stages = {each.topic: each.stage for each in self._watched}
        try:
            async with asyncio.timeout(_ASK_S):
                consumer = consumer_of(app)
                places = [tp for tp in consumer.assignment() if tp.topic in stages]
                ends = await consumer.highwaters(*places)
                fetched = await _positions(consumer, places)
        except Exception as error:  # noqa: BLE001  whatever the broker says, it is no stuck stage
            log.info("the broker does not say how far its topics are: %r", error)
            return {}
        return {
            tp: _standing(stages[tp.topic], tp, consumer, fetched[tp], ends.get(tp) or 0)
            for tp in places
            if tp in fetched
        }

    async def _end(self, tp: TP, standing: Standing) -> None:
        text = (
            f"{tp.topic}:{tp.partition} stands at offset {standing.folded} and was read up to "
            f"{standing.fetched} of {standing.end}, {self._looks} looks of {self._every_s:g} s long"
        )
        name = next(each.stage.name for each in self._watched if each.topic == tp.topic)
        where = waits.of_task(f"{name}-{tp.partition}")
        log.critical("stage %s is stuck, this process ends: %s\n%s", name, text, where)
        await self._app.crash(StageStuck(f"stage {name}: {text}"))


def _standing(stage: Stage, tp: TP, consumer: Consumer, fetched: int, end: int) -> Standing:
    fold = stage.fold_of(tp.partition)
    handed_on = consumer.goes_on.get(tp, 0)
    # Without a fold nothing was handed on since the start.
    folded = handed_on if fold is None else int(getattr(fold, "next_offset", handed_on))
    return Standing(folded, handed_on, fetched, end)


async def _positions(consumer: Consumer, places: Iterable[TP]) -> dict[TP, int]:
    found = {tp: await consumer.position(tp) for tp in places}
    return {tp: position for tp, position in found.items() if position is not None}
