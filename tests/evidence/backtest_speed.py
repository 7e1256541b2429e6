"""``backtest-speed``: symbol-bars a second through all stages, from a Parquet file to results.

Bars of a simulated market are read from a file and folded as ``tradewind backtest`` does, with
decisions hashed and written; bars that warm up are not timed. Beside it, in turns, the same models
decide one symbol after another in backtesting.py, and must come to the same targets. Time on the
processor stands beside the time on the wall: where other programs run, too, the difference is
their work.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from agents.run.backtest import collected
from agents.run.in_process import Books, InProcess, play
from models.features.bars import Bars
from models.features.catalogue import WARMUP_BARS
from streams.brokers import stack_home
from streams.clock import monotonic_s
from streams.sources.files import open_tape
from streams.sources.replay import Stretch
from tables.backtest import Recorder
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tables.stores.backtest_folder import BacktestFolder
from tests.builders import MIDNIGHT
from tests.evidence.backtest_peers import backtesting_py
from tests.evidence.bench import epoch, models
from tests.evidence.feature_speed import one_core
from tests.evidence.measurement import Measurement, Result

TARGETS = {200: 50_000.0, 2_000: 150_000.0}
TARGET_RATIO = 50.0
# Symbols, and bars beyond those that warm up.
BARS = {200: 200, 2_000: 40}
_ROUNDS = 3
_PEER_SYMBOLS = 2
_SECOND_NS = 1_000_000_000
_MB = 2**20


class Folded(NamedTuple):
    """What a fold took for a warm row, and what came of it."""

    us_per_row: float
    processor_us_per_row: float
    n_rows: int
    n_orders: int
    growth_mb: float
    shares: dict[str, float]
    targets: dict[str, list[float]]


def market(n_symbols: int, n_bars: int) -> Bars:
    """Give walks of prices, columns of shape (n_bars, n_symbols)."""
    draws = np.random.default_rng(17)
    close = 100.0 * np.exp(np.cumsum(draws.normal(0.0, 0.002, (n_bars, n_symbols)), axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    spread = 1.0 + np.abs(draws.normal(0.0, 0.001, close.shape))
    high, low = np.maximum(opened, close) * spread, np.minimum(opened, close) / spread
    volume = np.rint(draws.uniform(1e3, 1e5, close.shape))
    typical = (opened + high + low + close) / 4.0
    vwap = np.clip(typical * volume / volume, low, high)
    return Bars(opened, high, low, close, volume, vwap)


def write(path: Path, bars: Bars) -> Path:
    """Write bars of a second as a file of a user's own."""
    n_bars, n_symbols = bars.close.shape
    closes = MIDNIGHT + _SECOND_NS * np.arange(1, n_bars + 1)
    names = np.array([f"S{n:05d}" for n in range(n_symbols)])
    columns = {
        "symbol": np.tile(names, n_bars),
        "ts_event_ns": np.repeat(closes - _SECOND_NS, n_symbols),
        "ts_close_ns": np.repeat(closes, n_symbols),
        **{name: getattr(bars, name).ravel() for name in ("open", "high", "low", "close")},
        "volume": bars.volume.ravel(),
    }
    pq.write_table(pa.table(columns), path)
    return path


