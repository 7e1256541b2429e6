"""The second look at orders: what it counts, and what it passes over."""

import logging
from typing import Any, cast

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from prometheus_client import REGISTRY

from agents.recheck import SOURCES, Rechecking, group_of
from tests.rollout_worlds import account, fetched, record
from tests.unit.tables.test_recheck import TOO_MUCH, order

DECISIONS, ACCOUNTS = SOURCES


def counted(name: str = "tradewind_risk_violations_total", **labels: str) -> float:
    """Return what a counter says."""
    return REGISTRY.get_sample_value(name, labels or {"portfolio": "main"}) or 0.0


def told(topic: str, *values: Any) -> dict[Any, list[Any]]:  # noqa: ANN401  records, or bytes
    """Return records as they are fetched."""
    raw = [v if isinstance(v, bytes) else msgspec.json.encode(v) for v in values]
    return fetched(topic, *(record(topic, each, n) for n, each in enumerate(raw)))


async def test_work_when_an_order_is_beyond_a_limit_then_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In its portfolio, with its id and the limit in the log."""
    batches = [told(DECISIONS, order()), told(ACCOUNTS, TOO_MUCH)]

    class Played:
        def assignment(self) -> set[Any]:
            return set()

        async def getmany(self, *, timeout_ms: int = 0, **_: int) -> dict[Any, list[Any]]:
            if not timeout_ms:
                return {}
            if not batches:
                raise EOFError
            return batches.pop(0)

    before = counted()
    with caplog.at_level(logging.ERROR), pytest.raises(EOFError):
        await Rechecking(cast(AIOKafkaConsumer, Played())).work()
    assert counted() == before + 1
    assert f"{order().decision_id} of main was approved beyond MAX_ASSET_FRACTION" in caplog.text


def test_take_when_a_record_cannot_be_used_then_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """It is counted; so is an order for which no account came."""
    rechecking, before = Rechecking(cast(AIOKafkaConsumer, None)), counted()
    reason = {"stage": "recheck", "reason": "NOT_JSON"}
    n_dead = counted("tradewind_dead_letters_total", **reason)
    rechecking.take(told(DECISIONS, b"{", order(0)))
    rechecking.take(told(ACCOUNTS, account(1)))
    assert counted("tradewind_dead_letters_total", **reason) == n_dead + 1
    assert "1 orders so far had no account" in caplog.text
    assert counted() == before


def test_group_when_a_run_is_named_then_is_its_own() -> None:
    """A rehearsal does not read on behalf of the live run."""
    assert group_of("") != group_of("r1")
