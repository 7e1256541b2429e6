"""A stage of a symbol: ``slice -> the slice with more columns``, keyed by partition.

State lives per chunk of symbols. A slice that was folded before causes nothing; the same key with
other bytes is fatal. A slice that cannot be used goes to the dead letters, and its key goes on
without rows, so that nothing downstream waits for it.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from agents.stage import Output, Reader, Snapshot
from models.errors import ModelError
from models.model_set import ModelSet
from streams.codec import StateError, layout_of, pack_state, unpack_state
from streams.dead_letters import DeadLetter, Origin
from streams.errors import RecordError, SliceConflict
from streams.slices import FloatArray, Slice, SliceKey
from streams.transport import Record
from tables.epochs import Epochs, LoadedEpoch
from tables.stamped import Stamped

State = TypeVar("State")

# Slices between two snapshots: a restart folds at most this many again, in well under a second.
SNAPSHOT_SLICES = 64

Route = Callable[[LoadedEpoch, Slice, bytes, Record], Iterable[Output]]


@dataclass(frozen=True, slots=True)
class SliceSpec(Generic[State]):
    """What a stage computes.

    Parameters
    ----------
    name
        Stage name.
    state_type
        NamedTuple that the state is.
    initial
        Number of symbols -> first state.
    step
        (models, state, slice) -> (state, new columns).
    route
        Where the encoded result goes.
    observe
        (state before, state after, result) -> metrics; what it says changes nothing.
    """

    name: str
    state_type: type[State]
    initial: Callable[[int], State]
    step: Callable[[ModelSet, State, Slice], tuple[State, Mapping[str, FloatArray]]]
    route: Route
    observe: Callable[[State, State, Slice], None] | None = None


def route_to(topic: str) -> Route:
    """Return the route of a slice that stays in its partition."""

    def route(
        _epoch: LoadedEpoch, _result: Slice, encoded: bytes, record: Record
    ) -> Iterable[Output]:
        key = str(record.partition).encode()
        return (Output(topic, key, encoded, record.headers, record.partition),)

    return route


class _Kept(NamedTuple):
    """A chunk's snapshot: the last slice folded, its checksum, the state's bytes."""

    close_ns: int
    rank: int
    chunk: int
    checksum: int
    state: bytes


def last_key(state: bytes) -> SliceKey:
    """Return the key of the last slice that a chunk's snapshot has folded.

    Raises
    ------
    StateError
        If the bytes are none.
    """
    kept = unpack_state(_Kept, state)
    return SliceKey(kept.close_ns, kept.rank, kept.chunk)


@dataclass(slots=True)
class _Chunk:
    """A chunk's live state."""

    state: Any
    last: SliceKey | None = None
    checksum: int = 0
    is_dirty: bool = False


