"""Bars with their features on disk, a file a day, as the live stack saw them.

The topics keep hours and days of them; a window of learning takes months. A day is written in one
step when it is over, and the same records give the same bytes.
"""

import hashlib
import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from models.prepared import Prepared
from tables.learning import Day, Grid, joined
from tables.stores.artifacts import ArtifactCorrupt, ArtifactMissing
from tables.stores.feature_store import UNREADABLE, read_grid, read_prepared, write_prepared
from tables.stores.replacing import replacing

KEPT_DAYS = 200
"""The longest window, the longest gate, and as long again in which a model can be built anew."""

_SUFFIX = "parquet"
_OFFSETS = "offsets.json"

Read = TypeVar("Read")


class Stretch(NamedTuple):
    """Days of the journal laid end to end.

    ``origin`` names their files by digest and the offsets that they are from.
    """

    prepared: Prepared
    origin: dict[str, Any]


class BarJournal:
    """The days of one timeframe under one directory.

    Parameters
    ----------
    root
        Made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(self, day: Day) -> None:
        """Write a day, and let those go that no window reaches any more."""
        self.root.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()
        write_prepared(data, day.prepared)
        with replacing(self._path(day.number)) as file:
            file.write(data.getvalue())
        offsets = self._offsets()
        offsets[self._name(day.number)] = {str(p): list(o) for p, o in day.offsets.items()}
        oldest = day.number - KEPT_DAYS
        for number in self.days():
            if number < oldest:
                self._path(number).unlink(missing_ok=True)
                offsets.pop(self._name(number), None)
        with replacing(self.root / _OFFSETS) as file:
            file.write(json.dumps(offsets, sort_keys=True).encode())

    def days(self) -> tuple[int, ...]:
        """Return the days that are kept, rising."""
        names = (path.stem for path in self.root.glob(f"*.{_SUFFIX}"))
        return tuple(sorted(int(np.datetime64(name, "D").astype(np.int64)) for name in names))

    def stretch(self, numbers: Sequence[int]) -> Stretch:
        """Return some days, laid end to end.

        Raises
        ------
        ArtifactMissing
            If there is none.
        ArtifactCorrupt
            If a file is damaged.
        """
        if not numbers:
            raise ArtifactMissing(f"no day of bars in {self.root}: the role learning writes them")
        offsets = self._offsets()
        names = [self._name(number) for number in numbers]
        origin = {
            "kind": "journal",
            "files": {name: self._digest(name) for name in names},
            "offsets": {name: offsets.get(name, {}) for name in names},
        }
        return Stretch(self._joined(names), origin)

    def again(self, origin: Mapping[str, Any]) -> Prepared:
        """Return the bars of an origin, the very ones.

        Raises
        ------
        ArtifactMissing, ArtifactCorrupt
            If a day is gone or another one.
        """
        for name, digest in origin["files"].items():
            if self._digest(name) != digest:
                raise ArtifactCorrupt(
                    f"{self.root / name} must have the digest {digest}, was {self._digest(name)}"
                )
        return self._joined(origin["files"])

    def grid(self, number: int) -> Grid:
        """Return the symbols and closes of a day.

        Raises
        ------
        ArtifactCorrupt
            If its file is damaged.
        """
        return self._read(self._name(number), read_grid)

    def _joined(self, names: Collection[str]) -> Prepared:
        grids = [self._read(name, read_grid) for name in names]
        return joined(grids, (self._read(name, read_prepared) for name in names))

    def _read(self, name: str, read: Callable[[Path], Read]) -> Read:
        try:
            return read(self.root / name)
        except UNREADABLE as error:
            raise ArtifactCorrupt(f"{self.root / name} cannot be read: {error}") from error

    def _digest(self, name: str) -> str:
        try:
            return hashlib.sha256((self.root / name).read_bytes()).hexdigest()
        except FileNotFoundError as error:
            raise ArtifactMissing(
                f"{self.root / name} is gone: days are kept for {KEPT_DAYS} days"
            ) from error

    def _offsets(self) -> dict[str, Any]:
        path = self.root / _OFFSETS
        return dict(json.loads(path.read_bytes())) if path.exists() else {}

    def _path(self, number: int) -> Path:
        return self.root / self._name(number)

    def _name(self, number: int) -> str:
        return f"{np.datetime64(number, 'D')}.{_SUFFIX}"
