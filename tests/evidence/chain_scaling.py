"""``chain-scaling``: decisions a second that the chain sustains, by symbols and by workers.

A recorded topic is replayed as fast as it is decided; only warm bars are timed. Workers share one
machine with the broker, and one portfolio, whose book lives on one of them.
"""

import asyncio
from pathlib import Path
from typing import NamedTuple

from agents.run.topic_backtest import TopicBacktest
from streams.sources.synthetic import SyntheticTape
from streams.topics import MARKET_TICKS
from tests.evidence.bench import N_PARTITIONS, stack
from tests.evidence.measurement import Measurement, Result
from tests.evidence.replay_speed import COLD_BARS, recorded, replayed_s


class Case(NamedTuple):
    """What is replayed, and by how many."""

    n_symbols: int
    n_bars: int
    n_workers: int = 1
    n_partitions: int = N_PARTITIONS


BY_SYMBOLS = (Case(20, 400), Case(200, 120), Case(1_000, 30), Case(5_000, 20))
BY_WORKERS = tuple(Case(200, 120, n, 4) for n in (1, 2, 4))
_MOST_RISE = 1.1


async def decided_per_s(servers: str, home: Path, case: Case) -> float:
    """Record a tape and replay it; return the decisions of a second."""
    n_bars = COLD_BARS + case.n_bars
    tape = SyntheticTape(symbols=case.n_symbols, bars=n_bars, ticks_per_bar=1, seed=3)
    run = await recorded(servers, home, tape, case.n_partitions)
    source = TopicBacktest(home, servers, run.name, MARKET_TICKS.name, (None, None))
    await asyncio.to_thread(source.check)
    took_s, n_warm = await replayed_s(source, run, case.n_workers)
    return case.n_symbols * n_warm / took_s


def measure() -> Result:
    """Replay each case once, on topics of its own."""
    with stack() as (servers, home):
        rates = {
            case: asyncio.run(decided_per_s(servers, home, case))
            for case in (*BY_SYMBOLS, *BY_WORKERS)
        }
    by_symbols = [rates[case] for case in BY_SYMBOLS]
    rise = max(max(by_symbols[:n]) / by_symbols[n] for n in range(1, len(by_symbols)))
    return Result(
        round(rise, 2),
        rise <= _MOST_RISE,
        sum(case.n_symbols * case.n_bars for case in rates),
        {
            "decisions_per_s_by_symbols": {c.n_symbols: round(rates[c]) for c in BY_SYMBOLS},
            "decisions_per_s_by_workers": {c.n_workers: round(rates[c]) for c in BY_WORKERS},
            "symbols_of_workers": BY_WORKERS[0].n_symbols,
        },
    )


CHAIN_SCALING = Measurement(
    "chain-scaling",
    "largest ratio of a symbol-bar's time to the least of any fewer symbols, one worker",
    f"flat or falling from 20 to 5,000 symbols (<= {_MOST_RISE:g})",
    15,
    measure,
)
