"""The thread in which Faust's consumer talks to the broker, while its group rebalances and ends."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, cast

import faust
import faust.transport.drivers.aiokafka as driver
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IllegalStateError, KafkaError
from faust.types import TP, AppT

from streams.clock import monotonic_s
from streams.closed_connections import ask_again_when_closed
from streams.late_end import end_late

log = logging.getLogger("tradewind.broker")

# What was fetched, by partition.
Records = Mapping[TP, list[ConsumerRecord]]

FETCH_MAX_WAIT_MS = 10

# How long a fetch is put off while the group rebalances.
_REGROUPING_S = 0.02

# What the end in order may take in a crash: nothing is lost without it, and a restart takes less.
_END_S = 15.0


class App(faust.App):
    """An app that says how long the broker may hold its fetches while nothing comes.

    When it crashes, its end in order has some seconds: a step that hangs or a client that failed
    may never let it come to its end, and nobody starts a process again that is still there.
    """

    fetch_max_wait_ms = FETCH_MAX_WAIT_MS

    def _crash(self, reason: BaseException) -> None:
        if not self.crashed:
            end_late(_END_S)
        super()._crash(reason)


def crash_without_metadata(app: AppT, client: AIOKafkaClient) -> None:
    """End the worker when a client's round of metadata fails: it would find no other broker.

    Nobody else would hear of it: who asks for metadata waits then.
    """

    def ended(task: "asyncio.Task[None]") -> None:
        if (error := _error_of(task)) is not None:
            client._sync_task = None  # noqa: SLF001  to be closed without raising it once more
            crash(app, error)

    client._sync_task.add_done_callback(ended)  # noqa: SLF001  no public name


def _error_of(task: "asyncio.Task[None]") -> BaseException | None:
    return None if task.cancelled() else task.exception()


def crash(app: AppT, error: BaseException) -> None:
    """End the worker, by its own means or without: its loop may be what hangs."""
    log.critical("the client of the broker failed, this process ends: %r", error)
    end_late(_END_S)
    asyncio.run_coroutine_threadsafe(app.crash(error), app.loop)


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to the broker."""

    # When the group was last asked and still knew this worker, on the monotonic clock.
    member_at_s = -math.inf

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        wait_ms = getattr(self.app, "fetch_max_wait_ms", FETCH_MAX_WAIT_MS)
        consumer._fetch_max_wait_ms = wait_ms  # noqa: SLF001  the driver hard-codes it
        ask_again_when_closed()
        return consumer

    async def getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109  base
    ) -> Records:
        """Take what was fetched of these partitions, or of all where there is no set."""
        # Faust changes its set in place while this thread reads it, and aiokafka takes an empty one
        # for all partitions.
        asked = None if active_partitions is None else set(active_partitions)
        taken: Records = await super().getmany(asked, timeout)
        return taken

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        *args: Any,  # noqa: ANN401  of the base
        **kwargs: Any,  # noqa: ANN401  of the base
    ) -> Records:
        # In a group that rebalances it would wait for the end of that, in one of two places that
        # this thread has for whatever the app asks of it.
        if consumer._subscription.reassignment_in_progress:  # noqa: SLF001  no public name
            await asyncio.sleep(_REGROUPING_S)
            return {}
        taken: Records = await super()._fetch_records(consumer, *args, **kwargs)
        if self.consumer.flow_active:
            return taken
        # Whoever asked drops what comes while the flow is suspended, and does not look where it
        # comes from: a recovery that has sought already would wait for it for ever.
        assigned = self.assignment()
        for tp, records in taken.items():
            if tp in assigned:
                consumer.seek(tp, records[0].offset)
        return {}

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit, unless this thread has ended: a crash may end it first, and nobody answers."""
        asked = asyncio.ensure_future(super().commit(offsets))
        ended = asyncio.ensure_future(self._shutdown.wait())
        try:
            await asyncio.wait({asked, ended}, return_when=asyncio.FIRST_COMPLETED)
            return asked.done() and bool(asked.result())
        finally:
            asked.cancel()
            ended.cancel()

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        # Between two assignments there is nobody to commit for, and Faust takes that for a crash.
        subscription = self._ensure_consumer()._subscription.subscription  # noqa: SLF001  no public name
        if subscription is None or subscription.assignment is None:
            return False
        return bool(await super()._commit(offsets))

    async def _seek_wait(self, consumer: AIOKafkaConsumer, partitions: Mapping[TP, int]) -> None:
        # What has moved away meanwhile is read by another; what comes back is sought again.
        assigned = self.assignment()
        here = {tp: offset for tp, offset in partitions.items() if tp in assigned}
        with suppress(IllegalStateError):  # it moved away while its position was waited for
            await super()._seek_wait(consumer, here)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek what is assigned to what was committed, or to its first record where nothing was.

        What moves away meanwhile is left out. A changelog has no such place: its recovery seeks.
        """
        offsets: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return offsets

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        # aiokafka asks for one offset after the other and seeks whatever became of the partition.
        # Where nothing was committed it seeks nothing, and what was fetched and dropped since, in
        # a group that rebalances again, would never be read.
        consumer = self._ensure_consumer()
        sought: dict[TP, int] = {}
        for tp in sorted(self.assignment()):
            if self.consumer._is_changelog_tp(tp):  # noqa: SLF001  no public name
                continue
            offset = await consumer.committed(tp)
            if offset is None:
                offset = (await consumer.beginning_offsets([tp]))[tp]
            if tp in self.assignment():
                sought[tp] = offset
                consumer.seek(tp, offset)
        return sought

    async def on_start(self) -> None:
        """Watch the membership from the start: Faust never asks aiokafka whether it still lives."""
        await super().on_start()
        consumer = cast(AIOKafkaConsumer, self._consumer)
        coordinator = consumer._coordinator  # noqa: SLF001  no public name
        crash_without_metadata(self.app, consumer._client)  # noqa: SLF001  no public name

        def is_ending() -> bool:
            return bool(coordinator._closing.done() or self.app.should_stop)  # noqa: SLF001  no public name

        def ended(task: "asyncio.Task[None]") -> None:
            # Also one that was cancelled, by a helper of its own.
            if not is_ending():
                crash(self.app, _error_of(task) or KafkaError("the group's task has ended"))

        ask, push = coordinator._do_heartbeat, coordinator._push_error_to_user  # noqa: SLF001  no public name

        async def heartbeat() -> bool:
            asked_s = monotonic_s()
            is_known = bool(await ask())
            if is_known:
                self.member_at_s = asked_s
            return is_known

        def pushed(error: Exception) -> Awaitable[object]:
            # The group's task waits from here on until somebody asks for the error: Faust does so
            # by chance, where a partition has no position.
            if not is_ending():
                crash(self.app, error)
            waiting: Awaitable[object] = push(error)
            return waiting

        coordinator._coordination_task.add_done_callback(ended)  # noqa: SLF001  no public name
        coordinator._do_heartbeat = heartbeat  # noqa: SLF001  no public name
        coordinator._push_error_to_user = pushed  # noqa: SLF001  no public name
