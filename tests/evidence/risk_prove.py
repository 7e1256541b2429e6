"""``risk-prove``: the fold of the book under the judge; the value is the limits that were broken.

Three searches and a check of the searches: stories drawn by seed (records, bars, restarts) that
are judged after every record; all interleavings of three orders with a crash at every point; and
defects planted in the product, which the stories must find. ``HYPOTHESIS_PROFILE=nightly`` plays a
million steps and goes on where it was interrupted; the seeds here are none that the tests use.
"""

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from tests.evidence.kept import chain_sources, kept_path
from tests.evidence.measurement import Measurement, Result
from tests.simulation.bulk import play_many
from tests.simulation.judge import Violation
from tests.simulation.small_model import LAYOUTS, Counts, walk

IS_NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
N_STEPS = 1_000_000 if IS_NIGHTLY else 50_000
FIRST_SEED = 400_000_000
LEAST_DEFECTS = 30


def stories() -> tuple[dict[str, Any], list[str]]:
    """Play; return what was done, and the violation that ended it, if any."""
    try:
        kept = kept_path("risk-prove", chain_sources(), "tests/simulation") if IS_NIGHTLY else None
        tally = play_many(N_STEPS, FIRST_SEED, kept)
    except Violation as violation:
        return {"profile": "failed"}, [str(violation)]
    found = {
        "profile": "nightly" if IS_NIGHTLY else "push",
        "stories": tally.stories,
        "steps": tally.steps,
        "restarts": tally.restarts,
        "records_read_again": tally.read_again,
        "orders_judged": tally.judged,
        "orders_approved": tally.approved,
        "dead_letters": tally.letters,
        "refusals": dict(sorted(tally.codes.items())),
    }
    return found, []


def interleavings() -> tuple[Counts, list[str]]:
    """Walk the small model, all layouts with all ends."""
    counts = Counts(0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        for layout in LAYOUTS:
            try:
                counts = counts.plus(walk(Path(folder), layout))
            except Violation as violation:
                return counts, [str(violation)]
    return counts, []


def defects() -> list[dict[str, Any]]:
    """Plant every defect, in processes that have not loaded the product."""
    command = [sys.executable, "-m", "tests.simulation.hunt", "--json"]
    said = subprocess.run(command, check=True, capture_output=True).stdout
    found: list[dict[str, Any]] = msgspec.json.decode(said)
    return found


def measure() -> Result:
    """Search, walk, and look for what was planted."""
    logging.disable(logging.CRITICAL)
    told, broken = stories()
    counts, differences = interleavings()
    planted = defects()
    logging.disable(logging.NOTSET)
    n_found = sum(bool(one["found_by"]) for one in planted)
    parts = told | {
        "violations": broken + differences,
        "interleavings": counts.interleavings,
        "interleaved_steps": counts.steps,
        "crashes": counts.crashes,
        "defects_planted": len(planted),
        "defects_found": n_found,
        "defects": {
            one["name"]: f"{one['found_by'] or 'NOT FOUND'} after {one['steps']} steps"
            for one in planted
        },
    }
    limits = sum(said.startswith("limit") for said in (*broken, *differences))
    is_all = n_found == len(planted) >= LEAST_DEFECTS
    holds = not broken and not differences and is_all
    return Result(limits, holds, int(told.get("steps", 0)) + counts.steps, parts)


RISK_PROVE = Measurement(
    "risk-prove",
    "limits broken by an approved order, at any prefix of the log",
    f"0, no other difference from the judge, and all planted defects (>= {LEAST_DEFECTS}) found",
    15,
    measure,
)
