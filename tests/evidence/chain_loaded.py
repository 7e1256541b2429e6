"""``chain-latency-loaded``: the latency of ``chain-latency`` while ticks pour in.

The feed does not stop for a close: what is stamped before the boundary and sent behind it is late,
and a dead letter, as it would be in a market.
"""

import asyncio
import statistics

from tests.evidence import bench
from tests.evidence.chain_latency import PLAIN, SYMBOLS, How, measure_chain
from tests.evidence.measurement import Measurement, Result, p95_at_most, quantile

_TICKS_PER_S = 10_000
_ROUNDS = 3
TARGET_MS = 100.0

# A feed that falls behind makes closes faster.
LEAST_FED = 0.99


def measure() -> Result:
    """Take turns: with the feed and without."""
    loaded: list[float] = []
    plain: list[float] = []
    fed: list[float] = []
    with bench.stack() as (servers, home):
        for _ in range(_ROUNDS):
            for found, how in ((loaded, How(ticks_per_s=_TICKS_PER_S)), (plain, PLAIN)):
                took = asyncio.run(measure_chain(servers, home, SYMBOLS, None, how))
                found.extend(took.last_ms)
                fed.extend([took.fed_per_s] if how.ticks_per_s else [])
    p95, at_most = quantile(sorted(loaded), 0.95), p95_at_most(loaded)
    plain_p95 = quantile(sorted(plain), 0.95)
    return Result(
        round(p95, 1),
        at_most <= TARGET_MS and min(fed) >= LEAST_FED * _TICKS_PER_S,
        len(loaded),
        {
            "p95_ms_at_most": round(at_most, 1),
            "p50_ms": round(statistics.median(loaded), 1),
            "without_p50_ms": round(statistics.median(plain), 1),
            "without_p95_ms": round(plain_p95, 1),
            "ticks_per_s": [round(each) for each in fed],
        },
        "the same closes without the feed",
        round(p95 / plain_p95, 2),
    )


CHAIN_LATENCY_LOADED = Measurement(
    "chain-latency-loaded",
    f"ms, P95 to the last of 200 decisions under {_TICKS_PER_S:,} ticks/s",
    f"<= {TARGET_MS:g} ms",
    8,
    measure,
)
