"""Files to fit on: the first row that a replay would leave out is named, and nothing else is."""

from pathlib import Path

import pytest

from streams.errors import TapeError
from streams.sources.files import open_tape

DAY = 86_400 * 10**9
START = 1_600_041_600 * 10**9
BARS = "symbol,ts_event_ns,open,high,low,close,volume"


def bars(*changes: tuple[int, int, str]) -> list[list[str]]:
    """Write rows of two symbols over three days, with some cells (row, column, text) changed."""
    rows = [
        [symbol, str(START + day * DAY), "10", "12", "9", "11", "100"]
        for day in range(3)
        for symbol in ("A", "B")
    ]
    for row, column, text in changes:
        rows[row - 1][column] = text
    return rows


def vetted(folder: Path, header: str, rows: list[list[str]], timeframe: str = "1day") -> None:
    """Open a file and vet it."""
    path = folder / "market.csv"
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    open_tape(path, timeframe=timeframe).vet()


def test_vet_when_every_row_can_be_used_then_says_nothing(tmp_path: Path) -> None:
    """A clean file passes; so do closes alone, and volumes that nobody gave."""
    vetted(tmp_path, BARS, bars())
    vetted(tmp_path, BARS, bars(*((2, column, "") for column in (2, 3, 4, 6))))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (((4, 5, "nan"),), "close of row 4 was empty or not finite; expected a price"),
        (((4, 5, ""),), "close of row 4 was empty or not finite; expected a price"),
        (((3, 2, "inf"),), "open of row 3 was empty or not finite; expected a price"),
        (((5, 4, "-1"),), r"low of row 5 was -1\.0; expected a price of 1e-08 to 1e\+10"),
        (((5, 4, "0"),), r"low of row 5 was 0\.0; expected a price"),
        (((6, 3, "1e11"),), r"high of row 6 was 100000000000\.0; expected a price"),
        (((2, 6, "-5"),), r"volume of row 2 was -5\.0; expected 0 to"),
        (((2, 2, "13"),), r"open of row 2 was 13\.0; expected a value from low to high"),
        (((2, 5, "8"),), r"close of row 2 was 8\.0; expected a value from low to high"),
        (((3, 0, "B"),), "row 4 is a second bar of B that closes at 2020-09-16T00:00:00Z"),
    ],
)
def test_vet_when_a_row_cannot_be_used_then_names_row_and_column(
    tmp_path: Path, changes: tuple[tuple[int, int, str], ...], said: str
) -> None:
    """The message says where, what, and what was expected."""
    with pytest.raises(TapeError, match=said):
        vetted(tmp_path, BARS, bars(*changes))


def test_vet_when_a_trade_has_no_price_then_names_it(tmp_path: Path) -> None:
    """Ticks are vetted by the same rule; equal trades are no duplicates."""
    header = "symbol,ts_event_ns,price,size"
    good = [["A", str(START), "10", "1"], ["A", str(START), "10", "1"]]
    vetted(tmp_path, header, good, "1s")
    with pytest.raises(TapeError, match="price of row 3 was empty or not finite"):
        vetted(tmp_path, header, [*good, ["A", str(START), "", "1"]], "1s")


def test_vet_when_a_quote_is_crossed_then_is_fine_and_without_a_side_is_not(
    tmp_path: Path,
) -> None:
    """Crossed quotes happen on real tapes and have no effect; half a quote is a fault."""
    header = "symbol,ts_event_ns,bid,ask"
    vetted(tmp_path, header, [["A", str(START), "10.2", "10.1"]], "1s")
    with pytest.raises(TapeError, match="ask of row 1 was empty or not finite"):
        vetted(tmp_path, header, [["A", str(START), "10.2", ""]], "1s")
