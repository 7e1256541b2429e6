"""The slice: all symbols of one partition at one bar close, as one Arrow record batch.

A slice travels as one Kafka record in the Arrow IPC stream format, so pandas, polars, DuckDB and
Java read it without us. Every stage appends its columns; columns it does not know pass through.

======================= ======================= ============================================
column                  type                    written by, unit
======================= ======================= ============================================
symbol                  utf8                    bars
row                     int32                   bars, index of the symbol in its chunk
open high low close     float64                 bars, quote currency
volume                  float64                 bars, units of the instrument
vwap                    float64                 bars, quote currency
n_ticks                 int64                   bars
fill_price              float64, NaN            bars, first trade that an order could have met
features                list<float64>[60]       features, units in models/features/catalogue
regime                  list<float64>[4]        regime: bull, bear, sideways, entropy in bits
scores weights          list<float64>[3]        weights: logits and simplex, in regime order
confidence              float64, NaN            prediction, probability in [0.5, 1]
target_fraction         float64, NaN            prediction, share of equity, signed
probability_up          float64, NaN            prediction, on shadow-intents only
challenger_...          as without it           prediction, on shadow-intents: the challenger's
======================= ======================= ============================================
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Self

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from streams.errors import RecordError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_META = b"tradewind"
_UNREADABLE = (
    pa.ArrowException,
    msgspec.MsgspecError,
    OSError,
    RecursionError,
    StopIteration,
    ValueError,
    struct.error,
)

_U16, _U32 = struct.Struct("<H"), struct.Struct("<I")
_I32, _I64 = struct.Struct("<i"), struct.Struct("<q")
# Of a flatbuffer's list of fields; then fields of Arrow's tables Message and RecordBatch.
_FIRST_FIELD = 4
_HEADER, _LENGTH, _COMPRESSION = 2, 0, 3

# One record must stay far below the broker's 1 MiB: 512 rows of 90 float64 are 0.37 MB.
MAX_ROWS = 512


class SliceKey(NamedTuple):
    """Identity of a slice; it rises strictly within one source partition."""

    close_ns: int
    rank: int
    chunk: int


class Counts(msgspec.Struct, frozen=True):
    """What happened to the ticks behind a slice since the slice before it."""

    n_in: int = 0
    n_late: int = 0
    n_duplicate: int = 0
    n_crossed: int = 0
    n_dead: int = 0


class SliceMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What a slice says about itself; deterministic, so a re-sent slice has equal bytes."""

    partition: int
    close_ns: int
    rank: int
    chunk: int
    n_chunks: int
    n_partitions: int
    timeframe: str
    epoch: int
    epoch_digest: str
    first_offset: int
    last_offset: int
    counts: Counts = Counts()
    void: str = ""

    def __post_init__(self) -> None:
        """Refuse a place that no slice can have; a decoder says it as its own error."""
        if not 0 <= self.partition < self.n_partitions or not 0 <= self.chunk < self.n_chunks:
            raise ValueError(
                f"partition {self.partition} of {self.n_partitions}, "
                f"chunk {self.chunk} of {self.n_chunks}"
            )


