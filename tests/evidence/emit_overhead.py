"""``emit-overhead``: what a request waits for its decision to be safe, by the broker or without it.

A decision that was asked for is answered when the broker has acknowledged it, or, while there is no
broker, when it is durable in the outage buffer. Both waits are timed through the worker's own
producer and buffer, with events of contract size, one at a time at a rate that answers do not slow
down: a wait counts from when the event was meant to go.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from streams.clock import monotonic_s, run_stamp
from streams.transport import Outgoing
from tables.stores.spill import Spill
from tests.evidence import bench
from tests.evidence.measurement import Measurement, Result, quantile
from tests.evidence.spill_drain import declare, producers

MAX_P99_MS = 5.0
N_EVENTS, PER_SECOND = 5_000, 200.0

# A decision of the contract's size with its 60 features: 3,189 bytes in the demo.
_VALUE = b'{"event_type":"trading_decision","n":%07d,"filler":"%s"}'
_FILLER = b"x" * 3_130


def _event(topic: str, number: int) -> Outgoing:
    key = b"SYN%03d" % (number % 50)
    headers = [("ts_init", b"%019d" % number)]
    return Outgoing(topic, key, _VALUE % (number, _FILLER), headers, number % bench.N_PARTITIONS)


async def _timed(emit: Callable[[int], Awaitable[None]]) -> list[float]:
    """Emit events at their times; return how long each took from then, ms, in order of size."""
    ms: list[float] = []
    began_s = monotonic_s() + 0.2

    async def one(number: int) -> None:
        meant_s = began_s + number / PER_SECOND
        await emit(number)
        ms.append(1e3 * (monotonic_s() - meant_s))

    tasks = []
    for number in range(N_EVENTS):
        await asyncio.sleep(began_s + number / PER_SECOND - monotonic_s())
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    return sorted(ms)


async def _measure(servers: str, folder: Path) -> Result:
    topic = f"emit-{run_stamp()}"
    await declare(servers, [topic])
    async with producers(servers, folder) as (ours, _), Spill(folder / "spill") as spill:
        # The first record fetches metadata and opens connections, as at a worker's start.
        await ours.send_all([_event(topic, n) for n in range(bench.N_PARTITIONS)])
        acknowledged = await _timed(lambda n: ours.send_all([_event(topic, n)]))
        durable = await _timed(lambda n: spill.put(_event(topic, n)))
        n_kept = spill.n_records
    worse = round(max(quantile(acknowledged, 0.99), quantile(durable, 0.99)), 2)
    parts = {
        f"{name}_{label}_ms": round(quantile(ms, share), 2)
        for name, ms in (("acknowledged", acknowledged), ("durable", durable))
        for label, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    n = len(acknowledged) + len(durable)
    holds = worse < MAX_P99_MS and n_kept == N_EVENTS
    return Result(worse, holds, n, parts | {"events_per_s": PER_SECOND})


def measure() -> Result:
    """Emit to a broker, then to the buffer."""
    with bench.stack() as (servers, _), tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(servers, Path(folder)))


EMIT_OVERHEAD = Measurement(
    "emit-overhead",
    "ms, P99 of a request's wait for its decision to be safe, the worse way",
    f"< {MAX_P99_MS:g} ms, by the broker and by the outage buffer",
    1,
    measure,
)
