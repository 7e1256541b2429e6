"""``recompute-identical``: decisions made again from the log of their book, one by one.

A run of the whole chain is played on a real broker. A hundred of its decisions are drawn by seed: a
third refusals and a third orders, or all there are of them, the rest that hold. Each is made again
as ``tradewind explain --recompute`` does it: by folding the book's log from its first record up to
the one that decided, and once more from the nearest of three checkpoints that were taken while the
run was played. Then from the ticks: all stages are folded in one process, once for all decisions of
the run, and from each checkpoint for all behind it. Then the model's part: the confidence of each
is computed again from the features that the decisions carry.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from agents.cli.book_log import BookLog
from agents.cli.recompute import recompute
from agents.run.checkpoint import make
from agents.run.in_process import Said
from agents.run.topic_backtest import TopicBacktest
from streams.clock import run_stamp
from streams.dead_letters import DeadLetter
from streams.timestamps import parse_ns
from streams.topics import MARKET_TICKS
from tables.checkpoint import Checkpoint
from tables.epochs import Epochs
from tables.explanations import NO_BARS, explanation, read_decision, tells_of_a_bar, with_bar
from tables.stores.artifacts import Artifacts
from tests.evidence.bench import stack
from tests.evidence.measurement import Measurement, Result
from tests.runs import Trial, fit, trial

N_DECISIONS = 100
_SEED = "recompute 20260105"
# Before these bars of the tape; features warm up over 252.
_KEPT_AT = (150, 262, 285)


def draw(decisions: Mapping[str, bytes], n_drawn: int) -> list[str]:
    """Return the ids of some decisions: a third refused, a third orders, the rest that hold.

    Of a kind that is rarer all are taken; what is missing then holds, or is of any kind.
    """
    random = Random(_SEED)  # noqa: S311  a seeded sample
    kinds: dict[str, list[str]] = {"refused": [], "order": [], "hold": []}
    for id_, value in sorted(decisions.items()):
        said = read_decision(value)
        kind = "refused" if not said.approved else "hold" if said.action == "HOLD" else "order"
        kinds[kind].append(id_)
    shuffled = {kind: random.sample(ids, len(ids)) for kind, ids in kinds.items()}
    each = n_drawn // 3
    first = [*shuffled["refused"][:each], *shuffled["order"][:each], *shuffled["hold"]]
    return [*first, *shuffled["refused"][each:], *shuffled["order"][each:]][:n_drawn]


async def _rebuilt(
    servers: str,
    home: Path,
    run: str,
    decisions: dict[str, bytes],
    begin: Checkpoint | None = None,
) -> int:
    """Return how many of some decisions the whole chain makes again from the ticks."""
    test = TopicBacktest(home, servers, run, MARKET_TICKS.name, (None, None), begin=begin)
    await asyncio.to_thread(test.check)
    made: dict[str, bytes] = {}

    def take(said: Said) -> None:
        if not isinstance(said, DeadLetter):
            made.update((each.decision_id, msgspec.json.encode(each)) for each in said.decisions)

    await test.fold(take)
    return sum(made.get(id_) == value for id_, value in decisions.items())


async def compared(servers: str, home: Path, models: str) -> Result:
    """Play a run, and make its decisions again."""
    name = f"again-{run_stamp()}"
    artifacts = Artifacts(home / "artifacts")
    kept: list[Checkpoint] = []

    async def keep(run: Trial) -> None:
        kept.append((await asyncio.to_thread(make, home, servers, run.run.name))[0])

    async with trial(servers, home, models, name) as run:
        run.start()
        await run.feed(dict.fromkeys(_KEPT_AT, keep))
        decisions = (await run.outcome()).decisions
        drawn = draw(decisions, N_DECISIONS)
        log = BookLog(servers, name, Epochs(artifacts))
        n_identical = n_near = 0
        for id_ in drawn:
            made = await recompute(log, "main", id_)
            n_identical += made.value == decisions[id_]
            ts_ns = parse_ns(read_decision(decisions[id_]).timestamp)
            near = max((each for each in kept if each.close_ns < ts_ns), default=None)
            made = await recompute(log, "main", id_, nearest=near)
            n_near += made.value == decisions[id_]
    n_rebuilt = await _rebuilt(servers, home, name, decisions)
    n_from, n_behind = 0, 0
    for begin in kept:
        behind = {
            key: value
            for key, value in decisions.items()
            if parse_ns(read_decision(value).timestamp) > begin.close_ns
        }
        n_from += await _rebuilt(servers, home, name, behind, begin)
        n_behind += len(behind)
    loaded = artifacts.load_models(models)
    n_model = n_reproduced = 0
    past: dict[str, Any] = {}
    ordered = sorted(map(read_decision, decisions.values()), key=lambda said: said.timestamp)
    for said in ordered:
        if tells_of_a_bar(said):
            past[said.symbol] = with_bar(past.get(said.symbol, NO_BARS), said)
        told = explanation(said, "order", loaded, past.get(said.symbol))
        n_model += told.explained == "model"
        n_reproduced += told.confidence_difference == 0.0
    actions = [json.loads(decisions[id_])["action"] for id_ in drawn]
    return Result(
        n_identical,
        n_identical == n_near == N_DECISIONS
        and n_rebuilt == len(decisions)
        and n_from == n_behind > 0
        and n_reproduced == n_model > 0,
        N_DECISIONS,
        {
            "from_the_nearest_checkpoint": n_near,
            "rebuilt_from_ticks": n_rebuilt,
            "rebuilt_from_checkpoints": n_from,
            "behind_checkpoints": n_behind,
            "decisions": len(decisions),
            "confidences_reproduced": n_reproduced,
            "confidences": n_model,
            "drawn": {action: actions.count(action) for action in sorted(set(actions))},
            "refused": sum(not json.loads(decisions[id_])["approved"] for id_ in drawn),
        },
    )


def measure() -> Result:
    """Play, draw and compare."""
    with stack() as (servers, home):
        return asyncio.run(compared(servers, home, fit(home)))


RECOMPUTE_IDENTICAL = Measurement(
    "recompute-identical",
    "decisions that are the same bytes when they are made again",
    f"{N_DECISIONS} of {N_DECISIONS}, from checkpoints too; from the ticks all of the run; "
    "every confidence bit for bit",
    6,
    measure,
)
