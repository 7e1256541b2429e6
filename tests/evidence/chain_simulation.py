"""``chain-simulation``: the whole chain by seeds; the value is the seeds that said anything else.

Ten thousand at ``HYPOTHESIS_PROFILE=nightly``, other ones each night, which go on where they were
interrupted; none are those of the tests. Each core plays seeds of its own.
"""

import logging
import os
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

from tests.evidence.kept import chain_sources, kept_path
from tests.evidence.measurement import Measurement, Result
from tests.runs import fit
from tests.simulation.chain import Simulation, play_many

IS_NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
N_SEEDS = 10_000 if IS_NIGHTLY else 200
FIRST_SEED = 500_000_000
_SHARE = 50


class Played(msgspec.Struct):
    """What was played so far: seeds, what befell the workers, seeds that were wrong, seconds."""

    first_seed: int = FIRST_SEED
    n: int = 0
    strikes: dict[str, int] = msgspec.field(default_factory=dict)
    wrong: list[str] = msgspec.field(default_factory=list)
    processor_s: float = 0.0

    def add(self, strikes: Counter[str], wrong: list[str], processor_s: float) -> None:
        """Add the seeds of one process."""
        self.n += _SHARE
        self.strikes = dict(sorted((Counter(self.strikes) + strikes).items()))
        self.wrong += wrong
        self.processor_s += processor_s


_simulations: list[Simulation] = []


def _begin(home: str, models: str) -> None:
    logging.disable(logging.CRITICAL)
    _simulations.append(Simulation(Path(home), models))


def _share(first_seed: int) -> tuple[Counter[str], list[str], float]:
    started = time.process_time()
    strikes, wrong = play_many(_simulations[0], range(first_seed, first_seed + _SHARE))
    return strikes, wrong, time.process_time() - started


def _begun(path: Path) -> Played:
    """Return a night that was interrupted, or a new one behind the seeds of the last."""
    if not path.exists():
        return Played()
    last = msgspec.json.decode(path.read_bytes(), type=Played)
    return last if last.n < N_SEEDS else Played(last.first_seed + last.n)


def measure() -> Result:
    """Play what is left of the seeds."""
    path = kept_path("chain-simulation", chain_sources(), "tests/simulation", "tests/runs.py")
    played = _begun(path) if IS_NIGHTLY else Played()
    with tempfile.TemporaryDirectory() as folder:
        begun = (folder, fit(Path(folder)))
        n_cores = len(os.sched_getaffinity(0))
        with ProcessPoolExecutor(n_cores, initializer=_begin, initargs=begun) as pool:
            firsts = range(played.first_seed + played.n, played.first_seed + N_SEEDS, _SHARE)
            for strikes, wrong, processor_s in pool.map(_share, firsts):
                played.add(strikes, wrong, processor_s)
                if IS_NIGHTLY:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(msgspec.json.encode(played))
    parts = {
        "profile": "nightly" if IS_NIGHTLY else "push",
        "first_seed": played.first_seed,
        "strikes": played.strikes,
        "wrong": played.wrong,
        "s_each": round(played.processor_s / played.n, 2),
    }
    holds = played.n >= N_SEEDS and not played.wrong
    return Result(len(played.wrong), holds, played.n, parts)


CHAIN_SIMULATION = Measurement(
    "chain-simulation",
    "seeds of the simulated chain that said anything else than the undisturbed one",
    "0 of 200, at night of 10,000",
    2,
    measure,
)
