"""Windows: a symbol's own last bars, folded and unrolled."""

import numpy as np
import pytest

from models.errors import ShapeError
from models.features.catalogue import CATALOGUE, NAMES, WARMUP_BARS
from models.specialists import window
from models.specialists.split import EMBARGO_BARS, LABEL_BARS
from streams.codec import pack_state, unpack_state

N_FEATURES = len(NAMES)


def test_window_when_features_are_complete_then_is_full_of_bars() -> None:
    """What is attended warms up so early that a scored row looks back on a whole window."""
    latest = max(f.warmup_bars for f in CATALOGUE if f.name in window.ATTENDED)
    assert latest + window.LENGTH_BARS - 1 <= WARMUP_BARS


def test_window_when_a_split_is_cut_then_is_shorter_than_the_gap() -> None:
    """So no return in a window of one stretch is the label of a row in another."""
    assert window.LENGTH_BARS <= LABEL_BARS + EMBARGO_BARS


def test_step_when_bars_come_then_keeps_the_last_sixteen_in_order() -> None:
    """Bars leave at the old end; the current one stands last."""
    state = window.initial_state(1)
    for bar in range(20):
        state, windows = window.step(state, np.array([0]), np.full((1, N_FEATURES), float(bar)))
    assert windows[0, :, 0].tolist() == list(range(4, 20))
    np.testing.assert_array_equal(windows[0], state.bars[0])


def test_step_when_a_symbol_has_gaps_then_counts_its_own_bars() -> None:
    """A bar of another symbol moves nobody else's window."""
    state = window.initial_state(2)
    for bar in range(30):
        rows = np.array([0, 1]) if bar % 3 == 0 else np.array([0])
        state, _ = window.step(state, rows, np.full((len(rows), N_FEATURES), float(bar)))
    assert state.bars[1, -10:, 0].tolist() == list(range(0, 30, 3))
    assert np.isnan(state.bars[1, :-10]).all()


def test_step_when_called_then_leaves_the_old_state_alone() -> None:
    """A fold may be repeated from a state that it was given."""
    state = window.initial_state(1)
    window.step(state, np.array([0]), np.ones((1, N_FEATURES)))
    assert np.isnan(state.bars).all()


def test_state_when_packed_then_is_small_and_comes_back() -> None:
    """1,024 bytes a symbol: 200 symbols and a snapshot every 64 minutes are 5 MB a day."""
    state = window.initial_state(200)
    assert state.bars.nbytes == 200 * 1_024
    state, _ = window.step(state, np.arange(200), np.random.default_rng(1).random((200, 60)))
    back = unpack_state(window.WindowState, pack_state(state))
    assert back.bars.tobytes() == state.bars.tobytes()


def test_unrolled_when_windows_are_cut_then_are_those_of_the_fold() -> None:
    """Both ways to a window give the same bits, with gaps, late listings and silent symbols."""
    rng = np.random.default_rng(2)
    features = rng.normal(size=(60, 4, N_FEATURES))
    present = rng.random((60, 4)) < np.array([1.0, 0.6, 0.3, 0.0])
    present[:25, 1] = False
    bars, ends = window.unrolled(features, present)
    assert (ends[~present] == -1).all()
    state = window.initial_state(4)
    for bar in range(60):
        rows = np.flatnonzero(present[bar])
        state, windows = window.step(state, rows, features[bar, rows])
        for row, expected in zip(rows, windows, strict=True):
            end = ends[bar, row]
            cut = bars[end - window.LENGTH_BARS + 1 : end + 1]
            assert cut.tobytes() == expected.tobytes()


def test_step_when_features_are_not_the_pipelines_then_refuses() -> None:
    """Other columns would be remembered under these names."""
    with pytest.raises(ShapeError, match=r"must be \(2, 60\), was \(2, 59\)"):
        window.step(window.initial_state(2), np.arange(2), np.zeros((2, 59)))


def test_unrolled_when_shapes_differ_then_refuses() -> None:
    """A mask of another history would cut windows of other bars."""
    with pytest.raises(ShapeError, match="beside present"):
        window.unrolled(np.zeros((3, 2, 60)), np.ones((3, 1), np.bool_))
