"""``train-speedup``: what a training run reads, from one stored computation or computed again.

In turns, in one run: bars and features of the demo's training years from the tape (bars by the live
fold, features by the pipeline), and the same from the store. Both must be equal bit for bit before
times count. Fitting comes after either and takes as long; the ratio of whole runs stands in parts.
"""

import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from agents.run.fit import SEED
from models.prepared import Prepared, prepare
from models.training import fit
from streams.clock import monotonic_s
from streams.sources.bridge import BridgeTape
from streams.timestamps import parse_ns
from tables.history import history_of
from tables.stores.feature_store import FeatureStore
from tests.evidence.measurement import Measurement, Result

TARGET = 3.0

_ROUNDS = 3
_UNTIL = "2017-12-31T00:00:00Z"
_KEY = {"measured": "train-speedup"}


def _recomputed(tape: BridgeTape) -> Prepared:
    until_ns = parse_ns(_UNTIL)
    closes = [close for close in tape.closes_ns() if close <= until_ns]
    return prepare(history_of(tape, closes[0], closes[-1], lambda *_: None))


def _equal(first: Prepared, second: Prepared) -> bool:
    mine, theirs = (*first.history[1:], first.features), (*second.history[1:], second.features)
    return first.history.symbols == second.history.symbols and all(
        np.asarray(one).tobytes() == np.asarray(other).tobytes()
        for one, other in zip(mine, theirs, strict=True)
    )


def measure() -> Result:
    """Prepare in turns, then fit once on what the store gave."""
    tape = BridgeTape()
    recomputed_s: list[float] = []
    read_s: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder))
        store.put(_KEY, _recomputed(tape))
        is_equal = True
        for _ in range(_ROUNDS):
            started = monotonic_s()
            computed = _recomputed(tape)
            between = monotonic_s()
            stored = store.get(_KEY)
            read_s.append(monotonic_s() - between)
            recomputed_s.append(between - started)
            is_equal &= stored is not None and _equal(computed, stored)
    started = monotonic_s()
    fit(computed, timeframe=tape.timeframe, seed=SEED, progress=lambda *_: None)
    fit_s = monotonic_s() - started
    again, kept = median(recomputed_s), median(read_s)
    ratios = [mine / theirs for mine, theirs in zip(recomputed_s, read_s, strict=True)]
    return Result(
        value=round(min(ratios), 1),
        holds=is_equal and min(ratios) >= TARGET,
        n=_ROUNDS,
        peer="bars and features computed from the tape for each run",
        ratio=round(median(ratios), 1),
        parts={
            "recomputed_s": round(again, 2),
            "read_s": round(kept, 2),
            "fit_s": round(fit_s, 2),
            "whole_run_ratio": round((again + fit_s) / (kept + fit_s), 2),
            "bits_equal": is_equal,
            "n_rows": int(np.isfinite(computed.history.close).sum()),
        },
    )


TRAIN_SPEEDUP = Measurement(
    "train-speedup",
    "times as fast to a training run's bars and features from the store, the least of its rounds",
    f">= {TARGET:g} x computing them again, bits equal",
    4,
    measure,
)
