"""``rollback-time``: how long after a trigger the rolled-back model decides at the most.

A broker, the role and the clock as they are in a live stack, on bars of a second. Each injection
begins a rollout, waits for its epoch, and sends what breaks a guard: slow decisions, an order whose
own words are right and whose account is beyond a limit, bars on which the challenger is much worse,
or the news that learning took it back. Measured is from the
acknowledged record to the first close that the champion decides again. Clean hours go through the
same fold: none of them may end a rollout.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from agents.cli import clock as clock_command
from agents.cli import rollout_role
from agents.cli.live_plan import LivePlan
from agents.cli.turning import Turning
from agents.clock import Announced
from agents.rollout import Rollouts
from agents.run.drive import declare_live
from agents.topology import Place
from models.model_set import ModelSet
from models.rollout.guards import Rules, Timed
from models.rollout.stages import Act, start
from streams import topics
from streams.brokers.embedded import open_embedded
from streams.clock import wall_ns
from streams.epochs import Epoch
from streams.model_updates import ModelUpdate
from streams.records import EpochNotice
from streams.rollouts import RolloutState
from streams.settings import Settings
from streams.timestamps import format_ns
from tables.epochs import Epochs
from tables.rollout_stage import StageFold
from tables.stores.artifacts import Artifacts
from tables.stores.kept_stage import KeptStage
from tests.builders import models
from tests.evidence.measurement import Measurement, Result, quantile
from tests.rollout_worlds import SYMBOLS, Market, account, document

N_INJECTIONS = 50
MOST_S = 5.0
N_HOURS, BARS_AN_HOUR = 5, 3_600
# Of a latency in ms in a clean hour, the mean of its logarithm.
CLEAN_LOG_MS = 3.5
_BARS_OF_HARM = 60
_NOTICE = msgspec.json.Decoder(EpochNotice)
_PATIENCE_S = 30.0


class Stack(NamedTuple):
    """What an injection speaks to."""

    role: Rollouts
    producer: AIOKafkaProducer
    notices: AIOKafkaConsumer
    epochs: Epochs
    market: Market
    worse: Market


async def inject(stack: Stack, trigger: str, number: int) -> float:
    """Begin a rollout, break its guard, and give the seconds to the champion's first close."""
    name = f"{trigger}-{number}"
    await stack.role.begin(name, stack.market.challenger, "evidence", "", 10**18)
    notice = await _announced(stack, lambda doc: doc is not None)
    sent_ns = await TRIGGERS[trigger](stack, notice)
    back = await _announced(stack, lambda doc: doc is None)
    first_ns = back.from_close_ns + stack.epochs.load(back.digest).epoch.timeframe_ns
    return (first_ns - sent_ns) / 1e9


async def _announced(stack: Stack, is_wanted: Callable[[Any], bool]) -> EpochNotice:
    async with asyncio.timeout(_PATIENCE_S):
        async for record in stack.notices:
            if b'"epoch"' not in record.value:
                continue
            with contextlib.suppress(msgspec.ValidationError):
                said = _NOTICE.decode(record.value)
                if is_wanted(stack.epochs.load(said.digest).epoch.rollout):
                    return said
    raise TimeoutError


async def _intents(stack: Stack, notice: EpochNotice, n_bars: int, market: Market) -> int:
    """Tell bars of the stage, as prediction does; give when the last was acknowledged."""
    for bar in range(n_bars):
        slice_ = market.intents(bar, epoch=notice.epoch, epoch_digest=notice.digest, timeframe="1s")
        await stack.producer.send(topics.SHADOW_INTENTS.name, slice_.encode(), partition=0)
    await stack.producer.flush()
    sent_ns = wall_ns()
    # Decisions count from the first of these bars on, and come by another topic.
    await asyncio.sleep(0.5)
    return sent_ns


async def _slow(stack: Stack, notice: EpochNotice) -> int:
    await _intents(stack, notice, 2, stack.market)
    now_ms = wall_ns() // 1_000_000
    for number in range(200):
        sent_ms = now_ms - 60 * (199 - number)
        await _decide(stack, notice, sent_ms, latency_ms=300)
    return wall_ns()


async def _violated(stack: Stack, notice: EpochNotice) -> int:
    await _intents(stack, notice, 2, stack.market)
    now_ms = wall_ns() // 1_000_000
    await _decide(stack, notice, now_ms, latency_ms=20, arm=stack.market.challenger)
    # 1,335 units at 187.34 are more than a quarter of a million.
    beyond = account(1, 1_335, SYMBOLS[:1])
    topic = topics.PORTFOLIO_SNAPSHOTS.name
    await stack.producer.send_and_wait(topic, msgspec.json.encode(beyond), partition=0)
    return wall_ns()


async def _degraded(stack: Stack, notice: EpochNotice) -> int:
    return await _intents(stack, notice, _BARS_OF_HARM, stack.worse)


async def _taken_back(stack: Stack, notice: EpochNotice) -> int:
    said = ModelUpdate(
        timestamp=format_ns(wall_ns()),
        job_id=f"evidence-{notice.epoch}",
        model_id="evidence",
        update_type="rollback",
        outcome="rolled_back",
        before=stack.market.challenger,
        after=stack.market.champion,
    )
    await stack.producer.send_and_wait(topics.MODEL_UPDATES.name, msgspec.json.encode(said))
    return wall_ns()


