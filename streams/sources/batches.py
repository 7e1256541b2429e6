"""A table file in batches: CSV or Parquet, read from its start as often as needed, never whole."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from streams.errors import TapeError

# What is held of a file at a time: rows of Parquet, bytes of CSV text.
BATCH_ROWS = 65_536
BATCH_BYTES = 4 << 20
_HEAD_BYTES = 4096

_FORMATS = (".csv", ".csv.gz", ".parquet")


class Batch(NamedTuple):
    """Some rows of a file: the 1-based number of the first one, and their columns by name."""

    first_row: int
    columns: dict[str, pa.Array]


@dataclass(frozen=True, slots=True)
class TableFile:
    """A CSV or Parquet file with named columns.

    Parameters
    ----------
    path
        The file.
    types
        Arrow type of each column, in the file's order. Every column of a CSV is text: what a cell
        means is decided by who reads it, so that ``NA`` stays a symbol.
    """

    path: Path
    types: dict[str, pa.DataType]

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the wanted columns, batch by batch.

        Raises
        ------
        TapeError
            If the file cannot be read on, with the row where that is known.
        """
        read = _read_parquet if self.path.name.endswith(".parquet") else _read_csv
        row = 1
        try:
            for batch in read(self.path, columns):
                yield Batch(row, dict(zip(batch.schema.names, batch.columns, strict=True)))
                row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise TapeError(f"{self.path}: cannot be read from row {row} on: {error}") from error


def open_table(path: Path) -> TableFile:
    """Open a file by its suffix: ``.csv``, ``.csv.gz`` or ``.parquet``.

    Raises
    ------
    TapeError
        If the format is another, the file is missing or broken, or a column stands twice.
    """
    if not path.name.endswith(_FORMATS):
        raise TapeError(f"{path}: unknown format; expected one of {', '.join(_FORMATS)}")
    if not path.is_file():
        raise TapeError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise TapeError(f"{path}: the file is empty; expected a header and rows")
    try:
        schema = _schema(path)
    except (pa.ArrowException, OSError) as error:
        raise TapeError(f"{path}: cannot be read: {error}") from error
    for name in schema.names:
        if schema.names.count(name) > 1:
            raise TapeError(f"{path}: column {name} stands twice; expected every name once")
    return TableFile(path, dict(zip(schema.names, schema.types, strict=True)))


def _schema(path: Path) -> pa.Schema:
    if path.name.endswith(".parquet"):
        return pa.parquet.read_schema(path)
    with path.open("rb") as file:
        # Arrow would read on, and say its bytes to the terminal. A packed file has them rightly.
        if path.name.endswith(".csv") and b"\0" in file.read(_HEAD_BYTES):
            raise TapeError(f"{path}: is no text, it has bytes of value 0; expected CSV in UTF-8")
    with _csv_reader(path, pa.csv.ConvertOptions()) as reader:
        return pa.schema([(name, pa.string()) for name in reader.schema.names])


def _read_parquet(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    # Without reading ahead, which would hold the compressed file whole: 48 instead of 227 MB for
    # eight million rows.
    with pa.parquet.ParquetFile(path, pre_buffer=False) as file:
        yield from file.iter_batches(BATCH_ROWS, columns=list(columns))


def _read_csv(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    converting = pa.csv.ConvertOptions(
        include_columns=list(columns),
        column_types={name: pa.string() for name in columns},
        strings_can_be_null=True,
        null_values=[""],
    )
    with _csv_reader(path, converting) as reader:
        yield from reader


@contextmanager
def _csv_reader(
    path: Path, converting: pa.csv.ConvertOptions
) -> Iterator[pa.csv.CSVStreamingReader]:
    broken: list[pa.csv.InvalidRow] = []

    def remember(row: pa.csv.InvalidRow) -> str:
        broken.append(row)
        return "error"

    # One thread: Arrow then knows the number of a broken row.
    reading = pa.csv.ReadOptions(use_threads=False, block_size=BATCH_BYTES)
    parsing = pa.csv.ParseOptions(invalid_row_handler=remember)
    try:
        with pa.csv.open_csv(path, reading, parsing, converting) as reader:
            yield reader
    except pa.ArrowInvalid as error:
        if not broken:
            raise
        row = broken[0]
        # Arrow counts the header as row 1.
        raise TapeError(
            f"{path}: row {row.number - 1} has {row.actual_columns} cells; "
            f"expected {row.expected_columns}, was {row.text!r}"
        ) from error
