"""``feature-lookahead``: whether any feature of any bar knows a later bar.

The history is cut after every single bar; each cut history goes through the pipeline by itself and
must give the very bits that the whole history gives there. Cut histories are independent symbols
of one fold, which the row law of the pipeline allows (tests/unit/models/features/test_pipeline.py).
"""

from collections.abc import Callable

import numpy as np

from models.features.bars import Bars
from models.features.catalogue import NAMES, WARMUP_BARS
from models.features.pipeline import fold
from tests.evidence.feature_data import Floats, best_tape
from tests.evidence.measurement import Measurement, Result

_SYMBOL = 0
_MAX_BARS = 2_500
_CUTS_TOGETHER = 125

Leak = Callable[[Floats], Floats]


def plain(features: Floats) -> Floats:
    """Give the pipeline's features as they are."""
    return features


def shifted(features: Floats) -> Floats:
    """Plant the classic leak: each bar shows the features of the next."""
    return np.concatenate((features[1:], features[-1:]))


def smoothed(features: Floats) -> Floats:
    """Plant a centred window of three bars."""
    padded = np.concatenate((features[:1], features, features[-1:]))
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3.0


def normalised(features: Floats) -> Floats:
    """Plant a normalisation by the mean of the whole history."""
    present = np.isfinite(features)
    total = np.where(present, features, 0.0).sum(axis=0)
    return features - total / np.maximum(present.sum(axis=0), 1)


COMPUTED: dict[str, Leak] = {
    "pipeline": plain,
    "one-bar shift": shifted,
    "centred window": smoothed,
    "global normalisation": normalised,
}


def leaking(bars: Bars) -> tuple[dict[str, np.ndarray], int]:
    """Mark the features of which any cut history differs, by computation; count the values."""
    n_bars = len(bars.close)
    whole = fold(bars)[:, 0]
    expected = {name: compute(whole) for name, compute in COMPUTED.items()}
    found = {name: np.zeros(len(NAMES), np.bool_) for name in COMPUTED}
    n_values = 0
    for first in range(1, n_bars, _CUTS_TOGETHER):
        lengths = range(first, min(first + _CUTS_TOGETHER, n_bars))
        longest = lengths[-1]
        cut = [np.repeat(column[:longest], len(lengths), axis=1) for column in bars]
        for column in cut:
            for at, length in enumerate(lengths):
                column[length:, at] = np.nan
        features = fold(Bars(*cut))
        for at, length in enumerate(lengths):
            alone = features[:length, at]
            n_values += alone.size
            for name, compute in COMPUTED.items():
                differs = compute(alone).view(np.uint64) != np.ascontiguousarray(
                    expected[name][:length]
                ).view(np.uint64)
                found[name] |= differs.any(axis=0)
    return found, n_values


def measure() -> Result:
    """Cut a real series after every bar; then the same with three planted leaks."""
    name, tape = best_tape()
    bars = Bars(*(column[-_MAX_BARS:, _SYMBOL : _SYMBOL + 1].copy() for column in tape))
    found, n_values = leaking(bars)
    leaks = int(found.pop("pipeline").sum())
    caught = {leak: int(marked.sum()) for leak, marked in found.items()}
    n_caught = sum(count > 0 for count in caught.values())
    return Result(
        value=leaks,
        holds=leaks == 0 and n_caught == len(caught) and len(bars.close) > WARMUP_BARS,
        n=n_values,
        parts={
            "features": len(NAMES),
            "cuts": len(bars.close) - 1,
            "series": name,
            "planted_caught": f"{n_caught}/{len(caught)}",
            "features_convicted": caught,
        },
    )


FEATURE_LOOKAHEAD = Measurement(
    "feature-lookahead",
    "features that know a later bar",
    "0 of 60 over every bar; 3 of 3 planted leaks caught",
    2,
    measure,
)
