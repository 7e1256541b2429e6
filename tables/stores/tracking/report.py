"""What a move of MLflow's store found on both sides, table by table."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from streams.brokers.homes import private_folder
from tables.stores.errors import StoreConflict
from tables.stores.replacing import replacing
from tables.stores.tracking.rows import Found

Progress = Callable[[str, float], None]

REPORT = "report.json"


class Compared(NamedTuple):
    """What both sides have of a table; ``target`` is None if nothing was moved."""

    name: str
    source: Found
    target: Found | None


class Report(NamedTuple):
    """What a migration moved, or would move.

    Attributes
    ----------
    tables : tuple of Compared
        Every table of the store.
    revision : str
        Of the schema, on both sides.
    revision_before : str
        Of the schema of the user's file; its copy was upgraded if it is another one.
    sequences : int
        How many of the target's sequences were set.
    resumed : bool
        Whether it went on with what an earlier one had left.
    backup : str
        The file that is exactly what the user's was; empty after a dry run.
    """

    tables: tuple[Compared, ...]
    revision: str
    revision_before: str
    sequences: int
    resumed: bool
    backup: str

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return sum(each.source.rows for each in self.tables)

    def record(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        tables = [
            {
                "name": each.name,
                "source": each.source._asdict(),
                "target": each.target and each.target._asdict(),
            }
            for each in self.tables
        ]
        return {**self._asdict(), "rows": self.rows, "tables": tables}


def keep(report: Report, folder: Path) -> Path:
    """Write a report to a file, with every checksum."""
    path = private_folder(folder) / REPORT
    with replacing(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(report.record())))
    return path


def check_equal(compared: Iterable[Compared]) -> None:
    """Check that both sides have the same rows.

    Raises
    ------
    StoreConflict
        Naming the tables that differ.
    """
    differing = [each for each in compared if each.source != each.target]
    if differing:
        named = ", ".join(
            f"{each.name} ({each.source.rows:,} and {each.target.rows if each.target else 0:,})"
            for each in differing
        )
        raise StoreConflict(
            f"the sides differ in rows or checksum of {named}: nothing was put in place"
        )
