"""The slice on the wire: what goes in comes out, and nothing else is taken for one."""

import contextlib
import gc
from collections.abc import Callable

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import RecordError
from streams.slices import BarColumns, Counts, Slice, SliceKey, SliceMeta
from tests.builders import MIDNIGHT, bars, meta, proposal

SYMBOLS = ("AAA", "BBB", "CCC")
CLOSES = {"AAA": 1.0, "CCC": 3.0}


def small() -> Slice:
    """Build two bars of three symbols."""
    return bars(meta(counts=Counts(5, 1, 1, 1, 1)), CLOSES, SYMBOLS)


def test_decode_when_encoded_then_is_the_same_slice() -> None:
    """Identity, counts, symbols and columns survive; the same slice has the same bytes."""
    slice_ = small()
    back = Slice.decode(slice_.encode())
    assert back.meta == slice_.meta
    assert back.key == SliceKey(MIDNIGHT, 0, 0)
    assert back.symbols() == ["AAA", "CCC"]
    assert back.rows().tolist() == [0, 2]
    assert back.floats("close").tolist() == [1.0, 3.0]
    assert back.batch.equals(slice_.batch)
    assert back.encode() == slice_.encode() == small().encode()


def test_decode_when_the_stream_is_read_by_arrow_alone_then_shows_the_documented_columns() -> None:
    """Foreign programs find the columns in order, with the documented types, without us."""
    with pa.ipc.open_stream(proposal(small(), {}).encode()) as reader:
        schema = reader.schema
    assert schema.names == [
        *BarColumns._fields,
        "features",
        "regime",
        "scores",
        "weights",
        "confidence",
        "target_fraction",
    ]
    types = {name: schema.field(name).type for name in schema.names}
    assert types["symbol"] == pa.utf8()
    assert types["row"] == pa.int32()
    assert types["n_ticks"] == pa.int64()
    assert types["features"] == pa.list_(pa.float64(), 60)
    assert types["regime"] == pa.list_(pa.float64(), 4)
    assert types["weights"] == types["scores"] == pa.list_(pa.float64(), 3)
    floats = set(schema.names) - {"symbol", "row", "n_ticks", "features", "regime"}
    assert {types[n] for n in floats - {"scores", "weights"}} == {pa.float64()}


@pytest.mark.parametrize("closes", [{}, {"BBB": 2.0}])
def test_decode_when_few_or_no_rows_then_keeps_columns_and_shapes(closes: dict[str, float]) -> None:
    """A bar in which nothing traded has every column, without rows."""
    back = Slice.decode(proposal(bars(meta(), closes, SYMBOLS), {}).encode())
    n_rows = len(closes)
    assert back.n_rows == n_rows
    assert back.symbols() == list(closes)
    assert back.rows().shape == back.floats("close").shape == (n_rows,)
    assert back.matrix("features").shape == (n_rows, 60)
    assert back.matrix("weights").shape == (n_rows, 3)


def test_floats_when_nan_and_signed_zero_are_sent_then_come_back() -> None:
    """NaN is a value of a column, not a missing one."""
    values = np.array([np.nan, -0.0])
    back = Slice.decode(small().with_columns({"x": values}).encode())
    assert back.floats("x").tobytes() == values.tobytes()


def test_with_columns_when_unknown_columns_are_there_then_they_pass() -> None:
    """A stage appends behind whatever it finds, in the order it gives."""
    wide = small().with_columns({"z": np.zeros(2), "a": np.ones((2, 5))})
    wider = Slice.decode(wide.encode()).with_columns({"m": np.full(2, 7.0)})
    assert wider.batch.schema.names == [*BarColumns._fields, "z", "a", "m"]
    assert wider.matrix("a").tolist() == [[1.0] * 5] * 2
    assert small().batch.schema.names == list(BarColumns._fields)


def test_voided_when_a_slice_cannot_be_used_then_keeps_its_key_and_says_why() -> None:
    """The void slice has no rows, the same identity and the reason."""
    back = Slice.decode(proposal(small(), {}).voided("NotFinite").encode())
    assert back.n_rows == 0
    assert back.meta == msgspec.structs.replace(small().meta, void="NotFinite")
    assert back.symbols() == []


def test_matrix_when_the_batch_is_a_window_of_another_then_reads_its_own_rows() -> None:
    """An Arrow batch with an offset shares its parent's memory; list columns must not."""
    n = 7
    matrix = np.arange(n * 3, dtype=np.float64).reshape(n, 3)
    closes = {f"S{i}": float(i + 1) for i in range(n)}
    whole = bars(meta(), closes, closes).with_columns({"scores": matrix})
    for start in range(n):
        for length in range(n - start + 1):
            part = Slice(whole.meta, whole.batch.slice(start, length))
            for view in (part, Slice.decode(part.encode())):
                np.testing.assert_array_equal(view.matrix("scores"), matrix[start : start + length])
                assert view.rows().tolist() == list(range(start, start + length))
                assert view.symbols() == list(closes)[start : start + length]


