"""``learning-sweep``: what strength and learning rate do on planted drift.

The grid runs on the development seeds, on which the settings were chosen; `learning-arms` then asks
the recommended one on seeds that nobody had used. Cells are kept, so an interrupted sweep goes on.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models.learning.settings import RECOMMENDED, SAFE, Settings
from tests.evidence import learning_streams
from tests.evidence.kept import kept_path
from tests.evidence.learning_streams import DRIFT_AT
from tests.evidence.measurement import Measurement, Result

SEEDS = (1, 2)
STRENGTHS, RATES = (0.1, 0.3, 1.0, 10.0, 1000.0), (1e-5, 1e-4, 1e-3)
# Less than this, in nats, is noise of two seeds.
TIE = 0.002

_SOURCES = (Path("models/learning/fisher.py"), Path("models/learning/update.py"))
_FOLDERS = (
    *("models/specialists", "models/regime", "models/features"),
    "tests/evidence/learning_streams.py",
)


class Kept(msgspec.Struct):
    """One cell on one seed: change of loss against static on new and on old bars, in nats."""

    new: float
    old: float
    from_base_fraction: float


def cells() -> dict[str, Settings]:
    """Give the grid with normalised information, and the customer's numbers with the raw one."""
    grid = {
        f"lambda {strength:g}, rate {rate:g}": replace(
            RECOMMENDED, strength=strength, learning_rate=rate
        )
        for strength in STRENGTHS
        for rate in RATES
    }
    return {"lambda 1000, rate 1e-05, raw": SAFE, **grid}


def name_of(settings: Settings) -> str:
    """Return what a setting is called in the grid."""
    return next(name for name, each in cells().items() if each == settings)


def swept() -> dict[str, dict[str, float]]:
    """Give every cell's means over the seeds, from what was kept or anew."""
    path = kept_path("learning-sweep", _SOURCES, *_FOLDERS)
    known: dict[str, Kept] = {}
    if path.exists():
        known = msgspec.json.decode(path.read_bytes(), type=dict[str, Kept])
    rows = {}
    for name, settings in cells().items():
        of_seeds = [_cell(path, known, seed, settings) for seed in SEEDS]
        rows[name] = {
            field: float(np.mean([getattr(each, field) for each in of_seeds]))
            for field in Kept.__struct_fields__
        }
    return rows


def _cell(path: Path, known: dict[str, Kept], seed: int, settings: Settings) -> Kept:
    key = f"{seed}: {msgspec.json.encode(asdict(settings)).decode()}"
    if key not in known:
        stream = learning_streams.planted(seed)
        still = learning_streams.static(stream)
        found = learning_streams.follow(stream, settings, stream.base, replayed=False)
        known[key] = Kept(
            float((found.losses - still.losses)[DRIFT_AT:].mean()),
            found.old_loss - still.old_loss,
            found.from_base_fraction,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(known))
    return known[key]


def dominating(rows: dict[str, dict[str, Any]], name: str) -> list[str]:
    """List the cells that are better than one on new and on old bars.

    Examples
    --------
    >>> rows = {"a": {"new": -0.2, "old": 0.1}, "b": {"new": -0.3, "old": 0.0}}
    >>> dominating(rows, "a"), dominating(rows, "b")
    (['b'], [])
    """
    ours = rows[name]
    return [
        other
        for other, row in rows.items()
        if row["new"] < ours["new"] - TIE and row["old"] < ours["old"] - TIE
    ]


def measure() -> Result:
    """Sweep, and look whether the recommended cell is beaten on both axes."""
    rows = swept()
    ours = name_of(RECOMMENDED)
    better = dominating(rows, ours)
    gain = max(-row["new"] for row in rows.values())
    return Result(
        value=round(100.0 * -rows[ours]["new"] / gain, 1),
        holds=not better,
        n=len(rows) * len(SEEDS),
        peer="the cell of the grid that gains most",
        parts={
            "recommended": ours,
            "dominated_by": better,
            "safe": name_of(SAFE),
            "cells": {
                name: {field: round(value, 5) for field, value in row.items()}
                for name, row in rows.items()
            },
        },
    )


LEARNING_SWEEP = Measurement(
    "learning-sweep",
    "% of the best cell's gain on planted drift that the recommended setting takes",
    "no cell of the grid is better than the recommended one on new and on old bars",
    20,
    measure,
)
