"""``rule-speed``: one simple rule on the same bars here and in NautilusTrader.

The rule holds one share of a symbol while its fast moving average is above its slow one. Here it is
one step of a stage of a symbol, between the bars and the books of a backtest; there it is written
as its documentation shows a strategy. Both must turn at the same bars and fill every order.

What each takes is its time on the processor from bars to filled orders. Here that holds 21 controls
of every order, a decision with its reasons for every bar, hashed, and reading the file; there the
bars are objects in memory before the time begins, and nothing is checked or said of a bar.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import numpy as np

from agents.run.backtest import collected
from agents.run.in_process import Books, InProcess, Said, play
from agents.slice_stage import SliceFold, SliceSpec
from models.features.bars import Bars
from models.features.catalogue import NAMES
from models.model_set import ModelSet
from streams.brokers import stack_home
from streams.epochs import Portfolio
from streams.slices import FloatArray, Slice
from streams.sources.files import open_tape
from streams.sources.replay import Stretch
from streams.topics import MARKET_BARS
from streams.transport import Record
from tables.backtest import Recorder
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tests.bench.peers import place
from tests.builders import FREE
from tests.evidence.backtest_speed import market, write
from tests.evidence.bench import epoch, models
from tests.evidence.feature_speed import one_core
from tests.evidence.measurement import Measurement, Result

TARGET_RATIO = 1.0
N_SYMBOLS, N_BARS, _ROUNDS = 200, 1_000, 3
# Before the rounds: what is loaded and made at the first call is loaded there before its time.
_WARM_BARS = 30
FAST, SLOW = 10, 20
_CASH = 100_000_000
# One share and a half at the first price, so one share while no price is below 75 or above 150.
_TARGET = 150.0 / _CASH
_PROGRAM = Path(__file__).parents[1] / "bench" / "peers" / "rule_nautilus.py"


class Averages(NamedTuple):
    """Both averages of each symbol, and how many bars they have seen; shape (n_symbols,)."""

    fast: FloatArray
    slow: FloatArray
    n_bars: FloatArray


def _initial(n_symbols: int) -> Averages:
    return Averages(*(np.zeros(n_symbols) for _ in range(3)))


def _average(before: FloatArray, close: FloatArray, first: np.ndarray, period: int) -> FloatArray:
    share = 2.0 / (period + 1.0)
    after: FloatArray = np.where(first, close, share * close + (1.0 - share) * before)
    return after


def _step(
    _models: ModelSet, state: Averages, slice_: Slice
) -> tuple[Averages, Mapping[str, FloatArray]]:
    rows, close = slice_.rows(), slice_.floats("close")
    first = state.n_bars[rows] == 0
    fast = _average(state.fast[rows], close, first, FAST)
    slow = _average(state.slow[rows], close, first, SLOW)
    seen = state.n_bars[rows] + 1
    after = Averages(*(each.copy() for each in state))
    after.fast[rows], after.slow[rows], after.n_bars[rows] = fast, slow, seen
    is_long = (seen >= SLOW) & (fast > slow)
    n = len(rows)
    return after, {
        "features": np.zeros((n, len(NAMES))),
        "regime": np.full((n, 4), 0.25),
        "weights": np.full((n, 3), 1.0 / 3.0),
        "confidence": np.ones(n),
        "target_fraction": np.where(is_long, _TARGET, 0.0),
    }


RULE = SliceSpec("rule", Averages, _initial, _step, lambda *_: ())


class Ruled(InProcess):
    """The chain of a backtest with the rule where its models would be."""

    def __init__(self, epochs: Epochs, books: Books) -> None:
        super().__init__(epochs, 1, books.take)
        self._rule = SliceFold(RULE, epochs, 0, lambda _key: None)
        self._books = books

    def bar(self, slice_: Slice) -> Iterator[Said]:
        """Follow a slice of bars to the books."""
        at = Record(MARKET_BARS.name, 0, 0, None, None, [])
        letters, result = self._rule.fold(at, slice_)
        yield from letters
        if result is not None:
            yield from self._books.take(result)


class Ran(msgspec.Struct, frozen=True):
    """What all bars took on the processor, where each symbol turned, and how many orders filled."""

    processor_s: float
    turns: dict[str, list[tuple[int, bool]]]
    n_filled: int


def here(home: Path, digest: str, path: Path) -> Ran:
    """Run the bars of a file through the rule, on one core."""
    tape = open_tape(path, timeframe="1s")
    epochs = Epochs(Artifacts(home / "artifacts"))
    limits = msgspec.structs.replace(FREE, min_trade_fraction=0.0)
    document = msgspec.structs.replace(
        epoch(tape.symbols, digest),
        n_partitions=1,
        portfolios=(Portfolio(id="main", cash=str(_CASH), limits=limits),),
    )
    loaded = epochs.load(epochs.put(document))
    chain = Ruled(epochs, Books(epochs, 1))
    closes = tape.closes_ns()
    turns: dict[str, list[tuple[int, bool]]] = {}
    n_seen = 0

    def keep(_ts_ns: int, decisions: list[Any]) -> None:
        nonlocal n_seen
        for each in decisions:
            if each.action != "HOLD":
                turns.setdefault(each.symbol, []).append((n_seen, each.action == "BUY"))
        n_seen += 1

    recorder = Recorder(keep)
    with one_core(), collected():
        started = time.process_time()
        for said in play(chain, loaded, tape, Stretch(closes[0], closes[-1])):
            recorder.take(said)
        took_s = time.process_time() - started
    n_filled = sum(n for name, n in recorder.kept["main"].verdicts.items() if "approved" in name)
    return Ran(took_s, turns, n_filled)


def there(python: Path, path: Path) -> Ran:
    """Run the same in NautilusTrader, in its own environment."""
    command = [str(python), str(_PROGRAM), str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Ran)


def measure() -> Result:
    """Take turns, and compare every turn of every symbol."""
    home = stack_home("evidence")
    digest, python = models(home), place.python()
    mine: list[Ran] = []
    theirs: list[Ran] = []
    with tempfile.TemporaryDirectory() as name:
        bars = Bars(*(np.round(column, 2) for column in market(N_SYMBOLS, N_BARS)))
        few = Bars(*(column[:_WARM_BARS] for column in bars))
        here(home, digest, write(Path(name) / "few.parquet", few))
        path = write(Path(name) / "bars.parquet", bars)
        for _ in range(_ROUNDS):
            mine.append(here(home, digest, path))
            theirs.append(there(python, path))
    is_equal = all(one.turns == other.turns for one, other in zip(mine, theirs, strict=True))
    n_turns = sum(map(len, mine[0].turns.values()))
    are_filled = all(each.n_filled == n_turns for each in (*mine, *theirs))
    ratio = min(o.processor_s for o in theirs) / max(m.processor_s for m in mine)
    n = N_SYMBOLS * N_BARS
    return Result(
        value=round(n / median(each.processor_s for each in mine)),
        holds=is_equal and are_filled and ratio >= TARGET_RATIO,
        n=n * _ROUNDS,
        parts={
            "us_each": [round(1e6 * each.processor_s / n, 1) for each in mine],
            "peer_us_each": [round(1e6 * each.processor_s / n, 1) for each in theirs],
            "turns": n_turns,
            "turns_equal": is_equal,
            "all_filled": are_filled,
            "ratio_worst": round(ratio, 2),
        },
        peer="NautilusTrader, a strategy a symbol",
        ratio=round(ratio, 2),
    )


RULE_SPEED = Measurement(
    "rule-speed",
    "symbol-bars/s of processor time through a cross of two averages and the books",
    f">= {TARGET_RATIO:g} x NautilusTrader in its worst round against ours, the same turns",
    5,
    measure,
)
