"""Carelessness that is planted: the seeds of the chain must find it. Each has one that does."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from faust.tables import Table

from agents.risk import RiskFold
from agents.stage import Snapshot, _PartitionTask
from streams.transport import Record, consumer_of
from tables.stamped import StampedTable

_snapshot, _step = RiskFold.snapshot, _PartitionTask._step


def _passes_over(_before: int | None, written: int) -> int:
    return written


def _takes_the_last(table: StampedTable, batch: Iterable[Any]) -> None:
    Table.apply_changelog_batch(table, batch)


async def _writes_nothing_again(*_: object) -> None:
    """Do nothing when a recovery is over."""


def _never_repeated(*_: object) -> bool:
    return False


def _forgets_who_waits(fold: RiskFold) -> Snapshot:
    return _snapshot(fold)._replace(next_offset=fold.next_offset)


async def _commits_what_it_sent(task: Any, records: list[Record]) -> None:  # noqa: ANN401  of the stage alone
    await _step(task, records)
    consumer_of(task.stage.app).advance(task.tp, records[-1].offset + 1)


async def _commits_what_it_took(task: Any, records: list[Record]) -> None:  # noqa: ANN401  as above
    consumer_of(task.stage.app).advance(task.tp, records[-1].offset + 1)
    await _step(task, records)


class Careless(NamedTuple):
    """What is put in whose place, and a seed that finds it."""

    name: str
    target: str
    instead: Callable[..., Any]
    seed: int


ALL = (
    # A bug that the simulation has found, in the stamped table.
    Careless(
        "a sleeper's write passes over the newer state of another worker",
        "tables.stamped.read_up_to",
        _passes_over,
        seed=1_017,
    ),
    Careless(
        "of two states the last record counts, not the highest stamp",
        "tables.stamped.StampedTable.apply_changelog_batch",
        _takes_the_last,
        seed=9,
    ),
    Careless(
        "what a sleeper has buried is left to compaction",
        "tables.stamped.StampedTable.on_recovery_completed",
        _writes_nothing_again,
        seed=500_000_000,
    ),
    Careless(
        "a slice that comes again is folded again",
        "agents.slice_stage.SliceFold._is_repeated",
        _never_repeated,
        seed=3,
    ),
    Careless(
        "slices that wait for their bar are not read again",
        "agents.risk.RiskFold.snapshot",
        _forgets_who_waits,
        seed=1,
    ),
    Careless(
        "what was sent is committed before the state is durable",
        "agents.stage._PartitionTask._step",
        _commits_what_it_sent,
        seed=3,
    ),
    Careless(
        "what was taken is committed before it is folded",
        "agents.stage._PartitionTask._step",
        _commits_what_it_took,
        seed=2,
    ),
)
