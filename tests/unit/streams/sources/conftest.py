"""Files of market data, written by the tests themselves."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

Columns = dict[str, list[object]]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes columns as CSV, gzipped CSV or Parquet, by pandas."""

    def write_file(columns: Columns, name: str = "file.csv") -> Path:
        path = tmp_path / name
        frame = pd.DataFrame(columns)
        if name.endswith(".parquet"):
            frame.to_parquet(path, index=False)
        else:
            frame.to_csv(path, index=False)
        return path

    return write_file
