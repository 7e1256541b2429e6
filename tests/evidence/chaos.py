"""Chaos campaigns: how often a run was struck, and whether it ever said anything else.

Every run is compared byte by byte with one to which nothing happened, and judged from its topics.
A campaign keeps its runs by seed, so an interrupted one goes on and n adds up.
"""

import asyncio
import random
import shutil
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from models.features.catalogue import WARMUP_BARS
from streams.brokers.embedded import open_embedded
from streams.failpoints import STEP
from streams.sources.synthetic import SyntheticTape
from tests.chaos.campaign import Played, die, play, undisturbed_of
from tests.chaos.faults import KILL, OUTAGE, REBALANCE, STAGES, Fault, Place
from tests.chaos.promises import PROMISES
from tests.evidence.kept import chain_sources, kept_path
from tests.evidence.measurement import Measurement, Result, quantile
from tests.runs import Outcome, fit
from tests.simulation.chain import Simulation

TERM_S_P95 = 3.0
N_SIMULATED = 12
N_KILLS, N_OUTAGES, N_REBALANCES, N_DEATHS = 200, 40, 200, 3
FIRST_SEED = 26_000
READY_S_P95 = 10.0

# Long enough for stages that keep a snapshot every 64 slices to die beside several of them.
LONG = SyntheticTape(symbols=8, bars=WARMUP_BARS + 747, ticks_per_bar=4, seed=5)

# Of the simulation: orders are made on it, and it is long enough for every pair to be reached once.
SHORT = SyntheticTape(symbols=8, bars=WARMUP_BARS + 97, ticks_per_bar=2, seed=5)

# Of a run of the long tape: snapshots are rare, steps are not.
_TABLE_DEATHS, _STEP_DEATHS = 9, 12

# Of which campaigns are made, beside the product: with other ones they begin anew.
_MADE_OF = ("tests/chaos", "tests/runs.py", "tests/e2e/serving.py", "tests/evidence/chaos.py")

# Campaigns whose workers have an API.
_WITH_API = ("chaos-asking", "chaos-spill", "chaos-cache")

# The archive and its database run along in every fourth run: there the judge compares rows, too.
_ROWS_EVERY = 4

LEAST_BUSY_SHARE = 0.9

Run = Callable[[Place, int], Awaitable[Played]]


