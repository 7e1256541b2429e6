"""Replaying: the order of heartbeats and ticks, their partitions, and lists that stay short."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from streams.partitions import partition_of
from streams.records import ClockRecord, EpochNotice, Heartbeat, Tick
from streams.sources.replay import CLOCK_HEADER, ORIGIN_HEADER, Clock, Stretch, replay, ticks_topic
from streams.sources.tape import Interval

SECOND = 10**9
MS = 10**6
TOPIC = "run.market-ticks"
N_PARTITIONS = 3

_CLOCK = msgspec.json.Decoder(ClockRecord)
_TICKS = msgspec.json.Decoder(list[Tick])


@dataclass
class Sent:
    """One record as the producer got it."""

    topic: str
    value: bytes
    key: bytes | None
    partition: int
    headers: dict[str, bytes]

    def read(self) -> object:
        """Return the clock's record or the list of ticks."""
        return (_CLOCK if CLOCK_HEADER in self.headers else _TICKS).decode(self.value)


@dataclass
class FakeProducer:
    """A producer that remembers; like the real one it answers with a future per record."""

    sent: list[Sent] = field(default_factory=list)
    acknowledged: int = 0

    async def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        partition: int,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> "asyncio.Future[None]":
        """Remember a record; it is acknowledged once the loop has turned."""
        self.sent.append(Sent(topic, value, key, partition, dict(headers or [])))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._acknowledge, future)
        return future

    def _acknowledge(self, future: "asyncio.Future[None]") -> None:
        self.acknowledged += 1
        future.set_result(None)

    def log_of(self, partition: int) -> list[object]:
        """Return the records of one partition, read."""
        return [record.read() for record in self.sent if record.partition == partition]


@dataclass(frozen=True)
class ListTape:
    """A tape of given intervals, of one second each."""

    given: tuple[Interval, ...]
    name: str = "list"
    timeframe: str = "1s"
    symbols: tuple[str, ...] = ("A", "B")

    def closes_ns(self) -> list[int]:
        """Return the closes of the given intervals."""
        return [interval.close_ns for interval in self.given]

    def intervals(self, first_close_ns: int, last_close_ns: int) -> Iterator[Interval]:
        """Yield those of the stretch."""
        return (i for i in self.given if first_close_ns <= i.close_ns <= last_close_ns)


def interval(second: int, **counts: int) -> Interval:
    """Return the interval that closes at a second, with so many ticks per symbol."""
    opened = (second - 1) * SECOND
    ticks = {
        symbol: [Tick(symbol, opened + n, price=1.0 + n, seq=n) for n in range(count)]
        for symbol, count in counts.items()
    }
    return Interval(second * SECOND, ticks)


async def played(
    *intervals: Interval, lateness_ms: int = 0, stretch: Stretch | None = None
) -> FakeProducer:
    """Return what a replay of the intervals has sent."""
    producer = FakeProducer()
    clock = clock_of(producer)
    tape = ListTape(intervals)

    async def gate(_close_ns: int) -> None:
        await asyncio.sleep(0)

    await replay(
        tape,
        clock,
        stretch or Stretch(tape.closes_ns()[0], tape.closes_ns()[-1]),
        lateness_ms=lateness_ms,
        gate=gate,
        sent=lambda _interval: None,
    )
    return producer


def clock_of(producer: Any) -> Clock:  # noqa: ANN401  the fake stands in for a client of aiokafka
    """Return a clock that sends to the fake."""
    return Clock(producer, TOPIC, N_PARTITIONS, "clock-1")


def beats_of(producer: FakeProducer, partition: int) -> list[tuple[int, int]]:
    """Return number and time of a partition's heartbeats."""
    log = producer.log_of(partition)
    return [(said.n, said.ts_event_ns) for said in log if isinstance(said, Heartbeat)]


async def test_replay_when_an_interval_is_sent_then_heartbeats_stand_before_and_after() -> None:
    """Each partition reads: the second has begun, its ticks, the second has ended."""
    second = interval(5, A=2)
    producer = await played(second)
    home = partition_of("A", N_PARTITIONS)
    before, after = (
        Heartbeat(clock_id="clock-1", n=0, ts_event_ns=4 * SECOND),
        Heartbeat(clock_id="clock-1", n=1, ts_event_ns=5 * SECOND),
    )
    for partition in range(N_PARTITIONS):
        ticks = [second.ticks["A"]] if partition == home else []
        assert producer.log_of(partition) == [before, *ticks, after]


async def test_replay_when_intervals_follow_each_other_then_time_is_not_said_twice() -> None:
    """The end of one second is the beginning of the next."""
    producer = await played(interval(5, A=1), interval(6, B=1))
    assert beats_of(producer, 0) == [(0, 4 * SECOND), (1, 5 * SECOND), (2, 6 * SECOND)]


async def test_replay_when_there_is_a_gap_then_time_passes_over_it() -> None:
    """Before the ticks after a gap every partition hears that their second has begun."""
    producer = await played(interval(5, A=1), interval(60, A=1))
    assert [ns // SECOND for _, ns in beats_of(producer, 2)] == [4, 5, 59, 60]


async def test_replay_when_heartbeats_are_counted_then_no_number_is_missing_anywhere() -> None:
    """Each partition has 0, 1, 2 and so on, whatever ticks lie between."""
    producer = await played(*(interval(n, A=n % 3, B=1) for n in (5, 6, 9, 10, 40)))
    for partition in range(N_PARTITIONS):
        numbers = [n for n, _ in beats_of(producer, partition)]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) == 8


