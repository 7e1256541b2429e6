"""What a measurement is: a name, what it promises, how long it takes, and the function."""

import os
import platform
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import bootstrap


class Result(NamedTuple):
    """What was measured; ``value`` is the first number of the name's row, in its unit."""

    value: float
    holds: bool
    n: int
    parts: Mapping[str, Any]
    peer: str = ""
    ratio: float | None = None


class Measurement(NamedTuple):
    """One name of ``tradewind evidence --list``."""

    name: str
    unit: str
    target: str
    minutes: float
    measure: Callable[[], Result]


def quantile(ordered: list[float], share: float) -> float:
    """Return the value below which ``share`` of the samples lie (nearest rank, 1 based)."""
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))]


def p95_at_most(samples: list[float]) -> float:
    """Return the upper end of the 95 % interval of a P95, by the seeded percentile bootstrap."""
    found = bootstrap(
        (samples,),
        lambda drawn, axis: np.quantile(drawn, 0.95, axis=axis),
        n_resamples=2_000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.high)


def machine() -> dict[str, Any]:
    """Return what of this machine a figure depends on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_1min": round(os.getloadavg()[0], 2),
    }
