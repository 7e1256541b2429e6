"""``audit-tamper``: six kinds of deeds on rows and six on heads, fifty each, at drawn places.

Each deed goes into the rows of a trail of 200 decisions as SQL would give them, the trail is
exported with the heads that the owner cannot write, and the verifier, which shares no code with
what made the trail, must find it, name rows of it, and accuse no rows of an earlier head. Rewritten
rows have sound links, so they are told by the signed head of their minute, which stands for ten
rows here. The untouched trail must hold.

The deeds on heads are those of somebody who can write the file of heads and the bundle, and does
not have the key. An end of heads that was cut off by up to two minutes looks like a trail that is
being written; those are verified with a copy of the heads as well, and counted apart.
"""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from tables.audit_verifier import verify
from tests.evidence.measurement import Measurement, Result
from tests.head_tampering import HEAD_DEEDS
from tests.tampering import DEEDS, Done, is_located
from tests.trails import Trail, key

N_ROWS = 200
N_EACH = 50
KEYS = [key().public_pem]


class Counts(NamedTuple):
    """Of fifty deeds of a kind: found, and found by the bundle alone; located; named exactly."""

    found: int
    found_alone: int
    located: int
    first_row_named: int


def counted(folder: Path, name: str, deed: Callable[[Trail, Random], Done]) -> Counts:
    """Do a deed at drawn places, and ask the verifier each time."""
    counts = [0, 0, 0, 0]
    for seed in range(N_EACH):
        trail = Trail(N_ROWS)
        copy = folder / "copy.jsonl"
        copy.write_bytes(b"".join(head.canonical() + b"\n" for head in trail.heads))
        done = deed(trail, Random(f"{name} {seed}"))  # noqa: S311  a seeded place
        bundle = asyncio.run(trail.bundle(folder))
        alone = verify(bundle, KEYS).faults
        faults = alone or verify(bundle, KEYS, [copy]).faults
        is_there = bool(faults) and is_located(done, faults)
        is_named = is_there and faults[0].first_seq == done.first_seq
        told = (bool(faults), bool(alone), is_there, is_named)
        counts = [n + one for n, one in zip(counts, told, strict=True)]
    return Counts(*counts)


def measure() -> Result:
    """Do every deed, and ask the verifier."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = verify(asyncio.run(Trail(N_ROWS).bundle(folder)), KEYS)
        rows = {
            kind: counted(folder, kind, lambda trail, draw, deed=deed: deed(trail.rows, draw))
            for kind, deed in DEEDS.items()
        }
        heads = {kind: counted(folder, f"head {kind}", deed) for kind, deed in HEAD_DEEDS.items()}
    n_located = sum(each.located for each in rows.values())
    n_deeds = N_EACH * len(DEEDS)
    is_all = n_located == n_deeds and all(each.found_alone == N_EACH for each in rows.values())
    is_all &= all(each.located == N_EACH for each in heads.values())
    return Result(
        value=n_located,
        holds=is_all and sound.holds(),
        n=n_deeds,
        parts={
            "untouched_holds": sound.holds(),
            "rows": N_ROWS,
            **{kind: each._asdict() for kind, each in rows.items()},
            "heads_located": sum(each.located for each in heads.values()),
            "heads": {kind: each._asdict() for kind, each in heads.items()},
        },
    )


AUDIT_TAMPER = Measurement(
    "audit-tamper",
    "deeds found and located of 6 kinds x 50",
    f"{6 * N_EACH} of {6 * N_EACH}, as many of 6 kinds on heads, nothing in the untouched trail",
    1,
    measure,
)
