"""What the consumer's thread does while its group has no assignment, or another one."""

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP
from mode import Service

from streams import consumer_thread
from streams.consumer_thread import App, ConsumerThread

STAYS, GOES = TP("a", 0), TP("a", 1)
NEW, TABLE = TP("b", 0), TP("a-changelog", 0)


class _Rebalancing:
    """A consumer whose group has no assignment at the moment."""

    def __init__(self, assigned: set[TP] | None = None) -> None:
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=None))
        self.assigned = {STAYS} if assigned is None else assigned
        self.sought: list[Any] = []

    def assignment(self) -> set[TP]:
        """Return what is assigned: one partition has come back."""
        return self.assigned

    def seek(self, tp: TP, offset: int) -> None:
        """Seek as aiokafka does: what is not assigned is an error."""
        if tp not in self.assignment():
            raise IllegalStateError(f"No current assignment for partition {tp}")
        self.sought.append((tp, offset))

    async def committed(self, tp: TP) -> int | None:
        """Return what was committed; the second partition moves away while it is asked for."""
        self.assigned = self.assigned - {GOES}
        return {STAYS: 5, GOES: 6, NEW: None}[tp]

    async def beginning_offsets(self, tps: list[TP]) -> dict[TP, int]:
        """Return where topics begin; retention has taken some of them."""
        return dict.fromkeys(tps, 3)

    async def position(self, tp: TP) -> int:
        """Return a position as aiokafka does: what is not assigned any more is an error."""
        raise IllegalStateError(f"Partition {tp} is not assigned")

    async def commit(self, _offsets: object) -> None:
        """Commit as aiokafka does between two assignments."""
        raise IllegalStateError("No partitions assigned")


def _thread(consumer: _Rebalancing) -> ConsumerThread:
    thread = object.__new__(ConsumerThread)
    thread._consumer = consumer
    thread.consumer = SimpleNamespace(
        _read_offset={}, _committed_offset={}, _is_changelog_tp=lambda tp: tp == TABLE
    )
    thread.log = SimpleNamespace(dev=lambda *_: None)
    return thread


async def test_commit_when_the_group_is_between_assignments_then_nothing_is_committed() -> None:
    """Progress is kept and committed later; the worker lives on."""
    assert await _thread(_Rebalancing())._commit({STAYS: 7}) is False


async def test_seek_when_a_partition_has_moved_away_then_only_the_others_are_sought() -> None:
    """Whoever has it now reads it."""
    consumer = _Rebalancing()
    thread = _thread(consumer)
    with suppress(AttributeError):  # what Faust does behind the seeks needs a broker
        await thread._seek_wait(consumer, {STAYS: 5, GOES: 6})
    assert consumer.sought == [(STAYS, 5)]


async def test_seek_when_it_moves_away_while_it_is_waited_for_then_is_no_error() -> None:
    """The next assignment seeks again."""
    consumer = _Rebalancing()
    thread = _thread(consumer)
    thread.consumer.app = SimpleNamespace(conf=SimpleNamespace(broker_request_timeout=1.0))
    thread.app = thread.consumer.app
    await thread._seek_wait(consumer, {STAYS: 5})
    assert consumer.sought == [(STAYS, 5)]


async def test_seek_to_committed_when_one_moves_away_meanwhile_then_it_is_left_out() -> None:
    """The offset of what is gone is no place where this worker goes on."""
    consumer = _Rebalancing({STAYS, GOES})
    assert await _thread(consumer)._seek_to_committed() == {STAYS: 5}
    assert consumer.sought == [(STAYS, 5)]


async def test_seek_to_committed_when_nothing_was_committed_then_begins_at_the_first_record() -> (
    None
):
    """What was fetched and dropped in a group that rebalances again is read again."""
    consumer = _Rebalancing({STAYS, NEW})
    assert await _thread(consumer)._seek_to_committed() == {STAYS: 5, NEW: 3}
    assert sorted(consumer.sought) == [(STAYS, 5), (NEW, 3)]


async def test_seek_to_committed_when_a_table_recovers_then_its_changelog_is_left_alone() -> None:
    """Recovery says itself from where on it reads."""
    consumer = _Rebalancing({STAYS, TABLE})
    assert await _thread(consumer)._seek_to_committed() == {STAYS: 5}


@pytest.mark.parametrize("who", ["app", "service"])
async def test_app_when_it_crashes_then_its_end_in_order_has_its_time(
    who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, whoever of it crashes and how often: what waits for a thread that is gone hangs."""
    late: list[float] = []
    monkeypatch.setattr(consumer_thread, "end_late", late.append)
    app = App("unit", broker="tradewind://nowhere", autodiscover=False, store="memory://")
    part = Service(beacon=app.beacon)
    for _ in range(2):
        await (app if who == "app" else part).crash(RuntimeError("no"))
    assert isinstance(app.crash_reason, RuntimeError)
    assert late == [15.0]
