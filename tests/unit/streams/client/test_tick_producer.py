"""Ticks are checked before they leave, and what the broker refuses is told."""

import asyncio
from typing import Any

import msgspec
import pytest

from streams.client import NotDeliveredError, TickProducer
from streams.client.tick_producer import tick_value
from streams.errors import RecordError
from streams.records import Tick

GOOD = Tick(symbol="AAPL", ts_event="2026-01-05T14:30:00Z", price=271.35, size=100)


class Broker:
    """Takes records, or fails them, when it is told to."""

    def __init__(self, **_options: object) -> None:
        self.sent: list[tuple[str, bytes, bytes]] = []
        self.futures: list[asyncio.Future[object]] = []
        self.is_stopped = False

    async def start(self) -> None:
        """Connect to nothing."""

    async def stop(self) -> None:
        """Take what waits."""
        await self.flush()
        self.is_stopped = True

    async def flush(self) -> None:
        """Take what waits."""
        for future in self.futures:
            if not future.done():
                future.set_result(None)
        await asyncio.sleep(0)

    async def send(self, topic: str, value: bytes, key: bytes) -> "asyncio.Future[object]":
        """Let a record wait."""
        self.sent.append((topic, key, value))
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """Stand in for aiokafka."""
    made = Broker()
    monkeypatch.setattr("streams.client.tick_producer.AIOKafkaProducer", lambda **_: made)
    return made


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"price": None}, "MISSING_FIELD", "price is missing"),
        ({"price": -1.0}, "BAD_PRICE", "price was -1.0; expected 1e-8 <= price <= 1e10"),
        ({"price": float("nan")}, "BAD_PRICE", "price was nan"),
        ({"size": float("nan")}, "BAD_SIZE", "size was nan"),
        ({"price": "271.35"}, "WRONG_TYPE", "price"),
        ({"price": 1j}, "WRONG_TYPE", "complex"),
        ({"symbol": "A" * 65}, "BAD_SYMBOL", "65 characters"),
        ({"symbol": "\ud800"}, "WRONG_TYPE", "surrogates"),
        ({"ts_event": "2026-01-05T14:30:00"}, "BAD_TIMESTAMP", "RFC 3339"),
        ({"ts_event": 1_767_623_400}, "BAD_TIMESTAMP", "in ns"),
        ({"type": "quote", "bid": 1.0}, "MISSING_FIELD", "ask is missing"),
        ({"type": "swap"}, "WRONG_TYPE", "type"),
    ],
)
def test_tick_when_it_cannot_be_an_event_then_is_refused_at_home(
    changes: dict[str, Any], reason: str, said: str
) -> None:
    """What the stage would refuse for the tick's own sake never leaves the program."""
    with pytest.raises(RecordError) as caught:
        tick_value(msgspec.structs.replace(GOOD, **changes))
    assert caught.value.reason == reason
    assert said in caught.value.detail


async def test_send_when_taken_then_goes_with_its_symbol_as_key(broker: Broker) -> None:
    """The key decides the partition; absent fields are not sent."""
    async with TickProducer("nowhere") as ticks:
        await ticks.send(GOOD)
        await ticks.flush()
    ((topic, key, value),) = broker.sent
    assert (topic, key) == ("market-ticks", b"AAPL")
    assert msgspec.json.decode(value) == {
        "symbol": "AAPL",
        "ts_event": "2026-01-05T14:30:00Z",
        "price": 271.35,
        "size": 100,
    }
    assert broker.is_stopped


async def test_send_when_as_many_wait_as_may_then_waits_for_the_broker(broker: Broker) -> None:
    """A feed that is faster than the broker is slowed down, and takes no more memory."""
    async with TickProducer("nowhere", most_waiting=2) as ticks:
        await ticks.send(GOOD)
        await ticks.send(GOOD)
        third = asyncio.ensure_future(ticks.send(GOOD))
        await asyncio.sleep(0.01)
        assert (third.done(), len(broker.sent)) == (False, 2)
        broker.futures[0].set_result(None)
        await third
        assert len(broker.sent) == 3


async def test_send_when_the_broker_refused_some_then_the_next_call_says_so(
    broker: Broker,
) -> None:
    """Once: how many, and why the first; the tick at hand was not sent."""
    async with TickProducer("nowhere") as ticks:
        await ticks.send(GOOD)
        await ticks.send(GOOD)
        broker.futures[0].set_exception(OSError("first"))
        broker.futures[1].cancel()
        await asyncio.sleep(0)
        with pytest.raises(NotDeliveredError, match=r"2 ticks .*first.*send them again") as caught:
            await ticks.send(GOOD)
        assert (caught.value.n_ticks, str(caught.value.first)) == (2, "first")
        await ticks.flush()
    assert len(broker.sent) == 2


async def test_end_when_the_broker_refused_then_is_raised_unless_something_else_is(
    broker: Broker,
) -> None:
    """A lost tick cannot end quietly, and does not hide the error that ended the program."""

    async def lost(error: Exception | None) -> None:
        async with TickProducer("nowhere") as ticks:
            await ticks.send(GOOD)
            broker.futures[-1].set_exception(OSError("lost"))
            if error is not None:
                raise error

    with pytest.raises(NotDeliveredError):
        await lost(None)
    with pytest.raises(ZeroDivisionError):
        await lost(ZeroDivisionError())


async def test_send_when_it_cannot_be_handed_over_then_keeps_no_room(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the hand-over is the caller's, and the next tick finds its place."""

    async def broken(*_given: object, **_named: object) -> Any:  # noqa: ANN401  it never returns
        raise OSError("no way")

    async with TickProducer("nowhere", most_waiting=1) as ticks:
        with monkeypatch.context() as patched:
            patched.setattr(broker, "send", broken)
            with pytest.raises(OSError, match="no way"):
                await ticks.send(GOOD)
        await asyncio.wait_for(ticks.send(GOOD), 1)


async def test_producer_when_it_cannot_connect_then_is_closed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection is left behind; and one that was never opened says how to."""

    async def refused() -> None:
        raise OSError("nobody there")

    monkeypatch.setattr(broker, "start", refused)
    ticks = TickProducer("nowhere")
    with pytest.raises(OSError, match="nobody there"):
        await ticks.__aenter__()
    assert broker.is_stopped
    with pytest.raises(RuntimeError, match="async with"):
        await TickProducer("nowhere").send(GOOD)
