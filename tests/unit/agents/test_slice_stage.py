"""The fold of a stage of a symbol, with a step that counts what it saw."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from agents.slice_stage import SNAPSHOT_SLICES, SliceFold, SliceSpec, route_to
from agents.stage import Output, Reader
from models.errors import NotFinite
from models.model_set import ModelSet
from streams.codec import StateError
from streams.errors import RecordError, SliceConflict
from streams.slices import FloatArray, Slice, SliceMeta
from streams.transport import Record
from tables.stores.artifacts import ArtifactMissing
from tests.builders import (
    MIDNIGHT,
    MINUTE,
    Alone,
    Run,
    Sent,
    bars,
    epoch,
    epochs_in,
    letters,
    meta,
    outputs,
    reasons,
    record,
)

SYMBOLS = ("AAA", "BBB", "CCC")


class Seen(NamedTuple):
    """How often each symbol of a chunk had a bar."""

    count: npt.NDArray[np.int64]


def initial(n_symbols: int) -> Seen:
    """Begin at zero."""
    return Seen(np.zeros(n_symbols, np.int64))


def step(_models: ModelSet, state: Seen, slice_: Slice) -> tuple[Seen, Mapping[str, FloatArray]]:
    """Count; closes of 13 cannot be used, closes of 66 are a fault of the record."""
    closes = slice_.floats("close").tolist()
    if 13.0 in closes:
        raise NotFinite("thirteen")
    if 66.0 in closes:
        raise RecordError("SIXTY_SIX", "sixty-six")
    count = state.count.copy()
    count[slice_.rows()] += 1
    return Seen(count), {"seen": count[slice_.rows()].astype(np.float64)}


SPEC = SliceSpec("counting", Seen, initial, step, route_to("counted"))


class World:
    """A partition of slices of one epoch.

    Parameters
    ----------
    root
        Directory of the artefacts.
    symbols
        The universe, all in partition 0.
    """

    def __init__(self, root: Path, symbols: tuple[str, ...] = SYMBOLS) -> None:
        self.symbols = symbols
        self.epochs, (self.digest,) = epochs_in(root, epoch(symbols))
        self.chunks = epoch(symbols).chunks(0)
        self.run = Run(self.new_fold)

    def new_fold(self, partition: int, read: Reader) -> Alone:
        """Make the fold of a partition."""
        return Alone(SliceFold(SPEC, self.epochs, partition, read))

    def about(self, minute: int, chunk: int = 0) -> SliceMeta:
        """Describe a slice of a minute."""
        n_chunks = len(self.chunks)
        close_ns = MIDNIGHT + minute * MINUTE
        return meta(close_ns, chunk=chunk, n_chunks=n_chunks, epoch_digest=self.digest)

    def slice(self, minute: int, closes: Mapping[str, float], chunk: int = 0) -> Slice:
        """Build the slice of a minute."""
        return bars(self.about(minute, chunk), closes, self.chunks[chunk])

    def record(self, offset: int, slice_: Slice) -> Record:
        """Build the record of a slice."""
        headers = [("due_ns", b"1")]
        return record(slice_.encode(), offset, headers=headers, topic="market-bars")

    def take(self, *slices: Slice) -> list[Sent]:
        """Fold slices at offsets from 0."""
        return self.run.take(self.record(i, slice_) for i, slice_ in enumerate(slices))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a partition with three symbols."""
    return World(tmp_path)


def seen(sent: list[Sent]) -> list[list[float]]:
    """Return the column that the stage appended, slice by slice."""
    return [Slice.decode(value).floats("seen").tolist() for value in outputs(sent, "counted")]


def test_apply_when_slices_come_then_appends_columns_and_keeps_the_place(world: World) -> None:
    """Same key, same columns and one more; partition, key and headers are the source's."""
    fresh = world.slice(1, {"AAA": 1.0, "CCC": 3.0})
    (output,) = world.take(fresh)
    assert isinstance(output, Output)
    assert (output.topic, output.key, output.partition) == ("counted", b"0", 0)
    assert output.headers == [("due_ns", b"1")]
    result = Slice.decode(output.value)
    assert result.meta == fresh.meta
    assert result.batch.schema.names == [*fresh.batch.schema.names, "seen"]


