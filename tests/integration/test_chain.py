"""Bad input on every topic of a running chain: a dead letter each, and decisions as without it."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from streams.partitions import partition_of
from streams.sources.synthetic import START_NS
from streams.topics import (
    DEAD_LETTERS,
    MARKET_BARS,
    MARKET_TICKS,
    PORTFOLIO_EVENTS,
)
from tests.runs import TAPE, Outcome, Trial, trial

pytestmark = pytest.mark.broker

_SECOND = 1_000_000_000
_SYMBOL = TAPE.symbols[0]
_HOME = partition_of(_SYMBOL, 2)
_BAR = 150

# While the bar of this number is next, the clock stands at its open.
_OPEN_NS = START_NS + _BAR * _SECOND

# Of the broker's 1 MiB for one record; its dead letter carries all of it, and headers.
_GARBAGE = np.random.default_rng(1).bytes(900_000)


def tick(symbol: str = _SYMBOL, ts_event: int = _OPEN_NS + 1, price: str = "100.0") -> bytes:
    """Write a tick as JSON, whatever the price is."""
    return f'{{"symbol":"{symbol}","ts_event":{ts_event},"price":{price}}}'.encode()


# (topic, partition, value) -> the reason it is refused for.
BAD = {
    (MARKET_TICKS.name, _HOME, b"\x00\xff garbage"): "NOT_JSON",
    (MARKET_TICKS.name, _HOME, b""): "EMPTY",
    (MARKET_TICKS.name, _HOME, tick(price="NaN")): "NOT_JSON",
    (MARKET_TICKS.name, _HOME, tick(price="-1")): "BAD_PRICE",
    (MARKET_TICKS.name, _HOME, tick(price='"12"')): "WRONG_TYPE",
    (MARKET_TICKS.name, 1 - _HOME, tick()): "WRONG_PARTITION",
    (MARKET_TICKS.name, _HOME, _GARBAGE): "NOT_JSON",
    (MARKET_TICKS.name, _HOME, tick(ts_event=_OPEN_NS + 3_600 * _SECOND)): "TOO_FAR_AHEAD",
    (MARKET_TICKS.name, _HOME, tick(ts_event=_OPEN_NS - 5 * _SECOND)): "LATE",
    (MARKET_TICKS.name, _HOME, tick(symbol="NOBODY")): "UNKNOWN_SYMBOL",
    (MARKET_BARS.name, 0, _GARBAGE): "NOT_A_SLICE",
    (MARKET_BARS.name, 1, b"ARROW1\0\0 garbage"): "NOT_A_SLICE",
    (PORTFOLIO_EVENTS.name, 0, b'{"intent":"buy everything"}'): "WRONG_TYPE",
    (PORTFOLIO_EVENTS.name, 0, b"intent: buy everything"): "NOT_A_SLICE",
}


async def spoil(run: Trial) -> dict[str, tuple[str, bytes]]:
    """Write all bad records; return reason and raw bytes by the id that a dead letter must have."""
    expected = {}
    for (name, partition, value), reason in BAD.items():
        topic = run.run.prefix + name
        sent = await run.producer.send_and_wait(topic, value, key=b"main", partition=partition)
        expected[f"{topic}:{partition}:{sent.offset}:0"] = (reason, value)
    return expected


async def test_worker_when_asked_where_it_waits_then_says_so_and_goes_on(
    broker: str, home: Path, fitted: str
) -> None:
    """Both loops, a line for each place, and no value of any variable."""
    async with trial(broker, home, fitted, "asked") as run:
        worker = run.start()
        await run.feed()
        told = await asyncio.to_thread(run.children.where, "worker-0")
        assert worker.alive()
    of_main, of_consumer = told.partition("the consumer's:")[::2]
    assert "_PartitionTask._run > " in of_main
    assert "GroupCoordinator._heartbeat_routine" in of_consumer
    assert broker not in told


async def test_chain_when_bad_records_come_then_each_is_one_dead_letter_and_decisions_stay(
    broker: str, home: Path, fitted: str, undisturbed: Outcome
) -> None:
    """Reason, origin and raw bytes are kept; nothing else changes, and the worker lives on."""
    expected: dict[str, tuple[str, bytes]] = {}

    async def spoiled(run: Trial) -> None:
        expected.update(await spoil(run))

    async with trial(broker, home, fitted, "spoiled") as run:
        worker = run.start()
        await run.feed({_BAR: spoiled})
        outcome = await run.outcome()
        letters = await run.records(DEAD_LETTERS.name)
        assert worker.alive(), run.log_tail()
        assert run.findings()["main"].holds()
    headers = [dict(letter.headers) for letter in letters]
    found = {
        letter.key.decode(): (said["reason"].decode(), letter.value)
        for letter, said in zip(letters, headers, strict=True)
    }
    assert found == expected
    assert len(letters) == len(BAD)
    for letter, said in zip(letters, headers, strict=True):
        origin = b":".join(said[part] for part in ("topic", "partition", "offset", "index"))
        assert origin == letter.key
        assert said["stage"].decode() in {"bars", "features", "regime", "risk"}
        assert 0 < len(said["detail"]) <= 512
    assert not outcome.differs(undisturbed)
