"""What the columns of a market data file mean: trades, quotes or bars, and when they were known."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import pyarrow as pa

from streams.errors import TapeError
from streams.sources.batches import TableFile


class Kind(NamedTuple):
    """A kind of market event: the columns that a file of it must have, and those it may have."""

    type: Literal["trade", "quote", "bar"]
    plural: str
    needed: tuple[str, ...]
    optional: tuple[str, ...]


KINDS = (
    Kind("trade", "trades", ("price",), ("size", "side", "trade_id", "seq")),
    Kind("quote", "quotes", ("bid", "ask"), ("bid_size", "ask_size", "seq")),
    Kind("bar", "bars", ("open", "high", "low", "close"), ("volume",)),
)

# Columns of a tick that are no numbers.
TEXTS = ("side", "trade_id")
SEQ = "seq"

_EVENT_TIMES = ("ts_event_ns", "ts_event")
_CLOSE_TIMES = ("ts_close_ns", "ts_close")


class Layout(NamedTuple):
    """The columns of a file that are read.

    Attributes
    ----------
    event_time, close_time
        Column of the event (of a bar: its open) and of a bar's close; None where there is none.
    has_venue
        Whether the file names venues.
    values
        The columns of the kind that the file has, in the order of its kind.
    """

    kind: Kind
    event_time: str | None
    close_time: str | None
    has_venue: bool
    values: tuple[str, ...]

    def columns(self) -> tuple[str, ...]:
        """Return the names of all columns that are read."""
        times = [name for name in (self.event_time, self.close_time) if name is not None]
        venue = ("venue",) if self.has_venue else ()
        return (*times, "symbol", *venue, *self.values)


def layout_of(file: TableFile) -> Layout:
    """Recognise a file by the names and types of its columns.

    Raises
    ------
    TapeError
        If columns are missing, fit several kinds, or have a type that cannot be meant.
    """
    kind = _kind_of(file)
    event_time, close_time = _first(file, _EVENT_TIMES), None
    if kind.type == "bar":
        close_time = _first(file, _CLOSE_TIMES)
    missing = [] if "symbol" in file.types else ["symbol"]
    if event_time is None and close_time is None:
        missing.append(" or ".join(_EVENT_TIMES + (_CLOSE_TIMES if kind.type == "bar" else ())))
    if missing:
        raise TapeError(f"{file.path}: {', '.join(missing)} is missing; {_found(file)}")
    values = tuple(name for name in (*kind.needed, *kind.optional) if name in file.types)
    layout = Layout(kind, event_time, close_time, "venue" in file.types, values)
    _check_types(file, layout)
    return layout


def _kind_of(file: TableFile) -> Kind:
    fitting = [kind for kind in KINDS if file.types.keys() >= set(kind.needed)]
    if len(fitting) > 1:
        names = " and ".join(kind.plural for kind in fitting)
        raise TapeError(f"{file.path}: the columns fit {names}; expected one kind in a file")
    if not fitting:
        kinds = "; ".join(f"{kind.plural} {', '.join(kind.needed)}" for kind in KINDS)
        raise TapeError(
            f"{file.path}: no known kind of market data; {_found(file)}; "
            f"expected symbol, ts_event_ns or ts_event, and for {kinds}"
        )
    return fitting[0]


def _first(file: TableFile, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in file.types), None)


def _found(file: TableFile) -> str:
    return f"found {', '.join(file.types)}"


def _check_types(file: TableFile, layout: Layout) -> None:
    """Refuse columns of a wrong type; a CSV is text throughout and its cells are judged later."""
    if not file.path.name.endswith(".parquet"):
        return
    for name in layout.columns():
        meant, fits = _MEANT.get(name, _NUMBER)
        if not fits(file.types[name]):
            raise TapeError(f"{file.path}: {name} has type {file.types[name]}; expected {meant}")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )


def _is_integer(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_null(kind))


def _is_time(kind: pa.DataType) -> bool:
    if pa.types.is_timestamp(kind):
        return kind.tz is not None
    return _is_integer(kind) or _is_text(kind)


_Meant = tuple[str, Callable[[pa.DataType], bool]]
_NUMBER: _Meant = ("numbers", _is_number)
_INTEGER: _Meant = ("integers", _is_integer)
_TEXT: _Meant = ("text", _is_text)
_TIME: _Meant = ("times with a zone, RFC 3339 text or integer nanoseconds", _is_time)
_MEANT: dict[str, _Meant] = {
    "ts_event_ns": _INTEGER,
    "ts_close_ns": _INTEGER,
    "ts_event": _TIME,
    "ts_close": _TIME,
    "symbol": _TEXT,
    "venue": _TEXT,
    "side": _TEXT,
    "trade_id": ("text or integers", lambda kind: _is_text(kind) or _is_integer(kind)),
    "seq": _INTEGER,
}
