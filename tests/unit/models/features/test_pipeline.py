"""The laws of the pipeline, bit for bit, and what it makes of degenerate tapes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from models.errors import ModelError, ShapeError
from models.features.bars import Bars
from models.features.catalogue import CATALOGUE, NAMES, WARMUP_BARS
from models.features.pipeline import FeatureState, fold, initial_state, ready, step
from tests.unit.models.features.conftest import Floats, random_walk, without

N_SYMBOLS = 200


def leaves(state: object) -> Iterator[np.ndarray]:
    """Give all arrays of a state, in order."""
    if isinstance(state, tuple):
        for part in state:
            yield from leaves(part)
    else:
        assert isinstance(state, np.ndarray)
        yield state


def copied(state: FeatureState) -> FeatureState:
    """Copy every array out and build the NamedTuples anew."""
    return _rebuilt(state)


def _rebuilt(part: Any) -> Any:  # noqa: ANN401  walks nested NamedTuples of any kind
    """Rebuild one level."""
    return part.copy() if isinstance(part, np.ndarray) else type(part)(*map(_rebuilt, part))


def bits(state: FeatureState) -> bytes:
    """Give a state's bits."""
    return b"".join(leaf.tobytes() for leaf in leaves(state))


def at(bars: Bars, bar: int, rows: np.ndarray) -> Bars:
    """Give the bars of some symbols at one time."""
    return Bars(*(column[bar, rows] for column in bars))


@pytest.fixture(scope="module")
def tape() -> Bars:
    """Give 263 bars of 200 symbols that come at different times and lack a bar in twenty."""
    draw = np.random.default_rng(21)
    absent = draw.random((263, N_SYMBOLS)) < 0.05
    absent |= np.arange(263)[:, None] < draw.integers(0, 40, N_SYMBOLS) * (
        draw.random(N_SYMBOLS) < 0.5
    )
    absent[-4:] = False
    return without(random_walk(263, N_SYMBOLS, seed=20), absent)


@pytest.fixture(scope="module")
def warm(tape: Bars) -> FeatureState:
    """Give the state before the tape's last four bars; copy it before use."""
    state = initial_state(N_SYMBOLS)
    for bar in range(259):
        rows = np.flatnonzero(~np.isnan(tape.close[bar]))
        state, _ = step(state, rows, at(tape, bar, rows))
    return state


def test_step_when_rows_come_one_by_one_or_split_then_equals_the_whole_slice(
    tape: Bars, warm: FeatureState
) -> None:
    """Row law: features and state have the same bits however a slice is cut and ordered."""
    draw = np.random.default_rng(22)
    whole, single, split = copied(warm), copied(warm), copied(warm)
    every = np.arange(N_SYMBOLS)
    for bar in range(259, 263):
        whole, expected = step(whole, every, at(tape, bar, every))
        alone = np.empty_like(expected)
        for row in range(N_SYMBOLS):
            rows = np.array([row])
            single, alone[rows] = step(single, rows, at(tape, bar, rows))
        parts = np.empty_like(expected)
        share = draw.integers(0, 5, N_SYMBOLS)
        for part in draw.permutation(5):
            rows = np.flatnonzero(share == part)
            split, parts[rows] = step(split, rows, at(tape, bar, rows))
        assert expected.tobytes() == alone.tobytes() == parts.tobytes()
    assert bits(whole) == bits(single) == bits(split)


def test_fold_when_a_symbol_is_folded_alone_then_equals_its_part_of_the_whole(tape: Bars) -> None:
    """The row law from the first bar on, through every warm-up."""
    together = fold(Bars(*(column[:, :6] for column in tape)))
    for symbol in (0, 5):
        alone = fold(Bars(*(column[:, symbol : symbol + 1] for column in tape)))
        assert alone[:, 0].tobytes() == together[:, symbol].tobytes()


def assert_causal(compute: Callable[[Bars], Floats], bars: Bars) -> None:
    """Fail unless every prefix of the bars gives the prefix of the features, bit for bit."""
    whole = compute(bars)
    for n_bars in (1, 63, 200, len(whole) - 1):
        prefix = compute(Bars(*(column[:n_bars] for column in bars)))
        assert prefix.tobytes() == whole[:n_bars].tobytes(), (
            f"{n_bars} bars know more than {n_bars}"
        )


def test_fold_when_only_a_prefix_is_known_then_gives_the_prefix(walk: Bars) -> None:
    """No feature knows a later bar."""
    assert_causal(fold, Bars(*(column[:300] for column in walk)))


def shifted(bars: Bars) -> Floats:
    """Plant the classic leak: the features of the next bar."""
    features = fold(bars)
    return np.concatenate((features[1:], features[-1:]))


def smoothed(bars: Bars) -> Floats:
    """Plant a centred window: the mean with both neighbours."""
    features = fold(bars)
    padded = np.concatenate((features[:1], features, features[-1:]))
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3.0


def normalised(bars: Bars) -> Floats:
    """Plant a normalisation by the mean of the whole tape."""
    features = fold(bars)
    present = ~np.isnan(features)
    total = np.where(present, features, 0.0).sum(axis=0)
    return features - total / np.maximum(present.sum(axis=0), 1)


