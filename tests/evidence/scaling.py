"""``scaling`` and ``backtest-memory``: what a symbol-bar costs where there are more of them.

The fold of ``backtest-speed``, with other numbers of symbols and of bars; what counts is time on
the processor, because that of the wall belongs to other programs, too.
"""

import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

from models.features.catalogue import WARMUP_BARS
from streams.brokers import stack_home
from tests.evidence.backtest_speed import Folded, fold, market, write
from tests.evidence.bench import models
from tests.evidence.measurement import Measurement, Result

# (symbols, bars beyond those that warm up); the first three have equally many symbol-bars.
BY_SYMBOLS = ((20, 4_000), (200, 400), (2_000, 40))
BY_BARS = ((20, 1_000), (20, 10_000), (20, 100_000))

# Beyond this a row costs more: two equal runs differ by as much.
_FLAT = 1.1
MEMORY_CASE = (200, 50_000)
MOST_GROWTH_MB = 100.0


def _folded(case: tuple[int, int]) -> Folded:
    n_symbols, n_bars = case
    home = stack_home("evidence")
    digest = models(home)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        path = write(root / "bars.parquet", market(n_symbols, WARMUP_BARS + n_bars))
        return fold(home, digest, path, root / "results")


def measure() -> Result:
    """Fold more symbols, and more bars, and compare what a row costs with the case before."""
    folded = {case: _folded(case) for case in dict.fromkeys((*BY_SYMBOLS, *BY_BARS))}
    ratios = {
        f"{larger[0]}x{larger[1]} to {smaller[0]}x{smaller[1]}": round(
            folded[larger].processor_us_per_row / folded[smaller].processor_us_per_row, 3
        )
        for cases in (BY_SYMBOLS, BY_BARS)
        for smaller, larger in combinations(cases, 2)
    }
    parts: dict[str, Any] = {
        f"{n_symbols}_symbols_{n_bars}_bars": {
            "processor_us_per_row": round(found.processor_us_per_row, 1),
            "us_per_row": round(found.us_per_row, 1),
            "rows": found.n_rows,
            "memory_growth_mb": round(found.growth_mb, 1),
        }
        for (n_symbols, n_bars), found in folded.items()
    }
    worst = max(ratios.values())
    return Result(
        worst, worst <= _FLAT, sum(each.n_rows for each in folded.values()), parts | ratios
    )


def measure_memory() -> Result:
    """Fold ten million symbol-bars from one file, and compare memory with that behind warm-up."""
    found = _folded(MEMORY_CASE)
    parts = {
        "symbols": MEMORY_CASE[0],
        "bars": MEMORY_CASE[1],
        "orders": found.n_orders,
        "processor_us_per_row": round(found.processor_us_per_row, 1),
        "us_per_row": round(found.us_per_row, 1),
    }
    growth_mb = round(found.growth_mb, 1)
    return Result(growth_mb, growth_mb <= MOST_GROWTH_MB, found.n_rows, parts)


SCALING = Measurement(
    "scaling",
    "largest ratio of a symbol-bar's processor time to that with fewer symbols, or fewer bars",
    f"flat or falling from 20 to 2,000 symbols and 1,000 to 100,000 bars (<= {_FLAT:g})",
    25,
    measure,
)
BACKTEST_MEMORY = Measurement(
    "backtest-memory",
    "MB that a backtest grows by over ten million symbol-bars, streamed from a file",
    f"flat: <= {MOST_GROWTH_MB:g}",
    30,
    measure_memory,
)