async def _decide(
    stack: Stack,
    notice: EpochNotice,
    sent_ms: int,
    *,
    latency_ms: int,
    **changed: Any,  # noqa: ANN401  fields of a decision
) -> None:
    decision = stack.market.decision(1, SYMBOLS[0], epoch=notice.epoch, **changed)
    origin = str((sent_ms - latency_ms) * 1_000_000).encode()
    await stack.producer.send_and_wait(
        topics.TRADING_DECISIONS.name,
        msgspec.json.encode(decision),
        partition=0,
        timestamp_ms=sent_ms,
        headers=[("origin-ns", origin)],
    )


TRIGGERS: dict[str, Callable[[Stack, EpochNotice], Awaitable[int]]] = {
    "latency": _slow,
    "violation": _violated,
    "degradation": _degraded,
    "taken-back": _taken_back,
}


def _of_seconds(made: ModelSet) -> ModelSet:
    return made._replace(metadata={**made.metadata, "timeframe": "1s"})


class Nowhere:
    """Takes the results of rollouts, which nobody asks for here."""

    def put(self, said: RolloutState) -> None:
        """Do nothing."""


async def injected(home: Path, servers: str) -> dict[str, list[float]]:
    """Run role and clock in this process, and inject each trigger as often as is promised."""
    settings = Settings(partitions=1)
    await declare_live(servers, settings)
    market, worse = (Market(home / "artifacts", better) for better in (0.0, -0.35))
    of_seconds = [
        Artifacts(home / "artifacts").put_models(_of_seconds(models(seed))) for seed in (1, 2)
    ]
    for each in (market, worse):
        each.champion, each.challenger = of_seconds
    fields = {**msgspec.structs.asdict(market.epochs.load(market.digests[0]).epoch)}
    fields |= {"models": market.champion, "timeframe": "1s", "clock_id": "live"}
    live = Epoch(**{**fields, "lateness_ms": 200})
    epochs = market.epochs
    first = epochs.put(live)
    LivePlan([first], "evidence", 1, 2).keep(home)
    place = Place(servers, "", 1, home / "rollout", home / "artifacts", "127.0.0.1", 0, "evidence")
    async with contextlib.AsyncExitStack() as opened:
        producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)
        await producer.start()
        opened.push_async_callback(producer.stop)
        notices = AIOKafkaConsumer(
            topics.MARKET_TICKS.name, bootstrap_servers=servers, auto_offset_reset="earliest"
        )
        await notices.start()
        opened.push_async_callback(notices.stop)
        role = Rollouts(
            producer,
            "",
            epochs,
            lambda: rollout_role._serving(home, epochs),
            KeptStage(home / "rollout" / "stage.bin"),
            Nowhere(),
            Rules(),
        )
        consumer = await rollout_role._consumer(place, role, opened)
        turning = Turning(home, epochs)
        beating = clock_command.Beating(Announced(1, first), "", turning, None)
        running = [
            asyncio.create_task(rollout_role._work(role, consumer)),
            asyncio.create_task(clock_command._main(servers, epochs, beating)),
        ]
        stack = Stack(role, producer, notices, epochs, market, worse)
        found: dict[str, list[float]] = {}
        try:
            for trigger in TRIGGERS:
                found[trigger] = [
                    await inject(stack, trigger, number) for number in range(N_INJECTIONS)
                ]
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    return found


def clean_hour(root: Path, seed: int) -> str:
    """Fold an hour of two equal arms and usual latencies; give what would have ended it."""
    market = Market(root, n_bars=BARS_AN_HOUR)
    draw = np.random.default_rng(seed)
    market.up[1] = draw.uniform(0.4, 0.6, market.up[1].shape)
    rollout = start("r1", market.champion, market.challenger, Act("start", 1, "evidence"))
    fold = StageFold(rollout, document(), Rules())
    for bar in range(BARS_AN_HOUR):
        fold.take_intents(market.intents(bar))
        for symbol in SYMBOLS:
            took_ms = float(draw.lognormal(CLEAN_LOG_MS, 0.5))
            fold.take_decision(market.decision(bar, symbol), Timed(bar * 10**9, took_ms))
        fold.take_snapshot(account(bar))
        if harm := fold.harm():
            return f"bar {bar}: {harm}"
    return ""


def measure() -> Result:
    """Inject, and let clean hours pass."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "stack"
        (home / "rollout").mkdir(parents=True)
        broker = open_embedded(home, port=None, detach=False)
        try:
            found = asyncio.run(injected(home, broker.bootstrap_servers))
        finally:
            broker.stop()
        ended = [clean_hour(Path(folder) / "clean", 900 + hour) for hour in range(N_HOURS)]
    rows = {
        trigger: {"p50_s": quantile(sorted(took), 0.5), "worst_s": max(took), "n": len(took)}
        for trigger, took in found.items()
    }
    worst = max(row["worst_s"] for row in rows.values())
    return Result(
        value=round(worst, 3),
        holds=worst < MOST_S and not any(ended),
        n=sum(len(took) for took in found.values()),
        parts={
            **rows,
            "clean_hours": N_HOURS,
            "ended_in_clean_hours": [each for each in ended if each],
        },
    )


ROLLBACK_TIME = Measurement(
    "rollback-time",
    "s from a trigger to the first close that the champion decides, the worst",
    f"< {MOST_S:g} in {N_INJECTIONS} injections of each trigger, on bars of a second; none in "
    "clean hours",
    10,
    measure,
)