@pytest.mark.parametrize("leak", [shifted, smoothed, normalised])
def test_causality_check_when_a_leak_is_planted_then_fails(
    leak: Callable[[Bars], Floats], walk: Bars
) -> None:
    """The check that clears the pipeline convicts the three usual leaks."""
    with pytest.raises(AssertionError, match="know more than"):
        assert_causal(leak, Bars(*(column[:300] for column in walk)))


# The bars are made of products only: numpy's exponential depends on the processor, too.
FINGERPRINT = """
import hashlib
import numpy as np
from models.features.pipeline import Bars, fold
draw = np.random.default_rng(36).random((4, 260, 20)) * 0.02
close = np.cumprod(0.99 + draw[0], axis=0)
open_ = close * (0.99 + draw[1])
high = np.maximum(open_, close) * (1.0 + draw[2])
low = np.minimum(open_, close) * (1.0 - draw[3])
bars = Bars(open_, high, low, close, draw[2] * 1e6, (high + low) / 2.0)
print(hashlib.sha256(fold(bars).tobytes()).hexdigest())
"""


def test_fold_when_the_processor_knows_fewer_instructions_then_gives_the_same_bits() -> None:
    """A replay on another machine is a replay: numpy's fast paths may not show."""
    targets = np._core._multiarray_umath.__cpu_dispatch__
    known = np._core._multiarray_umath.__cpu_features__
    fast = " ".join(target for target in targets if known.get(target))
    digests = {
        subprocess.run(
            [sys.executable, "-c", FINGERPRINT],
            env={**os.environ, "NPY_DISABLE_CPU_FEATURES": disabled},
            capture_output=True,
            check=True,
        ).stdout
        for disabled in ("", fast)
    }
    assert len(digests) == 1


def test_state_when_rebuilt_from_copied_arrays_then_continues_bit_for_bit(
    tape: Bars, warm: FeatureState
) -> None:
    """A state is its arrays and nothing else: float64 and int64, symbol last."""
    for leaf in leaves(warm):
        assert leaf.dtype in (np.float64, np.int64)
        assert leaf.shape[-1] == N_SYMBOLS
    first, second = copied(warm), copied(warm)
    every = np.arange(N_SYMBOLS)
    for bar in range(259, 263):
        first, expected = step(first, every, at(tape, bar, every))
        second, features = step(copied(second), every, at(tape, bar, every))
        assert features.tobytes() == expected.tobytes()


def test_step_when_inputs_are_read_only_then_works_on_them(tape: Bars, warm: FeatureState) -> None:
    """The state is donated, rows and bars are not: nothing writes to them or keeps them."""
    rows = np.arange(N_SYMBOLS)
    bars = at(tape, 259, rows)
    for array in (rows, *bars):
        array.flags.writeable = False
    state, features = step(copied(warm), rows, bars)
    assert features.shape == (N_SYMBOLS, 60)
    assert not any(np.shares_memory(leaf, array) for leaf in leaves(state) for array in bars)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows, bars: (rows[::-1].copy(), bars),
        lambda rows, bars: (rows + 1, bars),
        lambda rows, bars: (rows, bars._replace(close=bars.close[:-1])),
        lambda rows, bars: (rows, bars._replace(low=bars.high * 1.5)),
        lambda rows, bars: (rows, bars._replace(vwap=np.where(rows == 199, np.nan, bars.vwap))),
        lambda rows, bars: (rows, bars._replace(volume=-bars.volume)),
    ],
    ids=["unsorted", "out of range", "too short", "low above high", "last is NaN", "negative"],
)
def test_step_when_anything_is_wrong_then_the_state_is_untouched(
    spoil: Callable[..., tuple[np.ndarray, Bars]], tape: Bars, warm: FeatureState
) -> None:
    """All is checked before anything is written, the last row too."""
    before = bits(warm)
    rows = np.arange(N_SYMBOLS)
    with pytest.raises(ModelError):
        step(warm, *spoil(rows, at(tape, 259, rows)))
    assert bits(warm) == before


def test_step_when_no_symbol_has_a_bar_then_gives_no_rows(warm: FeatureState) -> None:
    """An empty slice is a slice: 0 rows of 60, and the state as it was."""
    before = bits(warm)
    state, features = step(copied(warm), np.array([], dtype=np.int64), Bars(*np.empty((6, 0))))
    assert features.shape == (0, 60)
    assert bits(state) == before


def test_features_when_volume_is_always_zero_then_are_finite_and_neutral() -> None:
    """A daily tape without volume: scores, ratios and flows are 0, MFI stands in the middle."""
    walk = random_walk(260, 1, seed=30)
    last = dict(zip(NAMES, fold(walk._replace(volume=0.0 * walk.volume))[-1, 0], strict=True))
    assert np.isfinite(list(last.values())).all()
    silent = ("obv_score_21", "volume_score_21", "volume_ratio_5_63", "money_flow_21")
    assert [last[name] for name in (*silent, "volume_return_correlation_21")] == [0.0] * 5
    assert last["mfi_14"] == 50.0


