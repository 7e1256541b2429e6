"""``feature-parity``: features of a whole history against those of a worker that restarts."""

import numpy as np

from models.features.bars import Bars
from models.features.pipeline import FeatureState, fold, initial_state, step
from streams.codec import pack_state, unpack_state
from tests.evidence.feature_data import Floats, tapes
from tests.evidence.measurement import Measurement, Result

MIN_VALUES = 1_000_000

_N_PARTITIONS = 2
_RESTARTS_PER_PARTITION = 12
_SEED = 101


def live(bars: Bars, cuts: set[int]) -> Floats:
    """Follow the bars as workers do: a state per partition, and through bytes at every cut."""
    n_bars, n_symbols = bars.close.shape
    features = np.full((n_bars, n_symbols, 60), np.nan)
    for partition in range(_N_PARTITIONS):
        mine = np.arange(partition, n_symbols, _N_PARTITIONS)
        state = initial_state(len(mine))
        for bar in range(n_bars):
            if bar in cuts:
                state = unpack_state(FeatureState, pack_state(state))
            rows = np.flatnonzero(np.isfinite(bars.close[bar, mine]))
            now = Bars(*(column[bar, mine[rows]] for column in bars))
            state, features[bar, mine[rows]] = step(state, rows, now)
    return features


def mismatches(first: Floats, second: Floats) -> int:
    """Count the values whose bits differ."""
    return int((first.view(np.uint64) != second.view(np.uint64)).sum())


def measure() -> Result:
    """Fold every tape in one go and in pieces, and compare the bits."""
    draw = np.random.default_rng(_SEED)
    n_values, n_finite, n_restarts, n_wrong = 0, 0, 0, 0
    for bars in tapes().values():
        n_bars = len(bars.close)
        # The first two cuts fall into the warm-up, where most windows are incomplete.
        late = draw.choice(np.arange(260, n_bars), _RESTARTS_PER_PARTITION - 2, replace=False)
        cuts = {1, 100, *late.tolist()}
        whole = fold(bars)
        n_wrong += mismatches(whole, live(bars, cuts))
        n_values += whole.size
        n_finite += int(np.isfinite(whole).sum())
        n_restarts += len(cuts) * _N_PARTITIONS
    return Result(
        value=n_wrong,
        holds=n_wrong == 0 and n_finite >= MIN_VALUES,
        n=n_finite,
        parts={"values_with_nan": n_values, "restarts": n_restarts, "tapes": list(tapes())},
    )


FEATURE_PARITY = Measurement(
    "feature-parity",
    "values whose bits differ between history and live with restarts",
    f"0 of >= {MIN_VALUES}",
    1,
    measure,
)
