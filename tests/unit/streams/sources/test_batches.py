"""Table files in batches: how they are opened, cut and refused."""

import gzip
from pathlib import Path

import pytest

from streams.errors import TapeError
from streams.sources import batches
from streams.sources.batches import open_table


def test_open_table_when_the_suffix_is_unknown_then_lists_the_known_ones(tmp_path: Path) -> None:
    """A spreadsheet is no tape, and the error says what is."""
    with pytest.raises(
        TapeError,
        match=r"ticks\.xlsx: unknown format; expected one of \.csv, \.csv\.gz, \.parquet$",
    ):
        open_table(tmp_path / "ticks.xlsx")


@pytest.mark.parametrize("name", ["ticks.csv", "ticks.csv.gz", "ticks.parquet"])
def test_open_table_when_there_is_no_file_then_says_so(tmp_path: Path, name: str) -> None:
    """A mistyped name is found at once, in any format."""
    with pytest.raises(TapeError, match=r"ticks\.[a-z.]+: there is no such file$"):
        open_table(tmp_path / name)


@pytest.mark.parametrize("name", ["ticks.csv", "ticks.csv.gz", "ticks.parquet"])
def test_open_table_when_the_file_has_no_bytes_then_says_so(tmp_path: Path, name: str) -> None:
    """An interrupted download leaves an empty file."""
    (tmp_path / name).touch()
    with pytest.raises(TapeError, match=r"the file is empty; expected a header and rows$"):
        open_table(tmp_path / name)


@pytest.mark.parametrize("name", ["ticks.csv.gz", "ticks.parquet"])
def test_open_table_when_the_bytes_are_of_another_format_then_names_the_file(
    tmp_path: Path, name: str
) -> None:
    """A file that lies about its suffix is refused with the reader's own words."""
    (tmp_path / name).write_bytes(b"symbol,price\nA,1\n" * 10)
    with pytest.raises(TapeError, match=r"ticks\.[a-z.]+: cannot be read: "):
        open_table(tmp_path / name)


def test_open_table_when_a_csv_is_no_text_then_says_so_without_its_bytes(tmp_path: Path) -> None:
    """What a renamed spreadsheet holds would do things to the terminal."""
    path = tmp_path / "bars.csv"
    path.write_bytes(b"PK\x03\x04\x14\x00\xff\n,,\x1b[2J\n")
    with pytest.raises(TapeError, match=r"bars\.csv: is no text, .*; expected CSV in UTF-8$"):
        open_table(path)


def test_open_table_when_a_column_stands_twice_then_names_it(tmp_path: Path) -> None:
    """Which of two equal names is meant cannot be known."""
    path = tmp_path / "ticks.csv"
    path.write_text("symbol,price,price\nA,1,2\n")
    with pytest.raises(TapeError, match=r"column price stands twice; expected every name once$"):
        open_table(path)


@pytest.mark.parametrize("n_good", [2, 5_000])
def test_batches_when_a_row_lacks_a_cell_then_names_its_data_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_good: int
) -> None:
    """The row is counted from 1 below the header, in the first batch as in a later one."""
    monkeypatch.setattr(batches, "BATCH_BYTES", 1_000)
    path = tmp_path / "ticks.csv"
    path.write_text("symbol,price\n" + "A,1\n" * n_good + "A\n")
    with pytest.raises(
        TapeError, match=rf"ticks\.csv: row {n_good + 1} has 1 cells; expected 2, was 'A'$"
    ):
        list(open_table(path).batches(["symbol"]))


def test_batches_when_a_gzip_ends_early_then_names_the_file(tmp_path: Path) -> None:
    """A truncated archive is an error of the file, not of Arrow."""
    path = tmp_path / "ticks.csv.gz"
    rows = "".join(f"A,{n * 7919 % 10_007}\n" for n in range(20_000))
    whole = gzip.compress(("symbol,price\n" + rows).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TapeError, match=r"ticks\.csv\.gz: cannot be read"):
        list(open_table(path).batches(["symbol", "price"]))


def test_batches_when_a_cell_is_not_utf8_then_names_the_file(tmp_path: Path) -> None:
    """Text of another encoding is refused instead of guessed."""
    path = tmp_path / "ticks.csv"
    path.write_bytes(b"symbol,price\nA\xff,1\n")
    with pytest.raises(TapeError, match=r"ticks\.csv: cannot be read .*UTF8"):
        list(open_table(path).batches(["symbol"]))


def test_batches_when_parquet_is_longer_than_one_then_rows_are_numbered_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five rows in batches of two begin at rows 1, 3 and 5."""
    monkeypatch.setattr(batches, "BATCH_ROWS", 2)
    path = tmp_path / "ticks.parquet"
    batches.pa.parquet.write_table(batches.pa.table({"price": [1.0, 2.0, 3.0, 4.0, 5.0]}), path)
    found = [(b.first_row, b.columns["price"].to_pylist()) for b in _batches(path, "price")]
    assert found == [(1, [1.0, 2.0]), (3, [3.0, 4.0]), (5, [5.0])]


def test_batches_when_csv_cells_read_like_missing_values_then_stay_text(tmp_path: Path) -> None:
    """NA and null are symbols that trade; only an empty cell is missing."""
    path = tmp_path / "ticks.csv"
    path.write_text("symbol,price\nNA,1\nnull,\n")
    (batch,) = _batches(path, "symbol", "price")
    assert batch.columns["symbol"].to_pylist() == ["NA", "null"]
    assert batch.columns["price"].to_pylist() == ["1", None]


def _batches(path: Path, *columns: str) -> list[batches.Batch]:
    return list(open_table(path).batches(columns))
