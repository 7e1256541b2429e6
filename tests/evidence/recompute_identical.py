"""``recompute-identical``: decisions made again from the log of their book, one by one.

A run of the whole chain is played on a real broker. A hundred of its decisions are drawn, refused
ones and orders among them, and each is made again as ``tradewind explain --recompute`` does it: by
folding the book's log from its first record up to the one that decided. Then the model's part: the
confidence of each is computed again from the features that the decisions carry.
"""

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

from agents.cli.book_log import BookLog
from agents.cli.recompute import recompute
from agents.run.fit import models_for
from streams.clock import run_stamp
from streams.sources.replay import Stretch
from tables.epochs import Epochs
from tables.explanations import NO_BARS, explanation, read_decision, tells_of_a_bar, with_bar
from tables.stores.artifacts import Artifacts
from tests.evidence.bench import stack
from tests.evidence.measurement import Measurement, Result
from tests.runs import FIT_TAPE, trial

N_DECISIONS = 100
_SEED = "recompute 20260105"


async def compared(servers: str, home: Path, models: str) -> Result:
    """Play a run, and make its decisions again."""
    name = f"again-{run_stamp()}"
    artifacts = Artifacts(home / "artifacts")
    async with trial(servers, home, models, name) as run:
        run.start()
        await run.feed()
        decisions = (await run.outcome()).decisions
        drawn = Random(_SEED).sample(sorted(decisions), N_DECISIONS)  # noqa: S311  a seeded sample
        log = BookLog(servers, name, Epochs(artifacts))
        n_identical = 0
        for id_ in drawn:
            made = await recompute(log, "main", id_)
            n_identical += made.value == decisions[id_]
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
        n_identical == N_DECISIONS and n_reproduced == n_model > 0,
        N_DECISIONS,
        {
            "confidences_reproduced": n_reproduced,
            "confidences": n_model,
            "drawn": {action: actions.count(action) for action in sorted(set(actions))},
            "refused": sum(not json.loads(decisions[id_])["approved"] for id_ in drawn),
        },
    )


def measure() -> Result:
    """Play, draw and compare."""
    closes = FIT_TAPE.closes_ns()
    with stack() as (servers, home):
        models = models_for(
            FIT_TAPE, Stretch(closes[0], closes[-1]), Artifacts(home / "artifacts"), lambda *_: None
        )[0]
        return asyncio.run(compared(servers, home, models))


RECOMPUTE_IDENTICAL = Measurement(
    "recompute-identical",
    "decisions that are the same bytes when they are made again",
    f"{N_DECISIONS} of {N_DECISIONS}, and every confidence of the run reproduced bit for bit",
    6,
    measure,
)