@contextmanager
def own_place(fitted: Path | None = None) -> Iterator[Place]:
    """Yield a broker and a home of its own, with the models of a fitted home or with new ones."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        if fitted is not None:
            shutil.copytree(fitted, home)
        broker = open_embedded(Path(folder) / "broker", port=None, detach=False)
        place = Place(broker.bootstrap_servers, home, "", Outcome({}, {}, {}, 0), LONG, [broker])
        try:
            place.models = fit(home)
            yield place
        finally:
            place.brokers[-1].stop()


def campaign(name: str, n: int, run: Run) -> Played:
    """Play runs until there were ``n`` strikes or a violation, each on a broker of its own.

    What a run says undisturbed does not depend on where it runs, so it is played once.
    """
    path, played = kept_path(name, chain_sources(has_api=name in _WITH_API), *_MADE_OF), Played()
    if path.exists():
        played = msgspec.json.decode(path.read_bytes(), type=Played)
    undisturbed: Outcome | None = None
    with tempfile.TemporaryDirectory() as folder:
        fitted = Path(folder) / "home"
        while played.n_strikes < n and not played.violations:
            fit(fitted)
            with own_place(fitted) as place:
                undisturbed = undisturbed or asyncio.run(undisturbed_of(place))
                place.undisturbed = undisturbed
                played.add(asyncio.run(run(place, FIRST_SEED + played.n_runs)))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.encode(played))
    return played


def _result(played: Played, n: int, **parts: Any) -> Result:  # noqa: ANN401  any part
    told = {
        "runs": played.n_runs,
        "runs_with_rows": played.n_rows_runs,
        "strikes": played.n_strikes,
        "first_seed": FIRST_SEED,
        "decisions_said_again": played.n_repeats,
        "violations": played.violations,
        # None in n: with 95 % confidence at most 3 in n strikes do harm.
        "rate_at_most_percent": round(300 / max(played.n_strikes, 1), 2),
    }
    n_bad, is_all = len(played.violations), played.n_strikes >= n
    return Result(n_bad, is_all and not n_bad, played.n_strikes, told | parts)


def _of(fault: Fault) -> Run:
    async def run(place: Place, seed: int) -> Played:
        how = fault.how._replace(rows=(seed - FIRST_SEED) % _ROWS_EVERY == 0)
        return await play(place, fault._replace(how=how), seed)

    return run


def measure_kills() -> Result:
    """Kill the worker at random moments."""
    return _at_work(campaign("chaos-kill9", N_KILLS, _of(KILL)), N_KILLS)


def _at_work(played: Played, n: int) -> Result:
    """Say how often strikes met work as well: what meets none proves little."""
    busy = sum(n > 0 for n in played.under_way) / max(len(played.under_way), 1)
    parts = {
        "share_with_work_under_way": round(busy, 3),
        "bars_under_way_median": statistics.median(played.under_way or [0]),
    }
    result = _result(played, n, **parts)
    return result._replace(holds=result.holds and busy >= LEAST_BUSY_SHARE)


def measure_recovery() -> Result:
    """Take the recoveries of the kills: from SIGKILL to the first decision of the new process."""
    played = campaign("chaos-kill9", N_KILLS, _of(KILL))
    ordered = sorted(played.recoveries_s)
    p95 = round(quantile(ordered, 0.95), 2)
    parts = {"p50_s": round(quantile(ordered, 0.5), 2), "max_s": round(ordered[-1], 2)}
    return Result(p95, p95 <= READY_S_P95, len(ordered), parts)


def measure_outages() -> Result:
    """Stop and kill the broker for a minute."""
    return _at_work(campaign("chaos-broker", N_OUTAGES, _of(OUTAGE)), N_OUTAGES)


def measure_rebalances() -> Result:
    """Let a second worker come and go; what counts is a new generation of the group."""
    played = campaign("chaos-rebalance", N_REBALANCES, _of(REBALANCE))
    n_real = sum(after > before for before, after in played.generations)
    result = _result(played, N_REBALANCES, changes_with_a_new_generation=n_real)
    return result._replace(holds=result.holds and n_real >= N_REBALANCES, n=n_real)


def deaths(seed: int) -> list[tuple[str, str, int]]:
    """Return the deaths of one run; those of all runs hold every pair as often as promised."""
    at = (seed - FIRST_SEED) % _n_runs()
    draw = random.Random(FIRST_SEED)  # noqa: S311  a seeded experiment
    pairs = [(stage, point) for stage in STAGES for point in STEP] * N_DEATHS
    draw.shuffle(pairs)
    rare = [pair for pair in pairs if pair[1] in _RARE]
    steps = [pair for pair in pairs if pair[1] not in _RARE]
    mine = rare[at * _TABLE_DEATHS : (at + 1) * _TABLE_DEATHS]
    mine += steps[at * _STEP_DEATHS : (at + 1) * _STEP_DEATHS]
    return [(s, p, 1 if p in _RARE else draw.randint(1, 8)) for s, p in mine]


_RARE = frozenset({"before-table", "after-table", "before-commit"})


def _n_runs() -> int:
    return len(STAGES) * len(_RARE) * N_DEATHS // _TABLE_DEATHS


def measure_failpoints() -> Result:
    """Die at every point of every stage."""

    async def run(place: Place, seed: int) -> Played:
        return await die(place, deaths(seed), seed)

    n = len(STAGES) * len(STEP) * N_DEATHS
    pairs = len(STAGES) * len(STEP)
    n_simulated, wrong = simulated()
    parts = {
        "pairs": pairs,
        "deaths_of_each": N_DEATHS,
        "deaths_of_each_in_simulation": n_simulated // pairs,
        "deaths_in_simulation": n_simulated,
        "violations_in_simulation": wrong,
    }
    result = _result(campaign("chaos-failpoints", n, run), n, **parts)
    is_all = n_simulated >= pairs * N_SIMULATED
    holds = result.holds and is_all and not wrong
    return result._replace(value=result.value + len(wrong), holds=holds)


def simulated() -> tuple[int, list[str]]:
    """Die at every point of every stage in this process; return how often, and what was wrong."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        simulation = Simulation(home, fit(home), SHORT)
    n, wrong = 0, []
    for seed in range(FIRST_SEED, FIRST_SEED + N_SIMULATED):
        draw = random.Random(seed)  # noqa: S311  a seeded experiment
        deaths = [
            (stage, point, 1 if point in _RARE else draw.randint(1, 3))
            for stage in STAGES
            for point in STEP
        ]
        draw.shuffle(deaths)
        if said := simulation.dies(deaths, seed):
            wrong.append(said)
        n += len(deaths)
    return n, wrong