class Slice:
    """One decoded slice.

    Parameters
    ----------
    meta
        Identity, epoch and origin.
    batch
        The columns; zero rows if nothing traded or if ``meta.void`` says why there are none.
    """

    __slots__ = ("batch", "meta")

    def __init__(self, meta: SliceMeta, batch: pa.RecordBatch) -> None:
        self.meta = meta
        self.batch = batch

    @property
    def key(self) -> SliceKey:
        """Identity within the source partition."""
        return SliceKey(self.meta.close_ns, self.meta.rank, self.meta.chunk)

    @property
    def n_rows(self) -> int:
        """Number of symbols with a bar in this slice."""
        return int(self.batch.num_rows)

    def symbols(self) -> list[str]:
        """Return the symbol of each row."""
        return list(self._column("symbol", pa.types.is_string).to_pylist())

    def rows(self) -> IntArray:
        """Return each row's index of its symbol within the chunk, shape (n_rows,)."""
        return np.asarray(self._column("row", pa.types.is_int32).to_numpy(), dtype=np.int64)

    def floats(self, name: str) -> FloatArray:
        """Return one float64 column, shape (n_rows,)."""
        return np.asarray(self._column(name, pa.types.is_float64).to_numpy(), dtype=np.float64)

    def integers(self, name: str) -> IntArray:
        """Return one int64 column, shape (n_rows,)."""
        return np.asarray(self._column(name, pa.types.is_int64).to_numpy(), dtype=np.int64)

    def matrix(self, name: str) -> FloatArray:
        """Return one list column, shape (n_rows, width)."""
        column = self._column(name, _is_matrix)
        width = column.type.list_size
        # As ``flatten`` does, which asks the registry of functions for as long as a stage may take.
        numbers = column.values.slice(column.offset * width, len(column) * width)
        return np.asarray(numbers.to_numpy(), dtype=np.float64).reshape(len(column), width)

    def _column(self, name: str, is_expected: Callable[[pa.DataType], bool]) -> pa.Array:
        try:
            column = self.batch.column(name)
        except KeyError:
            raise RecordError(
                "MISSING_COLUMN", f"slice has {self.batch.schema.names}; expected {name!r} once"
            ) from None
        if column.null_count or not is_expected(column.type):
            raise RecordError(
                "WRONG_COLUMN", f"{name} is {column.type} with {column.null_count} nulls"
            )
        return column

    def with_columns(self, columns: Mapping[str, FloatArray]) -> Self:
        """Return the slice with columns appended: (n,) as float64, (n, w) as list<float64>[w]."""
        batch = self.batch
        arrays = [*batch.columns, *(_arrow(values) for values in columns.values())]
        names = [*batch.schema.names, *columns]
        return type(self)(self.meta, pa.RecordBatch.from_arrays(arrays, names=names))

    def only(self, names: Iterable[str]) -> Self:
        """Return the slice with these columns, in this order."""
        return type(self)(self.meta, self.batch.select(list(names)))

    def replaced(self, symbols: Iterable[str], columns: Mapping[str, str]) -> Self:
        """Return the slice with columns' values taken from others in the rows of some symbols.

        ``columns`` is name -> name of the column whose value is put there.
        """
        wanted = pa.array(sorted(symbols), pa.utf8())
        mask = pc.is_in(self.batch.column("symbol"), value_set=wanted)
        batch = self.batch
        for name, source in columns.items():
            values = pc.if_else(mask, batch.column(source), batch.column(name))
            batch = batch.set_column(batch.schema.get_field_index(name), name, values)
        return type(self)(self.meta, batch)

    def voided(self, reason: str) -> Self:
        """Return the slice of the same key without rows, so that nothing downstream waits."""
        meta = msgspec.structs.replace(self.meta, void=reason)
        return type(self)(meta, self.batch.slice(0, 0))

    def encode(self) -> bytes:
        """Return the Arrow IPC stream of this slice."""
        schema = self.batch.schema.with_metadata({_META: msgspec.json.encode(self.meta)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_batch(self.batch.replace_schema_metadata(schema.metadata))
        return bytes(sink.getvalue().to_pybytes())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read one slice.

        Raises
        ------
        RecordError
            ``NOT_A_SLICE`` if the bytes are no Arrow stream with our metadata and one batch, plain
            and of at most ``MAX_ROWS`` rows.
        """
        try:
            messages = pa.ipc.MessageReader.open_stream(data)
            message = messages.read_next_message()
            # Of any other message Arrow reads past its end, and the process is gone.
            if message.type != "schema":
                raise ValueError(f"the first message was {message.type}; expected a schema")
            schema = pa.ipc.read_schema(message)
            meta = msgspec.json.decode((schema.metadata or {})[_META], type=SliceMeta)
            message = messages.read_next_message()
            _check_size(message)
            batch = pa.ipc.read_record_batch(message, schema)
            batch.validate(full=True)
            names = batch.schema.names
            if "symbol" not in names or len(set(names)) != len(names):
                raise ValueError(f"columns were {names}; expected symbol, and each once")
        except KeyError:
            raise RecordError("NOT_A_SLICE", "Arrow stream without slice metadata") from None
        except _UNREADABLE as error:
            raise RecordError("NOT_A_SLICE", f"{len(data)} bytes: {error}") from error
        return cls(meta, batch)


def _check_size(message: pa.Message) -> None:
    """Refuse a batch whose columns would be larger than its bytes, before they are made.

    A compressed body of 15 kB can hold 40 million rows. The header is a flatbuffer of Arrow's
    format, version 1 (Message.fbs): a table begins with the distance back to its list of fields,
    which has where each of them stands, or 0.
    """
    if message.type != "record batch":
        raise ValueError(f"a message was {message.type}; expected a record batch")
    data = memoryview(message.metadata)

    def place(table: int, field: int) -> int:
        fields = table - _I32.unpack_from(data, table)[0]
        if _FIRST_FIELD + 2 * field >= _U16.unpack_from(data, fields)[0]:
            return 0
        offset = int(_U16.unpack_from(data, fields + _FIRST_FIELD + 2 * field)[0])
        return offset and table + offset

    header = place(_U32.unpack_from(data, 0)[0], _HEADER)
    batch = header + _U32.unpack_from(data, header)[0]
    length = place(batch, _LENGTH)
    n_rows = _I64.unpack_from(data, length)[0] if length else 0
    if place(batch, _COMPRESSION):
        raise ValueError("the columns are compressed; expected them plain")
    if not 0 <= n_rows <= MAX_ROWS:
        raise ValueError(f"{n_rows:,} rows; expected at most {MAX_ROWS}")


def _is_matrix(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind) and pa.types.is_float64(kind.value_type))


def _arrow(values: FloatArray) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


class BarColumns(NamedTuple):
    """Columns of a fresh slice, each of shape (n_rows,)."""

    symbol: list[str]
    row: npt.NDArray[np.int32]
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    vwap: FloatArray
    n_ticks: IntArray
    fill_price: FloatArray


def bar_slice(meta: SliceMeta, columns: BarColumns) -> Slice:
    """Return the slice that the bars stage emits."""
    arrays = [pa.array(columns.symbol, pa.utf8()), *(pa.array(values) for values in columns[1:])]
    return Slice(meta, pa.RecordBatch.from_arrays(arrays, names=list(BarColumns._fields)))
