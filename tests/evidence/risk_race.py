"""``risk-race``: 100,000 orders race for one limit through the fold, in ten seeded interleavings.

Eight writers each have their own orders; a seed mixes them into one log, and the fold is killed and
restored once on the way. The limit is a number of lots that the test knows by itself. After every
order the sum of what was approved is at most that number, and what was refused would have exceeded
it: the limit is used to the lot.
"""

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from streams.epochs import Portfolio
from tests.builders import FREE, MIDNIGHT, Run, Sent, outputs, record
from tests.evidence.measurement import Measurement, Result
from tests.unit.agents.test_risk import SYMBOLS, World

N_ORDERS, N_WRITERS, N_INTERLEAVINGS = 100_000, 8, 10

# A quarter of 60 million at 100 a lot.
LIMIT_LOTS, CASH = 150_000, "60000000"


def orders(writer: int) -> list[dict[str, Any]]:
    """Draw a writer's orders: one to five lots each."""
    draw = random.Random(writer)  # noqa: S311  a seeded experiment
    return [
        {
            "record": "order_intent",
            "portfolio": "main",
            "ts_event": MIDNIGHT,
            "intent_id": f"{writer}-{n}",
            "symbol": SYMBOLS[0],
            "side": "BUY",
            "quantity": draw.randint(1, 5),
        }
        for n in range(N_ORDERS // N_WRITERS)
    ]


def interleaved(seed: int) -> list[dict[str, Any]]:
    """Mix the writers' orders, each in its own order."""
    queues = [orders(writer) for writer in range(N_WRITERS)]
    turns = [writer for writer, queue in enumerate(queues) for _ in queue]
    random.Random(seed).shuffle(turns)  # noqa: S311  a seeded experiment
    iterators = [iter(queue) for queue in queues]
    return [next(iterators[turn]) for turn in turns]


def race(root: Path, seed: int) -> tuple[int, int, int]:
    """Run one interleaving; return lots approved, orders over the limit, refusals without need."""
    limits = msgspec.structs.replace(FREE, max_asset_fraction=0.25)
    world = World(root, portfolios=(Portfolio(id="main", cash=CASH, limits=limits),))
    run = Run(world.new_fold)
    bar = world.bar(1, dict.fromkeys(SYMBOLS, (100.0, 0.5, float("nan"))))
    run.take(bar)
    said = interleaved(seed)
    log = [
        record(one, offset, key=b"main", topic="portfolio-events")
        for offset, one in enumerate(said, start=len(bar))
    ]
    half = len(log) // 2
    sent: list[Sent] = run.take(log[:half])
    run.persist()
    run.restart()
    sent += run.take(log[half:])
    approved = over = needless = 0
    for one, value in zip(said, outputs(sent, "trading-decisions"), strict=True):
        decision = json.loads(value)
        if decision["intent_id"] != one["intent_id"]:
            raise AssertionError(f"decision of {decision['intent_id']} for {one['intent_id']}")
        fits = approved + one["quantity"] <= LIMIT_LOTS
        if decision["approved"]:
            approved += one["quantity"]
            over += not fits
        else:
            needless += fits
    return approved, over, needless


def measure() -> Result:
    """Race ten times; defects are orders above the limit and refusals that fitted below it."""
    reached, defects = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(N_INTERLEAVINGS):
            approved, over, needless = race(Path(folder), 1_000 + seed)
            reached.append(approved)
            defects += over + needless + (approved > LIMIT_LOTS)
    parts = {
        "limit_lots": LIMIT_LOTS,
        "approved_lots_max": max(reached),
        "approved_lots_min": min(reached),
        "interleavings": N_INTERLEAVINGS,
        "restarts": N_INTERLEAVINGS,
    }
    return Result(defects, defects == 0, N_ORDERS * N_INTERLEAVINGS, parts)


RISK_RACE = Measurement(
    "risk-race",
    "defects: orders approved above the limit, or refused below it",
    "0 of 100,000 orders in each of 10 interleavings",
    8,
    measure,
)