def measure_faults() -> Result:
    """Play every other fault as often as its promise says; one row each."""
    rows: dict[str, dict[str, Any]] = {}
    for promise in PROMISES:
        played = campaign(f"chaos-{promise.name}", promise.n, promise.run)
        rows[promise.name] = {
            "fault": promise.fault,
            "promise": promise.promise,
            "strikes": played.n_strikes,
            "expected": promise.n,
            "runs": played.n_runs,
            "said_again": played.n_repeats,
            "violations": played.violations,
        }
        if played.recoveries_s:
            ready_s_p95 = quantile(sorted(played.recoveries_s), 0.95)
            rows[promise.name]["ready_s_p95"] = round(ready_s_p95, 2)
    n_bad = sum(len(row["violations"]) for row in rows.values())
    ended_s = rows["roll"]["ready_s_p95"]  # the others that note when they are ready: SIGKILL
    n = sum(row["strikes"] for row in rows.values())
    is_all = all(row["strikes"] >= row["expected"] for row in rows.values())
    return Result(n_bad, is_all and not n_bad and ended_s <= TERM_S_P95, n, rows)


_NOTHING = "0: the same bytes as undisturbed, and I1 to I6 hold"
_ROWS_TOO = f"I7 as well in every {_ROWS_EVERY}th run, in which the archive runs along"

CHAOS_KILL9 = Measurement(
    "chaos-kill9",
    "runs that said anything else after kill -9 at random moments",
    f"{_NOTHING}, {_ROWS_TOO}; >= {N_KILLS} kills, "
    f"work under way at >= {LEAST_BUSY_SHARE:.0%} of them",
    45,
    measure_kills,
)
RECOVERY_TIME = Measurement(
    "recovery-time",
    "s from kill -9 to the first decision that the new process made, P95",
    f"<= {READY_S_P95:g}",
    45,
    measure_recovery,
)
CHAOS_FAILPOINTS = Measurement(
    "chaos-failpoints",
    "runs that said anything else after a death at a failpoint",
    f"{_NOTHING}, every point of every stage >= {N_DEATHS} times, "
    f">= {N_SIMULATED} times in simulation",
    32,
    measure_failpoints,
)
CHAOS_BROKER = Measurement(
    "chaos-broker",
    "runs that said anything else or twice, or lost a worker, while the broker was away for 60 s",
    f"{_NOTHING}, {_ROWS_TOO}; >= {N_OUTAGES} stops and kills, "
    f"work under way at >= {LEAST_BUSY_SHARE:.0%} of them",
    80,
    measure_outages,
)
CHAOS_REBALANCE = Measurement(
    "chaos-rebalance",
    "runs that said anything else while a second worker came and went",
    f"{_NOTHING}, {_ROWS_TOO}; >= {N_REBALANCES} new generations of the group",
    45,
    measure_rebalances,
)
CHAOS_FAULTS = Measurement(
    "chaos-faults",
    "broken promises under every other fault, one row each",
    f"0, and ready <= {TERM_S_P95:g} s after SIGTERM (P95)",
    180,
    measure_faults,
)
