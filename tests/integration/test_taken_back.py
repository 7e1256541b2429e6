"""The watch beside the pages on a real broker: what learning says reaches the gauge."""

import asyncio
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import REGISTRY

from agents.taken_back import UPDATES, TakenBackWatch
from streams.brokers.waiting import wait_for
from streams.model_updates import ModelUpdate
from streams.timestamps import format_ns
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tests.builders import MIDNIGHT
from tests.integration.test_book_log import declare

pytestmark = pytest.mark.broker

MODELS = "a" * 64


async def test_follow_when_models_are_taken_back_then_the_gauge_says_so(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No role rollout runs here; both topics are read from their beginning."""
    monkeypatch.setattr("agents.taken_back._LOOK_S", 0.05)
    await declare(broker, "taken-back")
    said = ModelUpdate(
        timestamp=format_ns(MIDNIGHT), job_id="j1", model_id="m",
        update_type="rollback", outcome="rolled_back", before=MODELS, after="",
    )  # fmt: skip
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        topic = f"taken-back.{UPDATES}"
        await producer.send_and_wait(topic, msgspec.json.encode(said), key=b"m")
    watch = TakenBackWatch(Epochs(Artifacts(tmp_path / "artifacts")), lambda: MODELS)
    watch.show()
    name = "tradewind_taken_back_decides"
    assert REGISTRY.get_sample_value(name) == 0.0
    following = asyncio.create_task(watch.follow(broker, "taken-back"))
    try:
        assert await asyncio.to_thread(
            wait_for, lambda: REGISTRY.get_sample_value(name) == 1.0, timeout_s=30.0
        )
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
