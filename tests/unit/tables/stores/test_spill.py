"""The outage buffer: accepted means durable, drained means sent once and in order."""

import asyncio
import contextlib
import errno
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from streams.failpoints import EXIT_STATUS
from streams.transport import Outgoing
from tables.stores import segments as module
from tables.stores import spill as spill_module
from tables.stores.errors import SegmentDamaged, SpillFailed, SpillFull
from tables.stores.segments import Segments
from tables.stores.spill import Spill


def record(n: int, key: bytes | None = b"main") -> Outgoing:
    """Return the ``n``-th record, with all that a record can have."""
    return Outgoing("portfolio-events", key, b"%d" % n, [("kind", b"ask"), ("n", b"")], n % 3)


class Sent(list[Outgoing]):
    """A broker that takes what it is given."""

    async def __call__(self, records: Sequence[Outgoing]) -> None:
        """Take records."""
        await asyncio.sleep(0)
        self.extend(records)


def gauge(name: str, spill: str) -> float | None:
    """Return what a metric of a spill shows."""
    return REGISTRY.get_sample_value(f"tradewind_spill_{name}", {"spill": spill})


async def test_put_when_the_disk_hangs_then_no_more_than_the_queue_holds_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who gives up leaves his record, and its place in the queue, until the disk has it."""
    monkeypatch.setattr(spill_module, "QUEUE_RECORDS", 100)
    gate, append = threading.Event(), Segments.append

    def hangs(self: Segments, payloads: Sequence[bytes]) -> None:
        gate.wait()
        append(self, payloads)

    async with Spill(tmp_path) as spill:
        monkeypatch.setattr(Segments, "append", hangs)

        async def impatient(n: int) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await spill.put(record(n))

        for _ in range(3):
            await asyncio.gather(*(impatient(n) for n in range(90)))
        assert spill.n_records == 100
        gate.set()
        await spill.put(record(1_000))
        sent = Sent()
        await spill.drain(sent)
        assert len(sent) == 101


async def test_drain_when_the_broker_is_back_then_sends_all_in_order(tmp_path: Path) -> None:
    """Every field comes back, and nothing waits afterwards."""
    records = [record(n) for n in range(100)] + [Outgoing("t", None, b"", [], None)]
    async with Spill(tmp_path) as spill:
        await asyncio.gather(*(spill.put(one) for one in records))
        assert spill.n_records == 101
        assert spill.oldest_ns > 0
        sent = Sent()
        assert await spill.drain(sent) == 101
        assert sent == records
        assert (spill.n_records, spill.n_bytes, await spill.drain(sent)) == (0, 0, 0)


async def test_put_when_it_returns_then_another_process_finds_the_record(tmp_path: Path) -> None:
    """Durable before the answer, not some time after it."""
    async with Spill(tmp_path / "a") as spill:
        await spill.put(record(1))
        # What is on the disk now is what a crash would leave.
        copy = tmp_path / "b"
        copy.mkdir()
        for file in (tmp_path / "a").iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
    async with Spill(copy) as spill:
        sent = Sent()
        await spill.drain(sent)
    assert sent == [record(1)]


async def test_put_when_many_ask_then_they_share_fsyncs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand requests cost a few fsyncs, all of them off the loop's thread."""
    threads = []
    real = os.fsync

    def fsync(file: int) -> None:
        threads.append(threading.current_thread())
        real(file)

    async with Spill(tmp_path) as spill:
        monkeypatch.setattr(module.os, "fsync", fsync)
        await asyncio.gather(*(spill.put(record(n)) for n in range(2_000)))
    assert len(threads) < 10
    assert threading.main_thread() not in threads


async def test_put_when_the_queue_is_full_then_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory holds so many and no more; the next caller waits and loses nothing."""
    monkeypatch.setattr(spill_module, "QUEUE_RECORDS", 4)
    longest = 0
    async with Spill(tmp_path) as spill:
        puts = [asyncio.create_task(spill.put(record(n))) for n in range(50)]
        while not all(put.done() for put in puts):
            longest = max(longest, len(spill._queue))
            await asyncio.sleep(0)
        sent = Sent()
        await spill.drain(sent)
    assert longest <= 4
    assert sent == [record(n) for n in range(50)]


async def test_drain_when_the_broker_leaves_again_then_nothing_is_lost(tmp_path: Path) -> None:
    """The mark stands where the last acknowledged batch ended."""
    calls = 0
    sent = Sent()

    async def send(records: Sequence[Outgoing]) -> None:
        nonlocal calls
        calls += 1
        await sent(records)
        if calls == 2:
            raise ConnectionError

    async with Spill(tmp_path) as spill:
        for n in range(3):
            # Blocks of their own, of which a drain takes one at a time.
            await asyncio.gather(*(spill.put(record(5_000 * n + m)) for m in range(5_000)))
        with pytest.raises(ConnectionError):
            await spill.drain(send)
    async with Spill(tmp_path) as spill:
        assert await spill.drain(sent) >= 5_000
    values = [int(one.value) for one in sent]
    assert sorted(set(values)) == list(range(15_000))
    assert len(values) < 25_000


async def test_drain_when_records_come_meanwhile_then_sends_them_too(tmp_path: Path) -> None:
    """When it returns nothing waits, so that the next record may go straight to the broker."""
    async with Spill(tmp_path) as spill:
        await spill.put(record(0))
        late: list[asyncio.Task[None]] = []
        sent = Sent()

        async def send(records: Sequence[Outgoing]) -> None:
            if len(late) < 3:
                late.append(asyncio.create_task(spill.put(record(1 + len(late)))))
                await asyncio.sleep(0)
            await sent(records)

        assert await spill.drain(send) == 4
        await asyncio.gather(*late)
        assert spill.n_records == 0
    assert sent == [record(n) for n in range(4)]


async def test_close_when_somebody_drains_then_nothing_is_done_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is let go by then: its records stay for whoever opens it next."""
    sending, answered, let_go = asyncio.Event(), asyncio.Event(), threading.Event()
    close = Segments.close

    def lingers(self: Segments) -> None:
        close(self)
        let_go.wait(5)

    async def send(_: Sequence[Outgoing]) -> None:
        sending.set()
        await answered.wait()

    async with Spill(tmp_path) as spill:
        await spill.put(record(0))
        draining = asyncio.create_task(spill.drain(send))
        await sending.wait()
        monkeypatch.setattr(Segments, "close", lingers)
        asyncio.get_running_loop().call_later(0.1, answered.set)
        asyncio.get_running_loop().call_later(0.3, let_go.set)
    with pytest.raises(RuntimeError, match="after shutdown"):
        await draining
    async with Spill(tmp_path) as spill:
        assert spill.n_records == 1