def fold(home: Path, digest: str, path: Path, folder: Path) -> Folded:
    """Fold a file whole, on one core; only bars behind the warm-up are timed."""
    tape = open_tape(path, timeframe="1s")
    epochs = Epochs(Artifacts(home / "artifacts"))
    document = msgspec.structs.replace(epoch(tape.symbols, digest), n_partitions=1)
    loaded = epochs.load(epochs.put(document))
    books = Books(epochs, 1)
    spent: dict[str, float] = {}
    since = [monotonic_s()]

    def lap(stage: str, *_: object) -> None:
        now = monotonic_s()
        spent[stage] = spent.get(stage, 0.0) + now - since[0]
        since[0] = now

    chain = InProcess(epochs, 1, books.take, lap)
    results = BacktestFolder(folder)
    targets: dict[str, list[float]] = {}
    watched = tape.symbols[:_PEER_SYMBOLS]

    def keep(ts_ns: int, decisions: list[Any]) -> None:
        results.keep(ts_ns, decisions)
        for decision in decisions:
            if decision.symbol in watched:
                targets.setdefault(decision.symbol, []).append(decision.target_fraction)

    recorder = Recorder(keep)
    closes = tape.closes_ns()
    cold = len(tape.symbols) * WARMUP_BARS
    started_s, worked_s, memory = 0.0, 0.0, 0
    process = psutil.Process()
    with one_core(), collected():
        for said in play(chain, loaded, tape, Stretch(closes[0], closes[-1])):
            lap("risk")
            recorder.take(said)
            lap("results")
            if not started_s and recorder.n_rows >= cold:
                memory, started_s = process.memory_info().rss, monotonic_s()
                worked_s = time.process_time()
                spent.clear()
        took_s, worked_s = monotonic_s() - started_s, time.process_time() - worked_s
    growth_mb = (process.memory_info().rss - memory) / _MB
    results.discard()
    verdicts = recorder.kept["main"].verdicts
    n_orders = sum(n for name, n in verdicts.items() if name.startswith(("buy", "sell")))
    n_rows = recorder.n_rows - cold
    shares = {stage: round(each / took_s, 3) for stage, each in spent.items()}
    return Folded(
        1e6 * took_s / n_rows,
        1e6 * worked_s / n_rows,
        n_rows,
        n_orders,
        growth_mb,
        shares,
        targets,
    )


def measure() -> Result:
    """Fold each case, and take turns with the peer on the first."""
    home = stack_home("evidence")
    digest = models(home)
    loaded = Artifacts(home / "artifacts").load_models(digest)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        rates: dict[str, Any] = {}
        folded: dict[tuple[int, int], list[Folded]] = {}
        ratios: list[float] = []
        peers: list[float] = []
        is_equal = True
        for n_symbols, n_bars in BARS.items():
            bars = market(n_symbols, WARMUP_BARS + n_bars)
            path = write(root / f"{n_symbols}-{n_bars}.parquet", bars)
            rounds = _ROUNDS if n_symbols == min(BARS) else 1
            for _ in range(rounds):
                mine = fold(home, digest, path, root / "results")
                folded.setdefault((n_symbols, n_bars), []).append(mine)
                if rounds == 1:
                    continue
                for at, symbol in enumerate(sorted(mine.targets)):
                    column = Bars(*(np.ascontiguousarray(each[:, at]) for each in bars))
                    peer = backtesting_py(loaded, column)
                    peers.append(peer.processor_us_per_bar)
                    ratios.append(peers[-1] / mine.processor_us_per_row)
                    theirs = np.nan_to_num(peer.targets)
                    is_equal &= bool(np.array_equal(theirs, np.array(mine.targets[symbol])))
    for (n_symbols, n_bars), found in folded.items():
        case = f"{n_symbols}_symbols_{n_bars}_bars"
        best = median(each.processor_us_per_row for each in found)
        rates |= {
            f"{case}_rows_per_s": round(1e6 / median(each.us_per_row for each in found)),
            f"{case}_us_per_row": [round(each.us_per_row, 1) for each in found],
            f"{case}_processor_us_per_row": [round(each.processor_us_per_row, 1) for each in found],
            f"{case}_orders_share": round(found[0].n_orders / found[0].n_rows, 3),
            f"{case}_memory_growth_mb": round(max(each.growth_mb for each in found), 1),
            f"{case}_processor_rows_per_s": round(1e6 / best),
            f"{case}_shares": found[-1].shares,
        }
    smallest, largest = (
        1e6 / median(each.us_per_row for each in folded[n, BARS[n]]) for n in TARGETS
    )
    ratio = min(ratios)
    met = smallest >= TARGETS[200] and largest >= TARGETS[2_000] and ratio >= TARGET_RATIO
    return Result(
        value=round(smallest),
        holds=met and is_equal,
        n=sum(each.n_rows for found in folded.values() for each in found),
        parts=rates
        | {
            "peer_processor_us_per_bar": [round(each, 1) for each in peers],
            "targets_equal": is_equal,
            "ratio_worst": round(ratio, 1),
            "models": digest[:12],
        },
        peer="backtesting.py with the same features and models, symbol by symbol",
        ratio=round(median(ratios), 1),
    )


BACKTEST_SPEED = Measurement(
    "backtest-speed",
    "symbol-bars/s at 200 symbols through all stages, on one core",
    ">= 50,000 at 200 symbols and >= 150,000 at 2,000; >= 50 x backtesting.py",
    6,
    measure,
)
