"""``judge-mutants``: defects planted into a recorded real run; the value is how many are found.

The run is played on a real broker and a real database, with a worker killed in it, and recorded by
the judge's own readers. Each defect goes alone into a copy, at a seeded place, and counts as found
if the invariant that is about it says so; the run as it was must pass.
"""

import asyncio
import tempfile
from pathlib import Path
from random import Random

from streams.clock import run_stamp
from tests.chaos.defects import DEFECTS
from tests.chaos.judge.recording import RecordedSource
from tests.chaos.judge.trial import judge
from tests.chaos.planting import Kept
from tests.chaos.recorded import record
from tests.evidence.bench import stack
from tests.evidence.measurement import Measurement, Result
from tests.runs import fit

LEAST_DEFECTS = 30
SEED = 20_260_105


def recorded() -> Kept:
    """Return a new recording of the run."""
    with stack() as (servers, home), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.parquet"
        asyncio.run(record(servers, home, fit(home), f"judge-{run_stamp()}", path))
        return Kept(RecordedSource(path))


def measure() -> Result:
    """Record, judge the run, and judge it once more with each defect."""
    sound = recorded()
    verdict = judge(sound)
    seen: dict[str, str] = {}
    for defect in DEFECTS:
        changed = sound.copy()
        defect.act(changed, Random(f"{SEED} {defect.name}"))  # noqa: S311  a seeded place
        broken = judge(changed).broken()
        mark = "found" if defect.code in broken else "NOT FOUND"
        seen[defect.name] = f"{mark} by {defect.code}; broken: {' '.join(broken) or 'none'}"
    n_found = sum(said.startswith("found") for said in seen.values())
    n_records = sum(len(records) for records in sound.of.values())
    return Result(
        value=n_found,
        holds=verdict.holds() and n_found == len(DEFECTS) >= LEAST_DEFECTS,
        n=len(DEFECTS),
        parts={
            "broken_without_defect": verdict.broken(),
            "checks": sum(each.n_checked for each in verdict.all()),
            "records": n_records,
            "seed": SEED,
            "defects": seen,
        },
    )


JUDGE_MUTANTS = Measurement(
    "judge-mutants",
    "planted defects found by the judge of a run",
    f"all (>= {LEAST_DEFECTS}), and nothing found in the run without them",
    8,
    measure,
)
