"""The results of a backtest as files: decisions, the equity curve, the summary.

``decisions.parquet`` has one row a decision in order of time, portfolio and symbol,
``equity.parquet`` and ``equity.csv`` one a portfolio and bar, ``summary.json`` the rest. A folder
is filled under another name and renamed when it is whole, so that half a result is none.
"""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from models.arrays import Floats, Indices
from models.backtest.points import Series
from streams.records import Decision
from tables.stores.errors import StoreError

# Rows of a row group, and what is held of them at a time.
_ROWS = 16_384

_TIME = pa.timestamp("ns", "UTC")
_WORD = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema(
    [
        ("close", _TIME),
        ("portfolio", _WORD),
        ("symbol", _WORD),
        ("action", _WORD),
        ("quantity", pa.float64()),
        ("price", pa.float64()),
        ("approved", pa.bool_()),
        ("allowed_quantity", pa.float64()),
        ("reasons", pa.list_(pa.string())),
        ("confidence", pa.float64()),
        ("target_fraction", pa.float64()),
        ("bull", pa.float64()),
        ("bear", pa.float64()),
        ("sideways", pa.float64()),
        ("entropy_bits", pa.float64()),
        ("bull_weight", pa.float64()),
        ("bear_weight", pa.float64()),
        ("sideways_weight", pa.float64()),
        ("note", _WORD),
        ("intent_id", _WORD),
        ("epoch", pa.int64()),
        ("decision_id", pa.string()),
    ]
)


# Columns that are fields of a decision as they stand.
_PLAIN = (
    "portfolio",
    "symbol",
    "action",
    "price",
    "approved",
    "confidence",
    "target_fraction",
    "entropy_bits",
    "note",
    "intent_id",
    "epoch",
    "decision_id",
)


class FolderTaken(StoreError):  # noqa: N818  says what is the case
    """The folder for the results has something in it.

    Operator action: name another folder, or remove that one.
    """


class BacktestFolder:
    """Writes a result.

    Parameters
    ----------
    root
        The folder to be; it must not exist, or be empty.

    Raises
    ------
    FolderTaken
        If it is not.
    """

    def __init__(self, root: Path) -> None:
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise FolderTaken(
                f"{root} is there already; expected a new folder: name another with --out"
            )
        self.root = root
        self._partial = root.with_name(f".{root.name}.partial")
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
        self._decisions = pa.parquet.ParquetWriter(
            self._partial / "decisions.parquet", _SCHEMA, compression="zstd"
        )

    def keep(self, ts_ns: int, decisions: list[Decision]) -> None:
        """Write the decisions of one bar or record."""
        columns = self._columns
        in_order = sorted(decisions, key=lambda each: each.symbol)
        columns["close"].extend([ts_ns] * len(in_order))
        for name in _PLAIN:
            columns[name].extend([getattr(each, name) for each in in_order])
        columns["quantity"].extend([float(each.quantity) for each in in_order])
        columns["allowed_quantity"].extend([float(each.allowed_quantity) for each in in_order])
        columns["reasons"].extend([[r.code for r in each.rejection_reasons] for each in in_order])
        for name in ("bull", "bear", "sideways"):
            columns[name].extend([getattr(each.regime_probs, name) for each in in_order])
            said = [getattr(each.strategy_weights, f"{name}_specialist") for each in in_order]
            columns[f"{name}_weight"].extend(said)
        if len(columns["close"]) >= _ROWS:
            self._flush()

    def finish(
        self, summary: Mapping[str, Any], series: Mapping[str, Series], pages: Mapping[str, str]
    ) -> None:
        """Write the rest and give the folder its name; ``pages`` are texts by file name."""
        self._flush()
        self._decisions.close()
        equity = _equity(series)
        pa.parquet.write_table(equity, self._partial / "equity.parquet", compression="zstd")
        pa.csv.write_csv(equity, self._partial / "equity.csv")
        text = json.dumps(finite(summary), indent=1, allow_nan=False)
        (self._partial / "summary.json").write_text(text + "\n")
        for name, page in pages.items():
            (self._partial / name).write_text(page)
        if self.root.exists():
            self.root.rmdir()
        self._partial.rename(self.root)

    def discard(self) -> None:
        """Remove what was written of a result that will not be whole."""
        self._decisions.close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def _flush(self) -> None:
        if self._columns["close"]:
            arrays = [
                pa.array(self._columns[field.name], field.type.value_type).dictionary_encode()
                if pa.types.is_dictionary(field.type)
                else pa.array(self._columns[field.name], field.type)
                for field in _SCHEMA
            ]
            self._decisions.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))
            self._columns = {name: [] for name in _SCHEMA.names}


def summary_in(root: Path) -> dict[str, Any]:
    """Return the summary in a folder of results."""
    summary: dict[str, Any] = json.loads((root / "summary.json").read_text())
    return summary


def equity_in(root: Path) -> dict[str, tuple[Indices, Floats]]:
    """Return closes and equity of each portfolio in a folder of results."""
    table = pa.parquet.read_table(root / "equity.parquet", columns=["portfolio", "close", "equity"])
    found = {}
    for name in table["portfolio"].unique().to_pylist():
        rows = table.filter(pa.compute.equal(table["portfolio"], name))
        closes = rows["close"].cast(pa.int64()).to_numpy()
        found[name] = closes, rows["equity"].to_numpy()
    return found


def _equity(series: Mapping[str, Series]) -> pa.Table:
    tables = []
    for name, of_portfolio in series.items():
        closes = pa.array(of_portfolio.close_ns).cast(_TIME)
        columns = [pa.array(column) for column in of_portfolio[1:]]
        names = ["portfolio", "close", *Series._fields[1:]]
        portfolio = pa.array([name] * len(closes), pa.string())
        tables.append(pa.Table.from_arrays([portfolio, closes, *columns], names=names))
    return pa.concat_tables(tables)


def finite(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """Return a JSON value with null for every number that is none.

    Examples
    --------
    >>> finite({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