def test_apply_when_symbols_come_and_go_then_the_state_is_theirs(world: World) -> None:
    """Each symbol counts its own bars."""
    sent = world.take(
        world.slice(1, {"AAA": 1.0}),
        world.slice(2, {"AAA": 1.0, "BBB": 1.0}),
        world.slice(3, {}),
        world.slice(4, {"BBB": 1.0, "CCC": 1.0}),
    )
    assert seen(sent) == [[1.0], [2.0, 1.0], [], [2.0, 1.0]]


def test_apply_when_a_slice_is_repeated_then_causes_nothing(world: World) -> None:
    """A re-sent slice has a new offset and the same key: it was folded before."""
    one, two = world.slice(1, {"AAA": 1.0}), world.slice(2, {"AAA": 1.0})
    assert seen(world.take(one, two, two, one)) == [[1.0], [2.0]]


def test_apply_when_the_key_comes_with_other_bytes_then_is_fatal(world: World) -> None:
    """Two writers, or a fold that is no function, stop the stage."""
    world.take(world.slice(1, {"AAA": 1.0}))
    with pytest.raises(SliceConflict, match="counting, partition 0"):
        world.take(world.slice(1, {"AAA": 2.0}))


def test_apply_when_the_conflict_comes_after_a_restart_then_is_fatal_too(world: World) -> None:
    """The checksum of the last slice is part of the snapshot."""
    world.take(world.slice(1, {"AAA": 1.0}))
    world.run.persist()
    world.run.restart()
    assert world.take(world.slice(1, {"AAA": 1.0})) == []
    with pytest.raises(SliceConflict):
        world.take(world.slice(1, {"AAA": 2.0}))


@pytest.mark.parametrize("value", [None, b"", b"garbage", b"\xff" * 1_000_000])
def test_apply_when_a_record_is_no_slice_then_is_a_letter(
    world: World, value: bytes | None
) -> None:
    """The letter has origin and bytes; without a key nothing can be sent on."""
    (letter,) = letters(world.run.take([record(value, 7, topic="market-bars")]))
    assert (letter.reason, letter.stage, letter.raw) == ("NOT_A_SLICE", "counting", value or b"")
    assert letter.origin[:4] == ("market-bars", 0, 7, 0)
    assert seen(world.take(world.slice(1, {"AAA": 1.0}))) == [[1.0]]


def test_apply_when_a_slice_is_of_another_place_then_is_a_letter(world: World) -> None:
    """A slice of another partition or chunk has no state here."""
    about = world.about(1)
    elsewhere = meta(about.close_ns, partition=1, n_partitions=2, epoch_digest=world.digest)
    beyond = meta(about.close_ns, chunk=1, n_chunks=2, epoch_digest=world.digest)
    sent = world.take(bars(elsewhere, {}, SYMBOLS), bars(beyond, {}, SYMBOLS))
    assert reasons(sent) == ["WRONG_PARTITION", "NO_SUCH_CHUNK"]
    assert outputs(sent, "counted") == []


def test_apply_when_the_epoch_is_unknown_then_the_stage_stops(world: World) -> None:
    """A stage waits for its epoch or stops, it never guesses."""
    with pytest.raises(ArtifactMissing):
        world.take(bars(meta(epoch_digest="f" * 64), {}, SYMBOLS))


@pytest.mark.parametrize(("close", "reason"), [(13.0, "NotFinite"), (66.0, "SIXTY_SIX")])
def test_apply_when_the_step_fails_then_a_letter_and_the_void_key_leave(
    world: World, close: float, reason: str
) -> None:
    """What cannot be computed is kept, its key goes on without rows, and the state is untouched."""
    failing = world.slice(2, {"AAA": close})
    sent = world.take(world.slice(1, {"AAA": 1.0}), failing, world.slice(3, {"AAA": 1.0}))
    (letter,) = letters(sent)
    assert (letter.reason, letter.raw) == (reason, failing.encode())
    first, void, last = (Slice.decode(value) for value in outputs(sent, "counted"))
    assert (void.meta.void, void.n_rows, void.key) == (reason, 0, failing.key)
    assert last.floats("seen").tolist() == [2.0]
    assert first.meta.void == last.meta.void == ""


