"""Results as files: read back by pandas, as a user would."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tables.stores.backtest_folder import BacktestFolder, FolderTaken, equity_in, summary_in
from tests.unit.models.backtest.series import DAY_NS, START_NS, series
from tests.unit.tables.views.played import decision, refused

CLOSE_NS = START_NS + DAY_NS


def test_folder_when_finished_then_pandas_reads_all_of_it(tmp_path: Path) -> None:
    """Rows by symbol within a time, times in UTC, reasons as lists; no number is no number."""
    root = tmp_path / "out"
    folder = BacktestFolder(root)
    folder.keep(CLOSE_NS, [refused(2, symbol="XOM"), decision(1, symbol="AAPL")])
    folder.finish(
        {"sharpe": math.nan, "list": (1.0, math.inf)},
        {"main": series([1.0, 2.0]), "other": series([3.0])},
        {"report.html": "<p>"},
    )
    decisions = pd.read_parquet(root / "decisions.parquet")
    assert decisions["symbol"].tolist() == ["AAPL", "XOM"]
    assert decisions["close"].tolist() == [pd.Timestamp("2024-01-02", tz="UTC")] * 2
    assert decisions["approved"].tolist() == [True, False]
    assert [list(each) for each in decisions["reasons"]] == [[], ["MAX_ASSET_FRACTION"]]
    assert decisions["bull"].tolist() == [0.62, 0.62]
    equity = pd.read_parquet(root / "equity.parquet")
    assert equity["equity"].tolist() == [1.0, 2.0, 3.0]
    assert pd.read_csv(root / "equity.csv")["portfolio"].tolist() == ["main", "main", "other"]
    assert json.loads((root / "summary.json").read_text()) == {"sharpe": None, "list": [1.0, None]}
    assert summary_in(root)["sharpe"] is None
    assert (root / "report.html").read_text() == "<p>"
    closes, worth = equity_in(root)["other"]
    assert (closes.tolist(), worth.tolist()) == ([CLOSE_NS], [3.0])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_folder_when_many_rows_come_then_holds_few_of_them(tmp_path: Path) -> None:
    """A row group is written once it is full."""
    folder = BacktestFolder(tmp_path / "out")
    many = [decision(n, symbol=f"S{n % 200:03d}") for n in range(200)]
    for bar in range(100):
        folder.keep(CLOSE_NS + bar, many)
    assert len(folder._columns["close"]) < 20_000 - 16_384 + 200
    folder.finish({}, {"main": series([1.0])}, {})
    assert len(pd.read_parquet(tmp_path / "out" / "decisions.parquet")) == 20_000


def test_folder_when_something_is_there_then_is_refused(tmp_path: Path) -> None:
    """Nobody's results are written over; an empty folder will do."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(FolderTaken, match=r"full is there already.*--out"):
        BacktestFolder(tmp_path / "full")
    (tmp_path / "empty").mkdir()
    folder = BacktestFolder(tmp_path / "empty")
    folder.finish({}, {"main": series(np.ones(2))}, {})
    assert (tmp_path / "empty" / "summary.json").exists()


def test_folder_when_discarded_then_nothing_is_left(tmp_path: Path) -> None:
    """Half a result is none."""
    BacktestFolder(tmp_path / "out").discard()
    assert list(tmp_path.iterdir()) == []
