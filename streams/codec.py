"""Bytes of a state: nested NamedTuples of numpy arrays and plain values, kept bit for bit.

The form is MessagePack: an array is ``[dtype, shape, raw little-endian bytes]``. It is read back
into a named type only, so bytes from elsewhere can never choose what is constructed.
"""

from functools import cache
from typing import Any, TypeVar, cast, get_type_hints

import cramjam
import msgspec
import numpy as np

from streams.errors import StreamError

State = TypeVar("State")

_ALLOWED_DTYPES = frozenset({"<f8", "<i8", "<i4", "|b1", "<u8", "|u1"})


class StateError(StreamError):
    """Bytes that are no state of the wanted type.

    Operator action: the table holds another version's state; replay the run into fresh topics.
    """


class _Array(msgspec.Struct, array_like=True, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


def pack_state(state: object) -> bytes:
    """Return compressed bytes of a NamedTuple of arrays, numbers, texts, lists and dicts.

    Raises
    ------
    StateError
        If the state holds an array that could not be read back.
    """
    packed = msgspec.msgpack.encode(_to_plain(state))
    return bytes(cramjam.zstd.compress(packed, level=1))


def unpack_state(kind: type[State], data: bytes) -> State:
    """Return the state that :func:`pack_state` packed.

    Raises
    ------
    StateError
        If the bytes do not decode or do not fit ``kind``.
    """
    try:
        plain = msgspec.msgpack.decode(bytes(cramjam.zstd.decompress(data)))
        return cast(State, _from_plain(kind, plain))
    except (
        cramjam.DecompressionError,
        msgspec.MsgspecError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise StateError(f"{len(data)} bytes are no {kind.__name__}: {error}") from error


def layout_of(state: object) -> object:
    """Return types and shapes of a state's arrays, and the types of its other values.

    A state of another version can have the same fields in another form; its layout tells.

    Examples
    --------
    >>> layout_of((np.zeros((2, 3)), 1))
    (('<f8', (2, 3)), 'int')
    """
    if isinstance(state, np.ndarray):
        return state.dtype.str, state.shape
    if isinstance(state, tuple):
        return tuple(layout_of(item) for item in state)
    return type(state).__name__


def _to_plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        little = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
        if little.dtype.str not in _ALLOWED_DTYPES:
            raise StateError(f"dtype {little.dtype.str!r} is not allowed in a state")
        return _Array(little.dtype.str, value.shape, little.tobytes())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [_to_plain(item) for item in value]
    return value


def _from_plain(kind: Any, plain: Any) -> object:  # noqa: ANN401  mirrors any annotated field type
    if isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields"):
        hints = _hints(kind)
        fields = kind._fields
        if len(plain) != len(fields):
            raise ValueError(f"{len(plain)} fields, expected {len(fields)}")
        make: Any = kind  # every NamedTuple has _make; typing knows it only as a tuple
        return make._make(
            _from_plain(hints[f], item) for f, item in zip(fields, plain, strict=True)
        )
    if _is_array_type(kind):
        array = msgspec.convert(plain, _Array)
        if array.dtype not in _ALLOWED_DTYPES:
            raise ValueError(f"dtype {array.dtype!r} is not allowed")
        return np.frombuffer(array.data, dtype=array.dtype).reshape(array.shape).copy()
    # Named as built in, bytes are not read from base64 text.
    return msgspec.convert(plain, kind, builtin_types=(bytes,))


# The kinds are those of the program's own states; to read their annotations takes most of a decode.
_hints = cache(get_type_hints)


def _is_array_type(kind: Any) -> bool:  # noqa: ANN401  any annotated field type
    return getattr(kind, "__origin__", None) is np.ndarray