NEUTRAL = {
    **dict.fromkeys(("rsi_7", "rsi_14", "rsi_21", "mfi_14", "ultimate_28"), 50.0),
    **dict.fromkeys(("stochastic_k_14", "stochastic_d_14"), 50.0),
    **dict.fromkeys(("aroon_up_14", "aroon_down_14"), 100.0),
    "williams_r_14": -50.0,
    "bollinger_place_20": 0.5,
    "volatility_ratio_5_63": 1.0,
    "volume_ratio_5_63": 1.0,
}


def test_features_when_price_and_volume_are_constant_then_are_exactly_neutral() -> None:
    """Of a price of 0.1, whose sums all round, nothing but the neutral values comes out."""
    bars = Bars(*np.full((6, 260, 1), 0.1))
    last = fold(bars)[-1, 0]
    expected = [NEUTRAL.get(name, 0.0) for name in NAMES]
    np.testing.assert_allclose(last, expected, rtol=1e-13, atol=1e-13)


def test_features_when_the_price_grows_evenly_then_shape_statistics_are_neutral() -> None:
    """Equal returns differ by rounding only, which is no skew, no kurtosis and no z-score."""
    price = np.repeat(1.01 ** np.arange(260.0)[:, None], 1, axis=1)
    last = dict(zip(NAMES, fold(Bars(*([price] * 6)))[-1, 0], strict=True))
    flat = ("skew_63", "kurtosis_63", "autocorrelation_21", "return_score_21")
    assert [last[name] for name in flat] == [0.0] * 4
    assert last["rsi_14"] == last["efficiency_21"] * 100.0 == 100.0
    assert last["volatility_21"] < 1e-15


def test_features_when_prices_and_volumes_are_scaled_then_stay_bit_for_bit() -> None:
    """Powers of two scale without rounding, so a scale-free column may not move by one bit."""
    walk = random_walk(270, 2, seed=31)
    scales = (1024.0, 1024.0, 1024.0, 1024.0, 0.125, 1024.0)
    scaled = Bars(*(column * scale for column, scale in zip(walk, scales, strict=True)))
    assert fold(scaled).tobytes() == fold(walk).tobytes()


def test_features_when_a_symbol_appears_late_or_pauses_then_only_its_own_bars_count() -> None:
    """A gap is no row: the features of the bars around it are those of the bars side by side."""
    walk = random_walk(300, 1, seed=32)
    places = np.sort(np.random.default_rng(33).permutation(380)[:300])
    gappy = Bars(*(np.full((380, 1), np.nan) for _ in range(6)))
    for target, column in zip(gappy, walk, strict=True):
        target[places] = column
    features = fold(gappy)
    assert features[places].tobytes() == fold(walk).tobytes()
    assert np.isnan(np.delete(features, places, axis=0)).all()


def test_ready_when_the_longest_feature_has_warmed_up_then_turns_true_for_good(
    features: Floats,
) -> None:
    """The 253rd bar of the symbol is the first complete one."""
    begun = ready(features[:, 0])
    assert begun.tolist() == [False] * (WARMUP_BARS - 1) + [True] * (420 - WARMUP_BARS + 1)


def test_fold_when_a_bar_is_partly_missing_then_refuses_it() -> None:
    """A bar is whole or absent; half a bar is a broken tape."""
    walk = random_walk(3, 2, seed=34)
    walk.volume[1, 1] = np.nan
    with pytest.raises(ModelError, match=r"bars\.volume\[1\] \(symbol 1\) was nan"):
        fold(walk)


def test_fold_when_columns_have_different_shapes_then_raises_shape_error() -> None:
    """Nothing is broadcast."""
    walk = random_walk(3, 2, seed=35)
    with pytest.raises(ShapeError, match="expected one"):
        fold(walk._replace(vwap=walk.vwap[:2]))


def test_initial_state_when_the_number_is_negative_then_raises_shape_error() -> None:
    """A state of fewer than no symbols is a mistake of the caller."""
    with pytest.raises(ShapeError, match="was -1"):
        initial_state(-1)


def test_step_when_200_symbols_have_run_then_every_column_has_its_declared_count(
    warm: FeatureState, tape: Bars
) -> None:
    """Symbols of unequal age share a slice: each is masked by its own number of bars."""
    every = np.arange(N_SYMBOLS)
    state, features = step(copied(warm), every, at(tape, 259, every))
    declared = np.array([feature.warmup_bars for feature in CATALOGUE])
    expected = state.history.n_bars[:, None] >= declared
    np.testing.assert_array_equal(np.isfinite(features), expected)


def test_step_when_a_partition_has_no_symbols_then_gives_no_rows() -> None:
    """Few symbols may all live in the other partition; a boundary comes all the same."""
    nothing = Bars(*np.empty((6, 0)))
    state, features = step(initial_state(0), np.empty(0, np.int64), nothing)
    state, features = step(state, np.empty(0, np.int64), nothing)
    assert features.shape == (0, len(NAMES))