def test_apply_when_a_slice_is_void_then_passes_it_on(world: World) -> None:
    """A void slice is nobody's input, and its reason stays."""
    void = world.slice(1, {"AAA": 1.0}).voided("NotFinite")
    sent = world.take(void, world.slice(2, {"AAA": 1.0}))
    first, second = (Slice.decode(value) for value in outputs(sent, "counted"))
    assert first.encode() == void.encode()
    assert second.floats("seen").tolist() == [1.0]
    assert letters(sent) == []


def story(world: World) -> list[Record]:
    """Write a log with repeats, gaps, failures and poison."""
    slices = [
        world.slice(1, {"AAA": 1.0}),
        world.slice(2, {"AAA": 1.0, "BBB": 2.0}),
        world.slice(2, {"AAA": 1.0, "BBB": 2.0}),
        world.slice(3, {"AAA": 13.0}),
        world.slice(4, {}),
        world.slice(5, {"CCC": 1.0}),
        world.slice(6, {"AAA": 1.0}).voided("why"),
        world.slice(7, {"AAA": 1.0, "BBB": 1.0, "CCC": 1.0}),
    ]
    log = [world.record(i, slice_) for i, slice_ in enumerate(slices)]
    return [*log, record(b"poison", len(log), topic="market-bars")]


def test_fold_when_restarted_at_any_slice_then_gives_the_same_bytes(world: World) -> None:
    """Snapshot, crash and restart at every cut change no byte of what is sent or kept."""
    log = story(world)
    whole = Run(world.new_fold)
    expected = whole.take(log)
    whole.persist()
    for cut in range(len(log) + 1):
        run = Run(world.new_fold)
        assert run.take_with_restart_at(cut, log) == expected
        run.persist()
        kept, wanted = run.memory.states[b"0"], whole.memory.states[b"0"]
        assert kept.state == wanted.state


def test_fold_when_the_snapshot_has_another_layout_then_says_so(world: World) -> None:
    """A state of another version stops the stage with the way out, not somewhere in a step."""
    log = [r for r in story(world) if r.value != b"poison"]
    world.run.take(log[:2])
    world.run.persist()
    wider = SliceSpec("counting", Seen, lambda n: initial(n + 1), step, route_to("counted"))
    world.run.fold = Alone(SliceFold(wider, world.epochs, 0, world.run.memory.read))
    with pytest.raises(StateError, match="replay the run into fresh topics"):
        world.run.take(log[2:3])


def test_fold_when_the_broker_sends_from_before_then_causes_nothing(world: World) -> None:
    """What was folded is known by its key, whatever its offset is."""
    log = [r for r in story(world) if r.value != b"poison"]
    run = Run(world.new_fold)
    run.take(log)
    run.persist()
    run.restart()
    assert run.take(log) == []


def test_fold_when_a_partition_has_chunks_then_each_has_its_state(tmp_path: Path) -> None:
    """600 symbols are two chunks, each with a record of its own in the table."""
    symbols = tuple(f"S{i:04d}" for i in range(600))
    world = World(tmp_path, symbols)
    log = [
        world.slice(minute, {symbol: 1.0}, chunk)
        for minute in (1, 2)
        for chunk, symbol in ((0, "S0511"), (1, "S0512"))
    ]
    assert seen(world.take(*log)) == [[1.0], [1.0], [2.0], [2.0]]
    world.run.persist()
    assert set(world.run.memory.states) == {b"0", b"1"}
    world.run.restart()
    assert seen(world.take(world.slice(3, {"S0512": 1.0}, 1))) == [[3.0]]
    world.run.persist()
    snapshot = world.run.fold.snapshot()
    assert snapshot.states == {}


def test_due_when_many_slices_were_folded_then_asks_for_a_snapshot(world: World) -> None:
    """A restart folds at most so many slices again."""
    for minute in range(1, SNAPSHOT_SLICES):
        world.take(world.slice(minute, {}))
    assert not world.run.fold.due()
    world.take(world.slice(SNAPSHOT_SLICES, {}))
    assert world.run.fold.due()
    world.run.persist()
    assert not world.run.fold.due()
