"""``price-of-once``: the chain beside the same chain that waits for no acknowledgement.

A tape waits in its topic before a worker starts. What counts is the time from the first decision to
the last, so the start of a process does not. The two take turns, and their decisions are compared.
"""

import asyncio
import tempfile
from pathlib import Path
from statistics import median

from models.features.catalogue import WARMUP_BARS
from streams import topics
from streams.brokers.embedded import open_embedded
from streams.clock import run_stamp
from streams.sources.synthetic import SyntheticTape
from tests.evidence.measurement import Measurement, Result
from tests.runs import Outcome, fit, trial

N_TURNS = 10
MIN_RATIO = 0.9

_CAREFUL, _CARELESS = "agents", "tests.evidence.careless_worker"
_TAPE = SyntheticTape(symbols=40, bars=WARMUP_BARS + 447, ticks_per_bar=10, seed=9)
_MS_PER_S = 1_000


async def _turn(servers: str, home: Path, models: str, program: str) -> tuple[float, Outcome]:
    """Play the tape once; return decisions per second and what was said."""
    name = f"{program.rpartition('.')[2].replace('_', '-')}-{run_stamp()}"
    async with trial(servers, home, models, name, tape=_TAPE) as run:
        await run.pour(_at_once)
        run.start(program=program)
        await run.decided(_TAPE.closes_ns()[-1])
        said = await run.records(topics.TRADING_DECISIONS.name)
        times_ms = [record.timestamp for record in said]
        return len(said) * _MS_PER_S / (max(times_ms) - min(times_ms)), await run.outcome()


async def _at_once(_close_ns: int) -> None:
    """Hold nothing back."""


async def _turns(servers: str, home: Path, models: str) -> tuple[list[float], list[float], int]:
    rates: dict[str, list[float]] = {_CAREFUL: [], _CARELESS: []}
    n_different, first = 0, None
    for turn in range(N_TURNS):
        order = (_CAREFUL, _CARELESS) if turn % 2 else (_CARELESS, _CAREFUL)
        for program in order:
            rate, said = await _turn(servers, home, models, program)
            rates[program].append(rate)
            first = first or said
            n_different += bool(said.differs(first))
    return rates[_CAREFUL], rates[_CARELESS], n_different


def measure() -> Result:
    """Let both take turns on one broker."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        broker = open_embedded(Path(folder) / "broker", port=None, detach=False)
        try:
            turns = _turns(broker.bootstrap_servers, home, fit(home))
            ours, theirs, n_different = asyncio.run(turns)
        finally:
            broker.stop()
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    ratio = round(median(ratios), 2)
    parts = {
        "decisions_per_s": round(median(ours)),
        "careless_per_s": round(median(theirs)),
        "ratio_worst_turn": round(min(ratios), 2),
        "ratio_best_turn": round(max(ratios), 2),
        "turns": N_TURNS,
        "runs_that_said_anything_else": n_different,
    }
    n = N_TURNS * len(_TAPE.symbols) * len(_TAPE.closes_ns())
    peer = "the same chain, waiting for no acknowledgement"
    return Result(ratio, ratio >= MIN_RATIO and not n_different, n, parts, peer, ratio)


PRICE_OF_ONCE = Measurement(
    "price-of-once",
    "throughput of the chain, of one that waits for no acknowledgement",
    f">= {MIN_RATIO:g}, the same decisions",
    15,
    measure,
)
