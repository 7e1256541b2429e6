"""A run in one file: Parquet, a row group for each piece of a partition."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.chaos.judge.record import Record, Source

_SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp_ms", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))),
    ]
)
_TOPICS = "topics"
_ROWS = 1_000


def write(source: Source, path: Path) -> None:
    """Copy everything that a source has into a file."""
    with pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer:
        writer.add_key_value_metadata({_TOPICS: json.dumps(source.topics())})
        for topic, n_partitions in source.topics().items():
            for partition in range(n_partitions):
                records = source.records(topic, partition)
                while piece := list(islice(records, _ROWS)):
                    writer.write_table(pa.Table.from_pylist(_rows(piece), _SCHEMA))


def _rows(records: list[Record]) -> list[dict[str, object]]:
    return [
        record._asdict() | {"headers": [{"name": n, "value": v} for n, v in record.headers]}
        for record in records
    ]


class RecordedSource:
    """What :func:`write` wrote."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path)
        self._topics: dict[str, int] = json.loads(self._file.metadata.metadata[_TOPICS.encode()])
        self._groups: dict[tuple[str, int], list[int]] = {}
        for group in range(self._file.num_row_groups):
            columns = self._file.metadata.row_group(group)
            where = tuple(columns.column(n).statistics.min for n in range(2))
            self._groups.setdefault(where, []).append(group)

    def topics(self) -> dict[str, int]:
        """Return the number of partitions of each topic there is."""
        return self._topics

    def records(self, topic: str, partition: int) -> Iterator[Record]:
        """Return a partition's records in the order of the log."""
        for group in self._groups.get((topic, partition), []):
            for row in self._file.read_row_group(group).to_pylist():
                headers = tuple((each["name"], each["value"]) for each in row.pop("headers"))
                yield Record(**row, headers=headers)