def test_matrix_when_rows_are_filtered_then_follows() -> None:
    """The way prediction picks a portfolio's rows keeps every column together."""
    matrix = np.arange(9.0).reshape(3, 3)
    whole = bars(meta(), dict.fromkeys(SYMBOLS, 1.0), SYMBOLS).with_columns({"scores": matrix})
    part = Slice(whole.meta, whole.batch.filter(pa.array([True, False, True])))
    np.testing.assert_array_equal(Slice.decode(part.encode()).matrix("scores"), matrix[[0, 2]])


def test_columns_when_the_bytes_are_gone_then_still_hold() -> None:
    """Columns keep the record's bytes alive, so nothing reads freed memory."""
    values = Slice.decode(bytearray(small().encode())).floats("close")
    gc.collect()
    assert values.tolist() == [1.0, 3.0]


def test_column_when_missing_then_says_what_there_is() -> None:
    """The reason names the columns found and the one expected."""
    with pytest.raises(RecordError, match=r"MISSING_COLUMN.*n_ticks.*'features'"):
        small().matrix("features")


@pytest.mark.parametrize(
    ("array", "read"),
    [
        (pa.array(["a", "b"]), Slice.floats),
        (pa.array([1, 2]), Slice.floats),
        (pa.array([1.0, None]), Slice.floats),
        (pa.array([1.0, 2.0]), Slice.matrix),
        (pa.array([[1.0], [2.0, 3.0]]), Slice.matrix),
        (pa.array([[1.0], None], pa.list_(pa.float64(), 1)), Slice.matrix),
        (pa.array([["a"], ["b"]], pa.list_(pa.utf8(), 1)), Slice.matrix),
    ],
)
def test_column_when_of_another_type_or_with_nulls_then_refuses(
    array: pa.Array, read: Callable[[Slice, str], object]
) -> None:
    """A foreign writer's column is a bad record, not a crash of the stage."""
    slice_ = small()
    wide = Slice(slice_.meta, slice_.batch.append_column("x", array))
    with pytest.raises(RecordError, match="WRONG_COLUMN"):
        read(wide, "x")


def test_decode_when_cut_anywhere_then_only_a_record_error_comes() -> None:
    """A truncated record is refused; only the end mark of the stream can be spared."""
    data = proposal(small(), {}).encode()
    for length in range(len(data)):
        if length >= len(data) - 8:
            assert Slice.decode(data[:length]).meta == small().meta
        else:
            with pytest.raises(RecordError, match="NOT_A_SLICE"):
                Slice.decode(data[:length])


@given(st.binary(max_size=400))
def test_decode_when_bytes_are_random_then_refuses(data: bytes) -> None:
    """No bytes from elsewhere are a slice."""
    with pytest.raises(RecordError, match="NOT_A_SLICE"):
        Slice.decode(data)


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_decode_when_bytes_are_damaged_then_refuses_or_reads(at: int, noise: bytes) -> None:
    """Damage is refused or gives a readable slice; no offset reads beyond the record."""
    data = small().encode()
    at %= len(data)
    damaged = data[:at] + noise + data[at + len(noise) :]
    try:
        slice_ = Slice.decode(damaged[: len(data)])
        slice_.symbols()
        slice_.rows()
        slice_.floats("close")
    except RecordError:
        return
    assert slice_.n_rows <= 2


def stream(metadata: dict[bytes, bytes] | None, n_batches: int = 1) -> bytes:
    """Write an Arrow stream that some other program might have sent."""
    schema = small().batch.schema.with_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for _ in range(n_batches):
            writer.write_batch(small().batch.replace_schema_metadata(schema.metadata))
    return bytes(sink.getvalue().to_pybytes())


ABOUT = msgspec.json.encode(meta())


@pytest.mark.parametrize(
    "data",
    [
        stream(None),
        stream({b"pandas": b"{}"}),
        stream({b"tradewind": b""}),
        stream({b"tradewind": b"{}"}),
        stream({b"tradewind": b"\xff"}),
        stream({b"tradewind": b'{"x":' + b"[" * 100_000}),
        stream({b"tradewind": ABOUT.replace(b'"partition":0', b'"partition":-1')}),
        stream({b"tradewind": ABOUT.replace(b'"partition":0', b'"partition":1')}),
        stream({b"tradewind": ABOUT.replace(b'"chunk":0', b'"chunk":1')}),
        stream({b"tradewind": ABOUT.replace(b'"n_chunks":1', b'"n_chunks":0')}),
        stream({b"tradewind": ABOUT.replace(b'"epoch":1', b'"epoch":"1"')}),
        stream({b"tradewind": ABOUT}, n_batches=0),
    ],
)
def test_decode_when_metadata_or_batch_is_wrong_then_refuses(data: bytes) -> None:
    """Arrow of another program, impossible places and empty streams are no slices."""
    with pytest.raises(RecordError, match="NOT_A_SLICE"):
        Slice.decode(data)


