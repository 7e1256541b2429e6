"""The broker is away and requests come: decided aside, durable, and in the log afterwards."""

import asyncio
import itertools
import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streams.brokers.embedded import open_embedded
from streams.topics import TRADING_DECISIONS
from tests.e2e.serving import Served, served
from tests.runs import TAPE

pytestmark = pytest.mark.broker

PREDICT = "/api/v1/predict"


async def test_predict_when_the_broker_is_away_then_is_decided_aside_and_told_to_the_log(
    home: Path, fitted: str, tmp_path: Path
) -> None:
    """Each answer is on Kafka once, as it was answered; once the worker lives on, once it dies.

    A question sees what was decided aside, a key has one decision, and the book takes all over.
    """
    broker = open_embedded(tmp_path, port=None, detach=False)
    brokers = [broker]
    try:
        async with served(broker.bootstrap_servers, home, fitted, "aside") as api:
            answered: dict[str, dict[str, Any]] = {}
            for phase, dies in (("lives", False), ("dies", True)):
                os.kill(brokers[-1].state.pid, signal.SIGKILL)
                await api.trial.until(lambda: not brokers[-1].alive(), "the broker gone")
                answered |= await asked_aside(api, phase)
                if dies:
                    await api.trial.end(signal.SIGKILL)
                again = partial(open_embedded, broker.home, port=broker.state.port, detach=False)
                brokers.append(await asyncio.to_thread(again))
                if dies:
                    api.start("0")
                await told(api, answered)
                await api.trial.until(lambda: is_member(api), "a heartbeat of the new broker")
            await api.ready()
            for key, said in answered.items():
                status, again_said = await api.post(
                    PREDICT, {"symbol": said["symbol"]}, **{"Idempotency-Key": key}
                )
                assert said["decision_id"] in json.dumps(again_said), (status, again_said)
            assert api.trial.findings()["main"].holds(), api.trial.findings()["main"]
    finally:
        brokers[-1].stop()


async def is_member(api: Served) -> bool:
    """Tell whether the broker is well for the worker: only so may it decide aside when it goes."""
    status, health = await api.get("/api/v1/health")
    wells = {part["name"]: part["is_well"] for part in health["parts"]}
    return status == 200 and wells["broker"]


async def asked_aside(api: Served, phase: str) -> dict[str, dict[str, Any]]:
    """Ask for every symbol while the broker is away; return the answers by key."""
    answered: dict[str, dict[str, Any]] = {}
    tries = itertools.count()

    async def is_noticed() -> bool:
        # What was sent before anybody noticed cannot be taken back: it has no answer yet.
        headers = {"Idempotency-Key": f"{phase}-{next(tries)}", "Request-Timeout-Ms": "800"}
        status, said = await api.post(PREDICT, {"symbol": TAPE.symbols[0]}, **headers)
        assert status in {200, 504}, said
        if status == 200:
            answered[headers["Idempotency-Key"]] = said
        return status == 200

    await api.trial.until(is_noticed, "decided aside")
    body = {"strategy_override": "bull_specialist"}
    for symbol in TAPE.symbols:
        key = f"{phase}-{symbol}"
        for _ in range(2):
            status, said = await api.post(
                PREDICT, {"symbol": symbol, **body}, **{"Idempotency-Key": key}
            )
            assert status == 200, said
            assert answered.setdefault(key, said)["decision_id"] == said["decision_id"]
    _, portfolio = await api.get("/risk/portfolio")
    opened = {one["symbol"]: one["open_quantity"] for one in portfolio["holdings"]}
    bought = {
        said["symbol"]
        for said in answered.values()
        if said["risk"]["approved"] and said["action"] != "HOLD"
    }
    assert all(opened[symbol] for symbol in bought)
    return answered


async def told(api: Served, answered: dict[str, dict[str, Any]]) -> None:
    """Wait until every answer is a decision on Kafka: the same fields, equal bytes if twice."""

    async def read() -> bool:
        found: dict[str, set[bytes]] = {}
        for record in await api.trial.records(TRADING_DECISIONS.name):
            key = json.loads(record.value)["intent_id"]
            if key in answered:
                found.setdefault(key, set()).add(record.value)
        if set(found) != set(answered):
            return False
        for key, values in found.items():
            (value,) = values
            event, said = json.loads(value), answered[key]
            shared = set(event) & set(said)
            assert {name: said[name] for name in shared} == {name: event[name] for name in shared}
        return True

    await api.trial.until(read, f"{len(answered)} answers on Kafka")
