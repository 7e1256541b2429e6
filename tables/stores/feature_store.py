"""Prepared histories on disk: bars and features, computed once and read by every fit.

One Parquet file for each key; a key names the tape by content, the range, the timeframe and the
digest of the feature pipeline, so a changed file or pipeline never finds what was made before.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.history import PRICES, BarHistory
from models.prepared import Prepared
from streams.clock import wall_ns
from tables.learning import Grid
from tables.stores.artifacts import canonical_json

# Twenty symbols over thirty years are 70 MB; the oldest files make room.
MAX_FILES = 8

_META = b"tradewind"
UNREADABLE = (pa.ArrowException, OSError, KeyError, ValueError, msgspec.MsgspecError)


class _Grid(msgspec.Struct):
    """The axes of a history: symbols and closes, also those without any bar."""

    symbols: list[str]
    close_ns: list[int]


class FeatureStore:
    """Prepared histories under one directory.

    Parameters
    ----------
    root
        Made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, key: Mapping[str, Any]) -> Prepared | None:
        """Return what was kept under a key; None if nothing was, or if its file is damaged."""
        path = self._path(key)
        try:
            return read_prepared(path)
        except FileNotFoundError:
            return None
        except UNREADABLE:
            # It is made again from the tape: a damaged cache costs time and nothing else.
            path.unlink(missing_ok=True)
            return None

    def put(self, key: Mapping[str, Any], prepared: Prepared) -> None:
        """Keep a prepared history under a key, and let the oldest files go."""
        self.root.mkdir(parents=True, exist_ok=True)
        path = self._path(key)
        draft = path.with_name(f".{path.name}.{wall_ns()}")
        try:
            write_prepared(draft, prepared)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        # Drafts of writers that were killed are among them.
        files = sorted(self.root.iterdir(), key=_written_ns)
        for old in files[:-MAX_FILES]:
            old.unlink(missing_ok=True)

    def _path(self, key: Mapping[str, Any]) -> Path:
        return self.root / f"{hashlib.sha256(canonical_json(dict(key))).hexdigest()}.parquet"


def read_prepared(source: Any) -> Prepared:  # noqa: ANN401  a path, or bytes as Arrow takes them
    """Read a prepared history; raises one of ``UNREADABLE`` if it is none, or damaged."""
    # Whole and in one thread: a file that is mapped would be read twice.
    table = pq.read_table(
        source, use_threads=False, memory_map=False, page_checksum_verification=True
    )
    return _prepared(table)


def read_grid(source: Any) -> Grid:  # noqa: ANN401  a path, or bytes as Arrow takes them
    """Read the axes of a prepared history alone; raises one of ``UNREADABLE`` if it is none."""
    grid = msgspec.json.decode(pq.read_schema(source).metadata[_META], type=_Grid)
    return Grid(tuple(grid.symbols), tuple(grid.close_ns))


def write_prepared(sink: Any, prepared: Prepared) -> None:  # noqa: ANN401  a path, or a file
    """Write a prepared history; the same one gives the same bytes."""
    pq.write_table(
        _table(prepared),
        sink,
        compression="lz4",
        use_dictionary=["symbol"],
        write_statistics=False,
        write_page_checksum=True,
    )


def _written_ns(file: Path) -> int:
    """Return when a file was written; 0 if another process has just moved it away."""
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _table(prepared: Prepared) -> pa.Table:
    history, features = prepared
    width = features.shape[-1]
    present = np.isfinite(history.close)
    bar, symbol = np.nonzero(present)
    columns: dict[str, pa.Array] = {
        "close_ns": pa.array(history.close_ns[bar]),
        "symbol": pa.DictionaryArray.from_arrays(
            pa.array(symbol, pa.int32()), pa.array(history.symbols, pa.utf8())
        ),
    }
    columns |= {name: pa.array(getattr(history, name)[present]) for name in PRICES}
    flat = pa.array(np.ascontiguousarray(features[present]).reshape(-1))
    columns["features"] = pa.FixedSizeListArray.from_arrays(flat, width)
    grid = _Grid(list(history.symbols), history.close_ns.tolist())
    return pa.table(columns).replace_schema_metadata({_META: msgspec.json.encode(grid)})


def _prepared(table: pa.Table) -> Prepared:
    grid = msgspec.json.decode(table.schema.metadata[_META], type=_Grid)
    table = table.combine_chunks()
    close_ns = np.array(grid.close_ns, np.int64)
    at_bar = np.searchsorted(close_ns, _numbers(table, "close_ns"))
    symbols = table.column("symbol").chunk(0)
    order = [grid.symbols.index(symbol) for symbol in symbols.dictionary.to_pylist()]
    at_symbol = np.array(order, np.int64)[symbols.indices.to_numpy()]
    shape = (len(close_ns), len(grid.symbols))
    columns = {}
    for name in PRICES:
        columns[name] = np.full(shape, np.nan)
        columns[name][at_bar, at_symbol] = _numbers(table, name)
    kept = table.column("features").chunk(0)
    width = kept.type.list_size
    features = np.full((*shape, width), np.nan)
    features[at_bar, at_symbol] = kept.flatten().to_numpy().reshape(-1, width)
    return Prepared(BarHistory(tuple(grid.symbols), close_ns, **columns), features)


def _numbers(table: pa.Table, name: str) -> Any:  # noqa: ANN401  an array of the column's own type
    return table.column(name).chunk(0).to_numpy()
