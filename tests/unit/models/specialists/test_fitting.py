"""Training with torch: every specialist learns its regime, and nothing it may not see."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import HistoryTooShort, NotFinite, NotFitted, ShapeError
from models.features.catalogue import NAMES
from models.specialists import fitting, serving, window
from models.specialists.fitting import Lessons
from models.specialists.serving import Specialists
from models.specialists.settings import DEFAULTS, Settings
from models.specialists.split import EMBARGO_BARS, LABEL_BARS, Split, split
from models.specialists.window import LENGTH_BARS

N_BARS, N_SYMBOLS, N_FEATURES = 1200, 3, len(NAMES)
SPLIT = split(20, N_BARS)
TELLERS = (16, 29, 55)

# Small batches take more steps per pass, so that few rows suffice to learn a planted rule; large
# ones take few where nothing needs to be learnt.
SMALL, LARGE = Settings(members=2, batch_rows=32), Settings(members=2)


def ignore(_stage: str, _share: float) -> None:
    """Take a progress report and do nothing."""


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    """Plant one rule per regime: each has a feature of its own that tells the next direction."""
    rng = np.random.default_rng(41)
    features = rng.normal(size=(N_BARS, N_SYMBOLS, N_FEATURES)) * 0.01 + 0.5
    features[:20] = np.nan
    regimes = rng.integers(0, 3, size=(N_BARS, N_SYMBOLS))
    tellers = features[..., TELLERS]
    teller = np.take_along_axis(tellers, regimes[..., None], axis=2)[..., 0] - 0.5
    returns = np.where(rng.random(teller.shape) < 0.95, np.sign(teller), -np.sign(teller)) * 0.01
    returns[-1] = np.nan
    return Lessons(features, returns, np.eye(3)[regimes], np.ones(returns.shape, np.bool_))


@pytest.fixture(scope="module")
def specialists(lessons: Lessons) -> Specialists:
    """Train on the planted rules."""
    return fitting.fit(lessons, split=SPLIT, seed=5, progress=ignore, settings=SMALL)


def scored(specialists: Specialists, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fold bars through ``window.step`` and ``attend``: scores and attention of every bar."""
    state, rows = window.initial_state(features.shape[1]), np.arange(features.shape[1])
    scores, attention = [], []
    for bar in features:
        state, windows = window.step(state, rows, bar)
        answer = serving.attend(specialists, bar, windows)
        scores.append(answer[0])
        attention.append(answer[1])
    return np.stack(scores), np.stack(attention)


def as_bytes(specialists: Specialists) -> list[bytes]:
    """List the bytes of every array and number."""
    return [np.asarray(value).tobytes() for value in specialists]


def test_fit_when_each_regime_has_a_rule_then_each_specialist_learns_its_own(
    specialists: Specialists, lessons: Lessons
) -> None:
    """On held-back bars of its regime a specialist is right far more often than the others."""
    features, returns, probabilities = (array[SPLIT.held_back] for array in lessons[:3])
    scores, _ = scored(specialists, features)
    right = (scores > 0.0) == (returns > 0.0)[..., None]
    for k in range(3):
        of_regime = right[probabilities[..., k] == 1.0].mean(axis=0)
        assert of_regime[k] > 0.7
        assert of_regime[k] > np.delete(of_regime, k).max() + 0.1


def test_fit_when_an_earlier_bar_tells_then_attention_finds_it() -> None:
    """A rule that only the bar three bars ago knows is learnt, and the attention points there."""
    rng = np.random.default_rng(43)
    features = rng.normal(size=(N_BARS, N_SYMBOLS, N_FEATURES))
    returns = np.full(features.shape[:2], np.nan)
    returns[3:] = np.sign(features[:-3, :, NAMES.index("rsi_7")])
    given = Lessons(
        features, returns, np.full((*returns.shape, 3), 1 / 3), np.ones(returns.shape, np.bool_)
    )
    fast = replace(SMALL, learning_rate=1e-2)
    fitted = fitting.fit(given, split=SPLIT, seed=5, progress=ignore, settings=fast)
    scores, attention = scored(fitted, features[SPLIT.held_back])
    right = (scores > 0.0) == (returns[SPLIT.held_back] > 0.0)[..., None]
    assert right[LENGTH_BARS:].mean() > 0.8
    by_lag = attention[LENGTH_BARS:].mean(axis=(0, 1, 2))
    assert by_lag.argmax() == LENGTH_BARS - 1 - 3