@dataclass(slots=True)
class SliceFold(Generic[State]):
    """The fold of one partition."""

    spec: SliceSpec[State]
    epochs: Epochs
    partition: int
    read: Reader
    chunks: dict[int, _Chunk] = field(default_factory=dict)
    next_offset: int = 0
    n_since: int = 0

    def fold(
        self, record: Record, slice_: Slice | None = None
    ) -> tuple[list[DeadLetter], Slice | None]:
        """Fold one slice and return the wider one; None if there is none.

        ``slice_`` is that of the record, read already, or what a stage before has made of it.
        """
        self.next_offset = record.offset + 1
        value = record.value or b""
        try:
            slice_ = Slice.decode(value) if slice_ is None else slice_
            loaded = self.epochs.load(slice_.meta.epoch_digest)
            chunk = self._chunk(loaded, slice_)
        except RecordError as error:
            return [self._dead(record, error)], None
        if self._is_repeated(chunk, slice_, value):
            return [], None
        self.n_since += 1
        letters, result = self._folded(loaded, chunk, slice_, record)
        chunk.last, chunk.checksum, chunk.is_dirty = slice_.key, zlib.crc32(value), True
        return letters, result

    def _folded(
        self, loaded: LoadedEpoch, chunk: _Chunk, slice_: Slice, record: Record
    ) -> tuple[list[DeadLetter], Slice]:
        if slice_.meta.void:
            return [], slice_
        before = chunk.state
        try:
            chunk.state, columns = self.stepped(loaded, before, slice_)
        except (RecordError, ModelError) as error:
            reason = getattr(error, "reason", type(error).__name__)
            letter = self._dead(record, RecordError(reason, str(error)))
            return [letter], slice_.voided(reason)
        result = slice_.with_columns(columns)
        if self.spec.observe is not None and result.n_rows:
            self.spec.observe(before, chunk.state, result)
        return [], result

    def stepped(
        self, loaded: LoadedEpoch, state: State, slice_: Slice
    ) -> tuple[State, Mapping[str, FloatArray]]:
        """Return the next state of a chunk, and the columns that its slice gets."""
        return self.spec.step(loaded.models, state, slice_)

    def _is_repeated(self, chunk: _Chunk, slice_: Slice, value: bytes) -> bool:
        if chunk.last is None or slice_.key > chunk.last:
            return False
        # What a fold in this process has made was never bytes, and has no checksum.
        if value and slice_.key == chunk.last and zlib.crc32(value) != chunk.checksum:
            raise SliceConflict(
                f"stage {self.spec.name}, partition {self.partition}: slice {slice_.key} came "
                "again with other bytes"
            )
        return True

    def _chunk(self, loaded: LoadedEpoch, slice_: Slice) -> _Chunk:
        number = slice_.meta.chunk
        if slice_.meta.partition != self.partition:
            raise RecordError(
                "WRONG_PARTITION",
                f"slice of partition {slice_.meta.partition} came in partition {self.partition}",
            )
        chunk = self.chunks.get(number)
        if chunk is None:
            chunk = self.chunks[number] = self._restore(loaded, number)
        return chunk

    def _restore(self, loaded: LoadedEpoch, number: int) -> _Chunk:
        stamped = self.read(str(number).encode())
        chunks = loaded.epoch.chunks(self.partition)
        if number >= len(chunks):
            raise RecordError("NO_SUCH_CHUNK", f"chunk {number} of {len(chunks)} in the epoch")
        initial = self.spec.initial(len(chunks[number]))
        if stamped is None:
            return _Chunk(initial)
        kept = unpack_state(_Kept, stamped.state)
        state = self.unpacked(kept.state, len(chunks[number]))
        return _Chunk(state, SliceKey(kept.close_ns, kept.rank, kept.chunk), kept.checksum)

    def unpacked(self, packed: bytes, n_symbols: int) -> State:
        """Return the state of a chunk's snapshot.

        Raises
        ------
        StateError
            If it is another version's.
        """
        state = unpack_state(self.spec.state_type, packed)
        self.check_layout(state, self.spec.initial(n_symbols))
        return state

    def check_layout(self, state: object, initial: object) -> None:
        """Refuse a state whose arrays have other types or shapes than a fresh one's."""
        if layout_of(state) != layout_of(initial):
            raise StateError(
                f"a snapshot of stage {self.spec.name}, partition {self.partition}, is another "
                f"version's: it holds {layout_of(state)}, expected {layout_of(initial)}; replay "
                "the run into fresh topics"
            )

    def _dead(self, record: Record, error: RecordError) -> DeadLetter:
        origin = Origin(record.topic, record.partition, record.offset, key=record.key)
        return DeadLetter.of(error, origin, self.spec.name, record.value or b"")

    def due(self) -> bool:
        """Tell whether enough slices were folded for a snapshot."""
        return self.n_since >= SNAPSHOT_SLICES

    def snapshot(self) -> Snapshot:
        """Return the states of the chunks that changed."""
        states = {}
        for number, chunk in self.chunks.items():
            if chunk.is_dirty and chunk.last is not None:
                kept = _Kept(*chunk.last, chunk.checksum, pack_state(chunk.state))
                states[str(number).encode()] = Stamped(self.next_offset, pack_state(kept))
                chunk.is_dirty = False
        self.n_since = 0
        return Snapshot(states, self.next_offset)
