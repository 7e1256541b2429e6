"""Deaths of the worker that explains decisions, at each failpoint of its steps."""

import asyncio
import random

from agents.explain import ExplainFold
from agents.run.drive import start_explainer
from agents.run.workers import free_port
from streams.dead_letters import DeadLetter
from streams.failpoints import STEP, VARIABLE
from streams.topics import EXPLANATIONS, TRADING_DECISIONS
from streams.transport import Record
from tables.stores.artifacts import Artifacts
from tests.chaos.campaign import Played, judged
from tests.chaos.faults import How, Place, Struck

# Of steps, the visit at which it dies; states are written once on the way.
_VISITS = 8
_RARE = ("before-table", "after-table", "before-commit")


async def die_in_explain(place: Place, seed: int) -> Played:
    """Let it die at each point while it reads the decisions of a whole tape."""
    draw = random.Random(seed)  # noqa: S311  a seeded experiment

    async def run(struck: Struck) -> None:
        struck.trial.start()
        await struck.trial.feed()
        for point in STEP:
            await _die(struck, point)
        _start(struck)
        await _all_explained(struck)

    return await judged(place, f"die-explain-{seed}", draw, run, How())


def _start(struck: Struck) -> None:
    start_explainer(struck.trial.run, struck.trial.children, free_port("127.0.0.1"))


async def _die(struck: Struck, point: str) -> None:
    children = struck.trial.children
    times = 1 if point in _RARE else struck.draw.randint(1, _VISITS)
    children.environment[VARIABLE] = f"explain.{point}:{times}"
    _start(struck)
    del children.environment[VARIABLE]
    process = children.running.pop("explain")
    await struck.trial.until(lambda: not process.alive(), f"an end at explain.{point}")
    said = children.log_of("explain").read_text(errors="replace")
    if f"failpoint explain.{point}" not in said:
        struck.violations.append(f"the worker ended by itself and not at {point}: {said[-500:]}")
    struck.n_strikes += 1


async def _all_explained(struck: Struck) -> None:
    """Wait for every explanation that the same decisions have in one go, and compare the bytes."""
    trial = struck.trial
    folds: dict[int, ExplainFold] = {}
    expected: dict[bytes | None, set[bytes | None]] = {}
    for each in await trial.records(TRADING_DECISIONS.name):
        fold = folds.setdefault(
            each.partition, ExplainFold(Artifacts(trial.run.artifacts), lambda _: None)
        )
        place = each.topic, each.partition, each.offset
        for said in fold.apply(Record(*place, each.key, each.value, list(each.headers))):
            assert not isinstance(said, DeadLetter), said
            expected.setdefault(said.key, set()).add(said.value)
    found: dict[bytes | None, set[bytes | None]] = {}

    async def has_all() -> bool:
        found.clear()
        for each in await trial.records(EXPLANATIONS.name):
            found.setdefault(each.key, set()).add(each.value)
        await asyncio.sleep(1.0)
        return len(found) >= len(expected)

    await trial.until(has_all, f"{len(expected)} explanations")
    if not expected or found != expected:
        struck.violations.append(
            f"{sum(found.get(key) == values for key, values in expected.items())} of "
            f"{len(expected)} explanations are there and the same, {len(found)} were found"
        )