def test_fit_when_repeated_then_gives_the_same_bytes(lessons: Lessons) -> None:
    """The same seed and data give the same networks, whatever was drawn before."""
    once = fitting.fit(lessons, split=SPLIT, seed=5, progress=ignore, settings=LARGE)
    torch.rand(3)
    again = fitting.fit(lessons, split=SPLIT, seed=5, progress=ignore, settings=LARGE)
    assert as_bytes(again) == as_bytes(once)


def test_fit_when_other_stretches_change_then_gives_the_same_bytes(lessons: Lessons) -> None:
    """Nothing is learnt from held-back bars, and no label from the gaps before them."""
    once = fitting.fit(lessons, split=SPLIT, seed=5, progress=ignore, settings=LARGE)
    changed = Lessons(*(array.copy() for array in lessons))
    for array in changed[:3]:
        array[SPLIT.validation.stop :] = 0.25
    changed.next_returns[SPLIT.training.stop : SPLIT.validation.start] = 0.25
    changed.probabilities[SPLIT.training.stop : SPLIT.validation.start] = 0.25
    again = fitting.fit(changed, split=SPLIT, seed=5, progress=ignore, settings=LARGE)
    assert as_bytes(again) == as_bytes(once)


def test_prepare_when_a_window_crosses_the_seam_then_reaches_no_bar_of_the_other_stretch(
    lessons: Lessons,
) -> None:
    """The last return in a window is the label of the bar before: none of them is trained on."""
    assert LENGTH_BARS <= LABEL_BARS + EMBARGO_BARS
    marked = Lessons(*(array.copy() for array in lessons))
    marked.features[SPLIT.training, :, window.COLUMNS[0]] = 9.0
    prepared = fitting.prepare(marked, SPLIT)
    past, _ = prepared.validation.windows(prepared.past)
    bars, ends = window.unrolled(marked.features, marked.present)
    first = prepared.validation.ends.min().item()
    assert ends[SPLIT.validation.start].min() == first
    assert (bars[first - LENGTH_BARS + 1 : first + 1, 0] < 9.0).all()
    assert len(past) == (SPLIT.validation.stop - SPLIT.validation.start) * N_SYMBOLS


def test_prepare_when_windows_are_cut_then_are_those_of_the_serving_fold(
    lessons: Lessons,
) -> None:
    """Training looks back on the very bars that serving will, gaps and warm-up included."""
    rng = np.random.default_rng(44)
    gaps = lessons._replace(present=rng.random(lessons.present.shape) < 0.7)
    prepared = fitting.prepare(gaps, SPLIT)
    past, seen = (tensor.numpy() for tensor in prepared.training.windows(prepared.past))
    state, expected = window.initial_state(N_SYMBOLS), []
    for bar in range(SPLIT.training.stop):
        rows = np.flatnonzero(gaps.present[bar])
        state, windows = window.step(state, rows, gaps.features[bar, rows])
        if bar >= SPLIT.training.start:
            expected.append(windows)
    raw = np.concatenate(expected)
    known = np.isfinite(raw).all(axis=2)
    at = window.COLUMNS
    scaled = serving.standardised(raw, prepared.mean[at], prepared.scale[at], DEFAULTS.clip)
    np.testing.assert_array_equal(seen, known)
    np.testing.assert_array_equal(past, np.where(known[..., None], scaled, 0.0))