async def test_put_when_the_disk_fails_then_every_caller_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acceptance stops for good; what was durable can still be sent."""

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async with Spill(tmp_path) as spill:
        await spill.put(record(0))
        with monkeypatch.context() as patched:
            patched.setattr(module.os, "fsync", fail)
            answers = await asyncio.gather(
                *(spill.put(record(n)) for n in range(1, 9)), return_exceptions=True
            )
        assert {type(answer) for answer in answers} == {SpillFailed}
        with pytest.raises(SpillFailed, match="EIO"):
            await spill.put(record(9))
        assert gauge("state", tmp_path.name) == 2
        sent = Sent()
        await spill.drain(sent)
        assert sent == [record(0)]
        assert gauge("state", tmp_path.name) == 2


async def test_put_when_the_limit_is_reached_then_draining_makes_room(tmp_path: Path) -> None:
    """Full is a state that passes."""
    async with Spill(tmp_path, limit_bytes=160) as spill:
        await spill.put(record(0))
        await spill.put(record(1))
        with pytest.raises(SpillFull, match="of 160 bytes"):
            await spill.put(record(2))
        assert gauge("state", tmp_path.name) == 1
        await spill.drain(Sent())
        assert gauge("state", tmp_path.name) == 0
        await spill.put(record(9))
        assert gauge("records", tmp_path.name) == 1
        assert gauge("bytes", tmp_path.name) == spill.n_bytes
        assert gauge("oldest_timestamp_seconds", tmp_path.name) == pytest.approx(
            spill.oldest_ns / 1e9
        )


async def test_put_when_cancelled_then_the_others_are_answered(tmp_path: Path) -> None:
    """A client that hangs up takes nobody with it."""
    async with Spill(tmp_path) as spill:
        puts = [asyncio.create_task(spill.put(record(n))) for n in range(3)]
        await asyncio.sleep(0)
        puts[1].cancel()
        await asyncio.gather(puts[0], puts[2])
        sent = Sent()
        await spill.drain(sent)
    assert record(0) in sent
    assert record(2) in sent


async def test_drain_when_a_payload_is_no_record_then_says_so(tmp_path: Path) -> None:
    """A record of another version is not guessed at."""
    with Segments(tmp_path) as segments:
        segments.append([b"\x01"])
    async with Spill(tmp_path) as spill:
        with pytest.raises(SegmentDamaged, match="none of this version"):
            await spill.drain(Sent())


async def test_open_when_it_fails_then_leaves_no_thread(tmp_path: Path) -> None:
    """Whoever tries again has a thread for each try otherwise."""
    with Segments(tmp_path), pytest.raises(Exception, match="in use"):
        async with Spill(tmp_path):
            pytest.fail("opened twice")
    assert not [t for t in threading.enumerate() if t.name.startswith(f"spill-{tmp_path.name}")]


PUTTING = """
import asyncio, sys
from pathlib import Path
from streams.transport import Outgoing
from tables.stores.spill import Spill

async def main():
    async with Spill(Path(sys.argv[1])) as spill:
        for n in range(5):
            await spill.put(Outgoing("t", b"k", b"%d" % n, [], 0))
            print(n, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("point", ["in-append", "in-fsync"])
def test_put_when_the_process_ends_in_the_middle_then_nothing_answered_is_lost(
    tmp_path: Path, point: str
) -> None:
    """The third write tears; the two that were answered are there, and acceptance goes on."""
    ended = subprocess.run(
        [sys.executable, "-c", PUTTING, str(tmp_path)],
        env={**os.environ, "TRADEWIND_FAILPOINT": f"spill.{point}:3"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert (ended.returncode, ended.stdout.split()) == (EXIT_STATUS, ["0", "1"])

    async def go_on() -> Sent:
        sent = Sent()
        async with Spill(tmp_path) as spill:
            await spill.put(Outgoing("t", b"k", b"new", [], 0))
            await spill.drain(sent)
        return sent

    values = [one.value for one in asyncio.run(go_on())]
    # A block that is whole but was not answered may be there: a repeat of it has the same id.
    assert values in ([b"0", b"1", b"new"], [b"0", b"1", b"2", b"new"])
