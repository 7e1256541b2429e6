"""``audit-tamper``: six kinds of deeds of a database's owner, fifty each, at drawn places.

Each deed goes into the rows of a trail of 200 decisions as SQL would give them, the trail is
exported with the heads that the owner cannot write, and the verifier, which shares no code with
what made the trail, must find it, name rows of it, and accuse no rows of an earlier head. Rewritten
rows have sound links, so they are told by the signed head of their minute, which stands for ten
rows here. The untouched trail must hold.
"""

import asyncio
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from tables.audit_verifier import verify
from tests.evidence.measurement import Measurement, Result
from tests.tampering import DEEDS, is_located
from tests.trails import Trail, key

N_ROWS = 200
N_EACH = 50


def measure() -> Result:
    """Do every deed, and ask the verifier."""
    keys = [key().public_pem]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        sound = verify(asyncio.run(Trail(N_ROWS).bundle(Path(folder))), keys)
        for name, deed in DEEDS.items():
            n_found = n_located = n_named = 0
            for seed in range(N_EACH):
                trail = Trail(N_ROWS)
                done = deed(trail.rows, Random(f"{name} {seed}"))  # noqa: S311  a seeded place
                faults = verify(asyncio.run(trail.bundle(Path(folder))), keys).faults
                is_there = bool(faults) and is_located(done, faults)
                n_found += bool(faults)
                n_located += is_there
                n_named += is_there and faults[0].first_seq == done.first_seq
            found[name] = {"found": n_found, "located": n_located, "first_row_named": n_named}
    n_located = sum(each["located"] for each in found.values())
    n_deeds = N_EACH * len(DEEDS)
    return Result(
        value=n_located,
        holds=n_located == n_deeds and sound.holds(),
        n=n_deeds,
        parts={"untouched_holds": sound.holds(), "rows": N_ROWS, **found},
    )


AUDIT_TAMPER = Measurement(
    "audit-tamper",
    "deeds found and located of 6 kinds x 50",
    f"{6 * N_EACH} of {6 * N_EACH}, and nothing found in the untouched trail",
    1,
    measure,
)