def test_fit_when_a_column_is_constant_then_scores_stay_finite(lessons: Lessons) -> None:
    """A feature that never moves in training has no scale and is left unscaled."""
    still = lessons.features.copy()
    still[20:, :, 3] = 0.1
    fitted = fitting.fit(
        lessons._replace(features=still), split=SPLIT, seed=5, progress=ignore, settings=LARGE
    )
    assert fitted.scale[3] == 1.0
    assert np.isfinite(scored(fitted, still[-3:])[0]).all()


def test_fit_when_reporting_then_every_specialist_ends_at_one(lessons: Lessons) -> None:
    """Progress rises to one for bull, bear and sideways in turn."""
    reports: list[tuple[str, float]] = []
    fitting.fit(
        lessons,
        split=SPLIT,
        seed=5,
        settings=LARGE,
        progress=lambda name, share: reports.append((name, share)),
    )
    names = list(dict.fromkeys(name for name, _ in reports))
    assert names == ["bull", "bear", "sideways"]
    for name in names:
        shares = [share for reported, share in reports if reported == name]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


def test_fit_when_no_row_is_complete_then_refuses(lessons: Lessons) -> None:
    """Validation bars without features cannot stop the training."""
    parts = Split(slice(20, 600), slice(0, 20), slice(700, 800))
    with pytest.raises(HistoryTooShort, match="validation"):
        fitting.fit(lessons, split=parts, seed=5, progress=ignore)


def test_fit_when_a_feature_is_infinite_then_names_its_place(lessons: Lessons) -> None:
    """One infinity would make the scale of its column infinite, and the column useless."""
    features = lessons.features.copy()
    features[300, 1, 7] = np.inf
    with pytest.raises(NotFinite, match="feature 7 of bar 300, symbol 1"):
        fitting.fit(lessons._replace(features=features), split=SPLIT, seed=5, progress=ignore)


def test_fit_when_a_regime_is_unknown_then_refuses(lessons: Lessons) -> None:
    """A NaN among the weights of the rows would make every weight of a network NaN."""
    probabilities = lessons.probabilities.copy()
    probabilities[300, 1] = np.nan
    with pytest.raises(NotFinite, match="training stretch has no regime probabilities"):
        fitting.fit(
            lessons._replace(probabilities=probabilities), split=SPLIT, seed=5, progress=ignore
        )


def test_fit_when_all_features_are_constant_then_refuses(lessons: Lessons) -> None:
    """Prices that stand still teach nothing, and say so."""
    features = np.full(lessons.features.shape, 0.5)
    with pytest.raises(NotFitted, match="all 60 features are constant over"):
        fitting.fit(lessons._replace(features=features), split=SPLIT, seed=5, progress=ignore)


def test_fit_when_no_price_moves_then_refuses(lessons: Lessons) -> None:
    """Labels that are all one half have nothing to tell apart."""
    returns = np.zeros(lessons.next_returns.shape)
    with pytest.raises(NotFitted, match="of the training stretch moves to another price"):
        fitting.fit(lessons._replace(next_returns=returns), split=SPLIT, seed=5, progress=ignore)


@pytest.mark.parametrize("name", ["next_returns", "probabilities", "present"])
def test_fit_when_arrays_do_not_belong_together_then_names_the_wrong_one(
    lessons: Lessons, name: str
) -> None:
    """One bar less in one of them would pair every row with its neighbour's label."""
    wrong = lessons._replace(**{name: getattr(lessons, name)[1:]})
    with pytest.raises(ShapeError, match=f"{name} must be"):
        fitting.fit(wrong, split=SPLIT, seed=5, progress=ignore)


def test_reproducible_when_left_then_torch_is_as_before() -> None:
    """Threads, strictness and random numbers of the caller are restored, even after an error."""
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    state = torch.get_rng_state()

    def fail() -> None:
        with fitting.reproducible(3):
            torch.rand(2)
            raise RuntimeError("planned")

    with pytest.raises(RuntimeError, match="planned"):
        fail()
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
    assert torch.equal(torch.get_rng_state(), state)
