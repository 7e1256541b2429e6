"""Training with torch and the hand-over to numpy."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from models.errors import HistoryTooShort
from models.specialists import network, serving
from models.specialists.serving import Specialists
from models.specialists.split import Split, split

N_BARS, N_SYMBOLS, N_FEATURES = 1200, 3, 6
SPLIT = split(20, N_BARS)


def ignore(_stage: str, _share: float) -> None:
    """Take a progress report and do nothing."""


@pytest.fixture(scope="module", autouse=True)
def small_batches() -> Iterator[None]:
    """Take more steps per pass, so that few rows suffice to learn a planted rule."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "BATCH_ROWS", 32)
        yield


@pytest.fixture(scope="module")
def material() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Plant one rule per regime: in the k-th regime the k-th feature tells the next direction."""
    rng = np.random.default_rng(41)
    features = rng.normal(size=(N_BARS, N_SYMBOLS, N_FEATURES)) * 0.01 + 0.5
    features[:20] = np.nan
    regimes = rng.integers(0, 3, size=(N_BARS, N_SYMBOLS))
    teller = np.take_along_axis(features, regimes[..., None], axis=2)[..., 0] - 0.5
    returns = np.where(rng.random(teller.shape) < 0.9, np.sign(teller), -np.sign(teller)) * 0.01
    returns[-1] = np.nan
    return features, returns, np.eye(3)[regimes]


@pytest.fixture(scope="module")
def specialists(material: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Specialists:
    """Train on the planted rules."""
    return network.fit(*material, split=SPLIT, seed=5, progress=ignore)


def test_fit_when_each_regime_has_a_rule_then_each_specialist_learns_its_own(
    specialists: Specialists, material: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    """On held-back bars of its regime a specialist is right far more often than the others."""
    features, returns, probabilities = (array[SPLIT.held_back] for array in material)
    scores = serving.score(specialists, features.reshape(-1, N_FEATURES)).reshape(-1, N_SYMBOLS, 3)
    right = (scores > 0.0) == (returns > 0.0)[..., None]
    for k in range(3):
        of_regime = right[probabilities[..., k] == 1.0].mean(axis=0)
        assert of_regime[k] > 0.75
        assert of_regime[k] > np.delete(of_regime, k).max() + 0.15


def test_fit_when_repeated_then_gives_the_same_bytes(
    specialists: Specialists, material: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    """The same seed and data give the same networks, whatever was drawn before."""
    torch.rand(3)
    again = network.fit(*material, split=SPLIT, seed=5, progress=ignore)
    for first, second in zip(specialists, again, strict=True):
        assert np.asarray(first).tobytes() == np.asarray(second).tobytes()


def test_fit_when_held_back_bars_change_then_gives_the_same_bytes(
    specialists: Specialists, material: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    """Nothing is learnt from held-back bars, the embargo included."""
    features, returns, probabilities = (array.copy() for array in material)
    for array in (features, returns, probabilities):
        array[SPLIT.validation.stop :] = 0.25
        array[SPLIT.training.stop : SPLIT.validation.start] = 0.25
    again = network.fit(features, returns, probabilities, split=SPLIT, seed=5, progress=ignore)
    assert again.weights_1.tobytes() == specialists.weights_1.tobytes()
    assert again.mean.tobytes() == specialists.mean.tobytes()


def test_exported_when_scored_then_equals_the_torch_forward_pass(
    specialists: Specialists, material: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    """Serving in numpy and the rebuilt torch networks agree to 1e-6, in fact to rounding."""
    rows = material[0][20:].reshape(-1, N_FEATURES)
    inputs = torch.from_numpy(
        serving.standardised(rows, specialists.mean, specialists.scale, specialists.clip)
    )
    with torch.no_grad():
        expected = [network.imported(specialists, k)(inputs).numpy() for k in range(3)]
    np.testing.assert_allclose(
        serving.score(specialists, rows), np.stack(expected, axis=1), atol=1e-12
    )


def test_fit_when_a_column_is_constant_then_scores_stay_finite(
    material: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """A feature that never moves in training has no scale and is left unscaled."""
    features, returns, probabilities = material
    still = features.copy()
    still[20:, :, 3] = 0.1
    fitted = network.fit(still, returns, probabilities, split=SPLIT, seed=5, progress=ignore)
    assert fitted.scale[3] == 1.0
    assert np.isfinite(serving.score(fitted, still[-1])).all()


def test_fit_when_reporting_then_every_specialist_ends_at_one(
    material: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Progress rises to one for bull, bear and sideways in turn."""
    reports: list[tuple[str, float]] = []
    network.fit(
        *material, split=SPLIT, seed=5, progress=lambda name, share: reports.append((name, share))
    )
    names = list(dict.fromkeys(name for name, _ in reports))
    assert names == ["bull", "bear", "sideways"]
    for name in names:
        shares = [share for reported, share in reports if reported == name]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


def test_fit_when_no_row_is_complete_then_refuses(
    material: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Validation bars without features cannot stop the training."""
    parts = Split(slice(20, 600), slice(0, 20), slice(700, 800))
    with pytest.raises(HistoryTooShort, match="validation"):
        network.fit(*material, split=parts, seed=5, progress=ignore)


def test_reproducible_when_left_then_torch_is_as_before() -> None:
    """Threads, strictness and random numbers of the caller are restored, even after an error."""
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    state = torch.get_rng_state()

    def fail() -> None:
        with network.reproducible(3):
            torch.rand(2)
            raise RuntimeError("planned")

    with pytest.raises(RuntimeError, match="planned"):
        fail()
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
    assert torch.equal(torch.get_rng_state(), state)
