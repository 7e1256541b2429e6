"""Bytes of states: every bit survives, and nothing else is ever read."""

import math
import struct
from typing import Any, NamedTuple

import cramjam
import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from streams.codec import StateError, pack_state, unpack_state


class Inner(NamedTuple):
    """A state within a state."""

    counts: npt.NDArray[np.int64]
    flags: npt.NDArray[np.bool_]


class Outer(NamedTuple):
    """A state of every kind of field."""

    prices: npt.NDArray[np.float64]
    inner: Inner
    name: str
    number: int
    value: float
    by_name: dict[str, tuple[int, str]]
    raw: bytes


SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
STATES = st.builds(
    Outer,
    hnp.arrays(np.float64, SHAPES, elements=st.floats(width=64)),
    st.builds(Inner, hnp.arrays(np.int64, SHAPES), hnp.arrays(np.bool_, SHAPES)),
    st.text(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.dictionaries(st.text(), st.tuples(st.integers(-(2**63), 2**63), st.text())),
    st.binary(),
)
SMALL = Outer(np.arange(3.0), Inner(np.arange(2), np.array([True])), "a", 1, 0.5, {}, b"x")


def bits(state: Outer) -> tuple[object, ...]:
    """Give everything a state holds, floats and arrays as their bits."""
    arrays = (state.prices, *state.inner)
    return (
        *((a.dtype.str, a.shape, a.tobytes()) for a in arrays),
        state.name,
        state.number,
        struct.pack("<d", state.value),
        state.by_name,
        state.raw,
    )


@given(STATES)
def test_unpack_when_packed_then_gives_the_same_bits(state: Outer) -> None:
    """Empty arrays, NaN, infinities and negative zeros come back as they went."""
    packed = pack_state(state)
    back = unpack_state(Outer, packed)
    assert bits(back) == bits(state)
    assert pack_state(back) == packed
    assert isinstance(back.inner, Inner)


def test_unpack_when_nan_has_a_payload_then_keeps_it() -> None:
    """A NaN's payload, a signalling NaN, minus zero and denormals are bits like others."""
    patterns = [0x7FF8000000000123, 0x7FF0000000000001, 0xFFF8000000000000, 1 << 63, 1]
    prices = np.array(patterns, np.uint64).view(np.float64)
    back = unpack_state(Outer, pack_state(SMALL._replace(prices=prices)))
    assert back.prices.view(np.uint64).tolist() == patterns


def test_unpack_when_read_then_the_arrays_may_be_written() -> None:
    """A fold writes into its state, so the arrays own their memory."""
    back = unpack_state(Outer, pack_state(SMALL))
    back.prices[0] = 7.0
    assert back.prices[0] == 7.0


@pytest.mark.parametrize(
    "array",
    [np.arange(6.0).reshape(2, 3).T, np.arange(9.0)[::-2], np.arange(3.0, dtype=">f8")],
)
def test_unpack_when_the_array_was_a_view_then_has_its_values(array: npt.NDArray[Any]) -> None:
    """Strides and byte order are the machine's affair, not the state's."""
    back = unpack_state(Outer, pack_state(SMALL._replace(prices=array)))
    np.testing.assert_array_equal(back.prices, array)
    assert back.prices.dtype == np.float64


def test_unpack_when_an_array_has_no_axis_then_has_none_again() -> None:
    """A single number in an array keeps its shape."""
    back = unpack_state(Outer, pack_state(SMALL._replace(prices=np.array(2.5))))
    assert back.prices.shape == ()
    assert float(back.prices) == 2.5


@pytest.mark.parametrize("dtype", [np.float32, object, "U3", "M8[ns]", np.complex128])
def test_pack_when_an_array_could_not_be_read_back_then_refuses(dtype: npt.DTypeLike) -> None:
    """The loss is seen when the state is written, not after a restart."""
    with pytest.raises(StateError, match="dtype"):
        pack_state(SMALL._replace(prices=np.zeros(2, dtype)))


def packed_plain(value: object) -> bytes:
    """Pack any plain value as a state's bytes are."""
    return bytes(cramjam.zstd.compress(msgspec.msgpack.encode(value)))


def plain(**changes: object) -> list[object]:
    """Give the plain form of a state with some fields changed."""
    fields: dict[str, object] = {
        "prices": ["<f8", [2], b"\0" * 16],
        "inner": [["<i8", [1], b"\0" * 8], ["|b1", [1], b"\0"]],
        "name": "a",
        "number": 1,
        "value": 0.5,
        "by_name": {},
        "raw": b"",
    }
    assert tuple(fields) == Outer._fields
    return list((fields | changes).values())


def test_unpack_when_the_plain_form_is_right_then_reads_it() -> None:
    """The form of the refused examples below is right in all but what they change."""
    assert unpack_state(Outer, packed_plain(plain())).prices.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"prices": ["<f8", [3], b"\0" * 16]},
        {"prices": ["<f8", [2], b"\0" * 15]},
        {"prices": ["<f8", [2**40, 2**40], b""]},
        {"prices": ["|O", [2], b"\0" * 16]},
        {"prices": ["no dtype", [2], b"\0" * 16]},
        {"prices": [1.0, 2.0]},
        {"prices": None},
        {"inner": [["<i8", [1], b"\0" * 8]]},
        {"inner": 5},
        {"name": 5},
        {"number": "1"},
        {"number": 1.5},
        {"value": "0.5"},
        {"by_name": [1]},
        {"raw": "text"},
    ],
)
def test_unpack_when_a_field_has_another_type_then_refuses(wrong: dict[str, object]) -> None:
    """Nothing is converted silently: another version's state is not this one's."""
    with pytest.raises(StateError, match="Outer"):
        unpack_state(Outer, packed_plain(plain(**wrong)))


@pytest.mark.parametrize("value", [None, 5, "abcdefg", b"abcdefg", {}, [], [None] * 7])
def test_unpack_when_it_is_no_state_then_refuses(value: object) -> None:
    """Plain values of any kind are no state."""
    with pytest.raises(StateError):
        unpack_state(Outer, packed_plain(value))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        bytes(cramjam.zstd.compress(b"\x91" * 100_000)),
        bytes(cramjam.zstd.compress(b"\xdf\xff\xff\xff\xff")),
        b"\x28\xb5\x2f\xfd\xa4\xff\xff\xff\xff\xff\xff\xff\x0f",
    ],
)
def test_unpack_when_bytes_are_hostile_then_refuses(data: bytes) -> None:
    """Endless nesting, absurd lengths and frames are an error of ours, at once."""
    with pytest.raises(StateError):
        unpack_state(Outer, data)


def test_unpack_when_cut_anywhere_then_refuses() -> None:
    """No prefix of a state is a state."""
    data = pack_state(SMALL)
    for length in range(len(data)):
        with pytest.raises(StateError):
            unpack_state(Outer, data[:length])


@given(st.binary(max_size=64), st.integers(0, 60))
def test_unpack_when_bytes_are_damaged_then_only_a_state_error_comes(noise: bytes, at: int) -> None:
    """Damage behind the checksumless frame gives a state or a StateError, nothing else."""
    plain_bytes = bytes(cramjam.zstd.decompress(pack_state(SMALL)))
    damaged = plain_bytes[:at] + noise + plain_bytes[at + len(noise) :]
    try:
        state = unpack_state(Outer, bytes(cramjam.zstd.compress(damaged)))
    except StateError:
        return
    assert isinstance(state, Outer)
    assert isinstance(state.value, float) or math.isfinite(state.value)
