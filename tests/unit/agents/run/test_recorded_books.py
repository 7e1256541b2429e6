"""A recorded log walked again: its order is kept, its slices are made anew."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from agents.run.in_process import Books, Said
from agents.run.recorded_books import RecordedBooks
from streams.dead_letters import DeadLetter
from streams.partitions import partition_of
from streams.slices import Slice
from streams.transport import Record
from tables.checkpoint import Checkpoint
from tests.integration.test_book_log import HALT
from tests.unit.agents.test_risk import World, all_at
from tests.unit.tables.test_checkpoint import KEPT

HOME = partition_of("main", 2)


async def log_of(*records: Record) -> AsyncIterator[Record]:
    """Yield records as the portfolio's partition does."""
    for record in records:
        yield record._replace(partition=HOME)


async def walked(
    world: World,
    log: list[Record],
    made: list[Slice],
    last_ns: int = 1 << 62,
    begin: Checkpoint | None = None,
) -> tuple[list[Said], int]:
    """Let the books take slices in their own order, and walk the log behind each."""
    logs = [log_of(*log) if partition == HOME else log_of() for partition in (0, 1)]
    books = RecordedBooks(Books(world.epochs, 2, begin), logs, last_ns, begin)
    said = []
    for slice_ in made:
        assert list(books.take(slice_)) == []
        said += [each async for each in books.catch_up()]
    said += [each async for each in books.catch_up()]
    return said, books.n_records


def halt(world: World) -> Record:
    """Return the record of a halt at the next offset."""
    world.offset += 1
    value = msgspec.json.encode(HALT)
    return Record("portfolio-events", HOME, world.offset - 1, b"main", value, [])


def verdicts(said: list[Said]) -> list[list[str]]:
    """Return what was refused, bar by bar."""
    return [
        sorted({r.code for d in each.decisions for r in d.rejection_reasons})
        for each in said
        if not isinstance(each, DeadLetter)
    ]


async def test_books_when_a_halt_stood_between_bars_then_acts_there_again(tmp_path: Path) -> None:
    """The bar before it trades and the one behind it does not, in whatever order slices come."""
    world = World(tmp_path)
    slices = [world.slice(m, p, all_at(100.0, target=0.1)) for m in (1, 2) for p in (0, 1)]
    log = [world.record(slices[1]), world.record(slices[0]), halt(world)]
    log += [world.record(slices[0]), world.record(slices[2]), world.record(slices[3])]
    said, n_records = await walked(world, log, [slices[2], slices[0], slices[1], slices[3]])
    assert n_records == 1
    assert verdicts(said) == [["CORRELATION_WARMUP"], [], ["CORRELATION_WARMUP", "HALTED"]]


async def test_books_when_the_log_holds_garbage_then_it_is_a_letter_again(tmp_path: Path) -> None:
    """What nothing could be made of when it was recorded is not lost now."""
    world = World(tmp_path)
    bad = Record("portfolio-events", HOME, 0, b"main", b"intent: buy", [])
    said, n_records = await walked(world, [bad], [])
    assert [each.reason for each in said if isinstance(each, DeadLetter)] == ["NOT_A_SLICE"]
    assert n_records == 1


async def test_books_when_the_log_ends_then_slices_beyond_it_wait(tmp_path: Path) -> None:
    """A run that was ended in the middle decided no more, and neither does its backtest."""
    world = World(tmp_path)
    slices = [world.slice(m, p, all_at(100.0)) for m in (1, 2) for p in (0, 1)]
    said, _ = await walked(world, [world.record(s) for s in slices[:2]], slices)
    assert len(said) == 1


async def test_books_when_the_range_ends_before_the_log_then_its_last_bar_is_decided(
    tmp_path: Path,
) -> None:
    """One partition was a bar ahead; the halt behind the next decision acts on nothing here."""
    world = World(tmp_path)
    slices = [world.slice(m, p, all_at(100.0, target=0.1)) for m in (1, 2) for p in (0, 1)]
    ahead = [world.record(slices[n]) for n in (1, 3, 0)]
    log = [*ahead, halt(world), world.record(slices[2]), halt(world)]
    said, n_records = await walked(world, log, slices[:2], slices[0].meta.close_ns)
    # Two accounts: the bar's, and that of the halt which stood before the next bar's decision.
    assert (verdicts(said), n_records) == ([["CORRELATION_WARMUP"], []], 1)


async def test_books_when_the_chain_went_on_from_a_checkpoint_then_older_slices_are_the_logs(
    tmp_path: Path,
) -> None:
    """The first bar waited undecided when the checkpoint was taken, and is not made again."""
    world = World(tmp_path)
    slices = [world.slice(m, p, all_at(100.0, target=0.1)) for m in (1, 2) for p in (0, 1)]
    log = [world.record(slice_) for slice_ in slices]
    folded = [{0: slices[partition].key} for partition in (0, 1)]
    begin = KEPT._replace(slices=folded, states={})
    said, _ = await walked(world, log, slices[2:], begin=begin)
    assert len(verdicts(said)) == 2
    without, _ = await walked(world, log, slices[2:])
    assert without == []