async def test_replay_when_lateness_is_allowed_then_both_heartbeats_come_so_much_later() -> None:
    """A bar stays open for late ticks, so the time that closes it lies beyond its close."""
    producer = await played(interval(5, A=1), interval(6, A=1), lateness_ms=250)
    expected = [4 * SECOND, 5 * SECOND, 6 * SECOND]
    assert [ns for _, ns in beats_of(producer, 1)] == [ns + 250 * MS for ns in expected]


async def test_replay_when_ticks_are_sent_then_each_symbol_is_at_home() -> None:
    """Key and partition are those that a user's own producer would choose."""
    producer = await played(interval(5, A=1, B=1, AAPL=1, TSLA=1))
    ticks = [record for record in producer.sent if CLOCK_HEADER not in record.headers]
    placed = {str(record.key, "ascii"): record.partition for record in ticks if record.key}
    assert placed == {s: partition_of(s, N_PARTITIONS) for s in ("A", "B", "AAPL", "TSLA")}
    assert {record.topic for record in producer.sent} == {TOPIC}


@pytest.mark.parametrize(
    ("count", "lengths"), [(1, [1]), (500, [500]), (501, [500, 1]), (1_250, [500, 500, 250])]
)
async def test_replay_when_a_symbol_has_many_ticks_then_lists_have_at_most_500(
    count: int, lengths: list[int]
) -> None:
    """Cut into records, the ticks are complete and in order."""
    second = interval(5, A=count)
    log = (await played(second)).log_of(partition_of("A", N_PARTITIONS))
    lists = [record for record in log if isinstance(record, list)]
    assert [len(ticks) for ticks in lists] == lengths
    assert [tick for ticks in lists for tick in ticks] == second.ticks["A"]


async def test_replay_when_a_stretch_is_given_then_nothing_else_is_sent() -> None:
    """Time begins with the first interval of the stretch and ends with its last one."""
    seconds = [interval(n, A=1) for n in (5, 6, 7, 8)]
    producer = await played(*seconds, stretch=Stretch(6 * SECOND, 7 * SECOND))
    assert [ns // SECOND for _, ns in beats_of(producer, 0)] == [5, 6, 7]


async def test_replay_when_the_stretch_is_empty_then_not_even_time_is_sent() -> None:
    """Nothing happened, so nothing is said."""
    producer = await played(interval(5, A=1), stretch=Stretch(6 * SECOND, 7 * SECOND))
    assert producer.sent == []


async def test_replay_when_an_interval_goes_out_then_gate_comes_first_and_report_last() -> None:
    """Nothing of an interval is sent before the gate opens; all of it is on the broker after."""
    producer = FakeProducer()
    seen: list[tuple[str, int, int]] = []

    async def gate(close_ns: int) -> None:
        await asyncio.sleep(0)
        seen.append(("gate", close_ns // SECOND, len(producer.sent)))

    def sent(of: Interval) -> None:
        assert producer.acknowledged == len(producer.sent)
        seen.append(("sent", of.close_ns // SECOND, len(producer.sent)))

    tape = ListTape((interval(5, A=1), interval(6, A=1, B=1)))
    stretch = Stretch(0, 9 * SECOND)
    await replay(tape, clock_of(producer), stretch, lateness_ms=0, gate=gate, sent=sent)
    # Two heartbeats to three partitions and a tick; then one heartbeat more and two ticks.
    assert seen == [("gate", 5, 0), ("sent", 5, 7), ("gate", 6, 7), ("sent", 6, 12)]


async def test_announce_when_an_epoch_begins_then_every_partition_hears_of_it() -> None:
    """The notice carries the clock's id and stands where ticks stand."""
    producer = FakeProducer()
    await clock_of(producer).announce(3, "digest", 8 * SECOND)
    notice = EpochNotice(clock_id="clock-1", epoch=3, digest="digest", from_close_ns=8 * SECOND)
    assert [producer.log_of(partition) for partition in range(N_PARTITIONS)] == [[notice]] * 3


async def test_beat_when_it_was_meant_earlier_then_the_header_keeps_that_time() -> None:
    """Latency is counted from when a record should have been sent."""
    producer = FakeProducer()
    await clock_of(producer).beat(5 * SECOND, meant_ns=123)
    assert [record.headers for record in producer.sent] == [
        {CLOCK_HEADER: b"1", ORIGIN_HEADER: b"123"}
    ] * N_PARTITIONS


async def test_replay_when_a_send_fails_then_the_error_is_raised() -> None:
    """A replay with a hole would look like a market with a hole."""

    class Refusing(FakeProducer):
        def _acknowledge(self, future: "asyncio.Future[None]") -> None:
            future.set_exception(ConnectionError("broker is away"))

    producer = Refusing()
    with pytest.raises(ConnectionError, match="broker is away"):
        await clock_of(producer).beat(5 * SECOND)
    # The futures of the other partitions failed alike; they are read so that none is forgotten.
    await asyncio.sleep(0)


def test_ticks_topic_when_a_run_has_a_prefix_then_its_ticks_are_its_own() -> None:
    """Two runs never share their ticks."""
    assert ticks_topic("run.") == TOPIC