@pytest.mark.parametrize("names", [["row"], ["symbol", "symbol"], []])
def test_decode_when_columns_are_no_slices_then_refuses(names: list[str]) -> None:
    """Every slice names its symbols, and no column stands twice."""
    batch = pa.RecordBatch.from_arrays([pa.array(["A"])] * len(names), names=names)
    with pytest.raises(RecordError, match="NOT_A_SLICE"):
        Slice.decode(Slice(meta(), batch).encode())


def test_decode_when_metadata_has_a_newer_field_then_reads_the_rest() -> None:
    """A newer stage may say more about a slice."""
    newer = ABOUT[:-1] + b',"newer":1}'
    assert Slice.decode(stream({b"tradewind": newer})).meta == meta()


def test_key_when_slices_follow_each_other_then_rises() -> None:
    """Keys order by close, then timeframe, then chunk."""
    about = [(1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0)]
    keys = [
        Slice(meta(close, rank=rank, chunk=chunk, n_chunks=2), small().batch).key
        for close, rank, chunk in about
    ]
    assert keys == sorted(keys) == [SliceKey(*parts) for parts in about]


def test_meta_when_made_with_an_impossible_place_then_is_refused() -> None:
    """No slice stands in a chunk or partition that is not there."""
    fields = msgspec.structs.asdict(meta())
    for wrong in ({"chunk": 1}, {"chunk": -1}, {"partition": 1}, {"partition": -1}):
        with pytest.raises(ValueError, match="partition"):
            SliceMeta(**(fields | wrong))


def packed(n_rows: int, compression: str | None) -> bytes:
    """Encode rows of equal values as Arrow can."""
    columns = [pa.array(["A"] * n_rows, pa.utf8()), pa.array(np.zeros(n_rows))]
    batch = pa.RecordBatch.from_arrays(columns, names=["symbol", "close"])
    schema = batch.schema.with_metadata({b"tradewind": ABOUT})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    return bytes(sink.getvalue().to_pybytes())


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_decode_when_columns_are_compressed_then_refuses_before_it_makes_them(
    compression: str,
) -> None:
    """A million rows in a few kB take no memory: the header is enough to refuse them."""
    data = packed(1_000_000, compression)
    before = pa.total_allocated_bytes()
    with pytest.raises(RecordError, match="compressed"):
        Slice.decode(data)
    assert pa.total_allocated_bytes() == before


@pytest.mark.parametrize(("n_rows", "is_fine"), [(0, True), (512, True), (513, False)])
def test_decode_when_there_are_more_rows_than_a_slice_has_then_refuses(
    n_rows: int, *, is_fine: bool
) -> None:
    """512 rows are the most that the bars stage puts into one."""
    data = packed(n_rows, None)
    if is_fine:
        assert Slice.decode(data).n_rows == n_rows
    else:
        with pytest.raises(RecordError, match="513 rows; expected at most 512"):
            Slice.decode(data)


def test_decode_when_any_byte_of_a_header_is_another_then_only_a_record_error_comes() -> None:
    """The header is read by hand, so no place in it may lead out of it."""
    data = proposal(small(), {}).encode()
    end = data.index(b"AAACCC")
    for at in range(end):
        for other in (0x00, 0x7F, 0xFF):
            with contextlib.suppress(RecordError):
                Slice.decode(data[:at] + bytes([other]) + data[at + 1 :])


def test_replaced_when_symbols_are_named_then_only_their_rows_change() -> None:
    """Numbers and lists are taken from the other column in these rows, and nowhere else."""
    fresh = bars(meta(), {"AAA": 1.0, "BBB": 2.0}, ("AAA", "BBB")).with_columns(
        {
            "weights": np.array([[1.0, 2.0], [3.0, 4.0]]),
            "other_weights": np.array([[5.0, 6.0], [7.0, np.nan]]),
        }
    )
    found = fresh.replaced({"BBB", "ZZZ"}, {"weights": "other_weights", "open": "close"})
    np.testing.assert_array_equal(found.matrix("weights"), [[1.0, 2.0], [7.0, np.nan]])
    assert found.batch.schema.names == fresh.batch.schema.names
    assert found.only(["symbol", "open"]).batch.schema.names == ["symbol", "open"]
    assert fresh.matrix("weights").tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_decode_when_its_first_message_is_of_no_known_kind_then_refuses() -> None:
    """Arrow reads past the end of such a one: a poison record would end the worker each time.

    The field that says the kind of the first message is looked for 256 bytes behind its place.
    """
    data = small().encode()
    fields = b"\x0a\x00\x0e\x00\x06\x00\x05\x00"  # Message.fbs: sizes, version, kind of header
    assert fields in data[:64]
    moved = data.replace(fields, fields[:-1] + b"\x01", 1)
    with pytest.raises(RecordError, match=r"NOT_A_SLICE.*expected a schema"):
        Slice.decode(moved)
