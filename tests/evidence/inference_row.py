"""``inference-row``: one row through features, regime and specialists, on one core.

The state is that of 200 symbols; one of them gets a bar at a time, warmed up, so that every step
computes. The same networks run by torch, row by row, stand beside. Time on the processor stands
beside the time on the wall: where other programs run, too, the difference is their work.
"""

import time
from statistics import median

import numpy as np
import torch

from models.features import pipeline
from models.features.bars import Bars
from models.features.catalogue import WARMUP_BARS
from models.regime import mixture, posterior
from models.specialists import network, serving, window
from models.specialists.serving import Specialists
from models.specialists.settings import DEFAULTS
from streams.clock import monotonic_s
from tests import builders
from tests.evidence.feature_speed import market, one_core
from tests.evidence.measurement import Measurement, Result, quantile
from tests.evidence.regime_data import COLUMNS, stocks

TARGET_MS = 2.0

_SYMBOLS = 200
_WARM_BARS = 200
_MEASURED_BARS = 4_000
_TORCH_ROWS = 500
_SYMBOL = np.array([17])


def _bars() -> Bars:
    """Give one stock's bars, enough of them to warm up and measure."""
    n_bars = WARMUP_BARS + _WARM_BARS + _MEASURED_BARS
    return Bars(*(column[:, 0] for column in market(1, n_bars)))


def _models(features: np.ndarray) -> tuple[posterior.RegimeModel, Specialists]:
    """Fit regimes; networks of the served size need no fitting to take their time."""
    regime = mixture.fit(features[:, None, :], columns=COLUMNS, seed=0)
    known = features[np.isfinite(features).all(axis=1)]
    drawn = builders.specialists(np.random.default_rng(0), DEFAULTS.members)
    return regime, drawn._replace(mean=known.mean(axis=0), scale=known.std(axis=0) + 1e-9)


def _torch_ms(specialists: Specialists, inputs: np.ndarray, past: np.ndarray) -> list[float]:
    """Time the same networks in torch on single rows, scaled beforehand."""
    members = [each for k in range(3) for each in network.imported(specialists, k)]
    seen = torch.ones((1, window.LENGTH_BARS), dtype=torch.bool)
    times = []
    with torch.inference_mode():
        for row, bars in zip(torch.from_numpy(inputs), torch.from_numpy(past), strict=True):
            started = monotonic_s()
            for member in members:
                member(row[None], bars[None], seen)
            times.append(1e3 * (monotonic_s() - started))
    return sorted(times)


def measure() -> Result:
    """Take one bar of one symbol at a time and time each stage."""
    bars = _bars()
    regime_model, specialists = _models(
        pipeline.fold(Bars(*(column[:2_000, None].copy() for column in bars)))[:, 0]
    )
    state = pipeline.initial_state(_SYMBOLS)
    belief, looked_back = posterior.initial_state(_SYMBOLS), window.initial_state(_SYMBOLS)
    times: dict[str, list[float]] = {"features": [], "regime": [], "specialists": []}
    whole: list[float] = []
    busy: list[float] = []
    rows = []
    with one_core():
        for bar in range(len(bars.close)):
            now = Bars(*(column[bar : bar + 1] for column in bars))
            worked, begun = time.thread_time(), monotonic_s()
            state, features = pipeline.step(state, _SYMBOL, now)
            featured = monotonic_s()
            belief, regime = posterior.step(regime_model, belief, _SYMBOL, features)
            believed = monotonic_s()
            looked_back, scores = serving.step(specialists, looked_back, _SYMBOL, features)
            scored, done = monotonic_s(), time.thread_time()
            if bar < WARMUP_BARS + _WARM_BARS:
                continue
            parts = (featured - begun, believed - featured, scored - believed)
            for stage, taken in zip(times, parts, strict=True):
                times[stage].append(1e3 * taken)
            whole.append(1e3 * (scored - begun))
            busy.append(1e3 * (done - worked))
            rows.append(np.isfinite(scores).all() and np.isfinite(regime).all())
        inputs = np.random.default_rng(1).normal(size=(_TORCH_ROWS, 60))
        past = np.random.default_rng(2).normal(size=(_TORCH_ROWS, window.LENGTH_BARS, 8))
        by_torch = _torch_ms(specialists, inputs, past)
    p95 = quantile(sorted(whole), 0.95)
    specialists_p50 = median(times["specialists"])
    return Result(
        value=round(p95, 3),
        holds=p95 <= TARGET_MS and all(rows),
        n=len(whole),
        peer="the same networks in torch, row by row",
        ratio=round(median(by_torch) / specialists_p50, 1),
        parts={
            "p50_ms": round(median(whole), 3),
            "p99_ms": round(quantile(sorted(whole), 0.99), 3),
            "processor_p50_ms": round(median(busy), 3),
            "processor_p95_ms": round(quantile(sorted(busy), 0.95), 3),
            **{f"{stage}_p50_ms": round(median(each), 3) for stage, each in times.items()},
            **{
                f"{stage}_p95_ms": round(quantile(sorted(each), 0.95), 3)
                for stage, each in times.items()
            },
            "torch_p50_ms": round(median(by_torch), 3),
            "all_rows_scored": all(rows),
            "networks": 3 * DEFAULTS.members,
            "symbols_in_state": _SYMBOLS,
            "series": f"{len(stocks().close):,} days of real closes, simulated intraday",
        },
    )


INFERENCE_ROW = Measurement(
    "inference-row",
    "ms P95 for one row through features, regime and specialists on one core",
    f"<= {TARGET_MS:g} ms",
    1,
    measure,
)
