"""Names across refits: planted permutations, planted inversions, and what must be refused."""

import itertools
import re

import numpy as np
import pytest

from models.errors import LabelsUnaligned, NotFitted, ShapeError
from models.regime import alignment, mixture, posterior
from models.regime.posterior import RegimeModel
from tests.unit.models.regime.planted import mixture_at

# return_21, volatility_21, return_63, drawdown_63: two bulls, two bears, two sideways.
CENTRES = np.array(
    [
        [0.06, 0.010, 0.12, -0.01],
        [0.04, 0.008, 0.09, -0.02],
        [-0.08, 0.030, -0.20, -0.25],
        [-0.05, 0.020, -0.10, -0.15],
        [0.00, 0.010, 0.00, -0.05],
        [0.00, 0.015, 0.01, -0.07],
    ]
)

NAMES = np.array([0, 0, 1, 1, 2, 2])


@pytest.fixture(scope="module")
def overlap() -> np.ndarray:
    """Draw 1,200 rows near the centres."""
    draw = np.random.default_rng(31)
    return CENTRES[draw.integers(0, 6, 1200)] + draw.normal(0.0, 0.001, (1200, 4))


def model_of(order: np.ndarray, names: np.ndarray, centres: np.ndarray = CENTRES) -> RegimeModel:
    """Build a mixture with a component at each centre, numbered and named as told."""
    return mixture_at(centres[order], list(names))


PREVIOUS = model_of(np.arange(6), NAMES)


@pytest.mark.parametrize("order", list(itertools.permutations(range(6)))[::45], ids=str)
def test_align_when_components_are_permuted_then_their_names_come_back(
    order: tuple[int, ...], overlap: np.ndarray
) -> None:
    """However the fit numbers them and whatever it calls them, each component keeps its name."""
    permuted = np.array(order)
    fitted = model_of(permuted, np.roll(NAMES, 1)[permuted])
    aligned = alignment.align(PREVIOUS, fitted, overlap)
    np.testing.assert_array_equal(aligned.model.component_regime, np.eye(3)[NAMES[permuted]])
    assert aligned.agreement_fraction == 1.0
    np.testing.assert_allclose(
        posterior.posterior(aligned.model, overlap),
        posterior.posterior(PREVIOUS, overlap),
        atol=1e-12,
    )


def test_align_when_the_fit_sees_other_clusters_then_is_refused_with_the_figure() -> None:
    """A fit whose components cut across the old ones agrees too little, and says how much."""
    draw = np.random.default_rng(32)
    rows = CENTRES[draw.integers(0, 6, 600)] + draw.normal(0.0, 0.001, (600, 4))
    # Bulls and bears of the new fit share their places, so one of the names must be wrong.
    merged = CENTRES.copy()
    merged[2:4] = CENTRES[:2] + 0.0005
    fitted = model_of(np.arange(6), NAMES, merged)
    with pytest.raises(LabelsUnaligned, match=r"on 0\.\d{3} of 600 shared rows, needed 0\.85"):
        alignment.align(PREVIOUS, fitted, rows)


def test_align_when_the_threshold_is_met_exactly_then_is_accepted(overlap: np.ndarray) -> None:
    """The refused share is the one below, not the one at, the threshold."""
    fitted = model_of(np.arange(6), NAMES, CENTRES + np.linspace(0.06, 0.0, 6)[:, None])
    share = alignment.align(PREVIOUS, fitted, overlap, min_agreement=0.0).agreement_fraction
    assert 0.5 < share < 1.0
    alignment.align(PREVIOUS, fitted, overlap, min_agreement=share)
    with pytest.raises(LabelsUnaligned, match=re.escape(f"on {share:.3f}")):
        alignment.align(PREVIOUS, fitted, overlap, min_agreement=np.nextafter(share, 1.0))


def test_align_when_bull_and_bear_have_turned_round_then_is_refused(overlap: np.ndarray) -> None:
    """Names that agree with the last fit are still wrong if bull has come to mean falling."""
    inverted = model_of(np.arange(6), np.array([1, 1, 0, 0, 2, 2]))
    with pytest.raises(LabelsUnaligned, match="turned round"):
        alignment.align(inverted, inverted, overlap)


def test_align_when_the_fit_has_a_component_more_then_it_takes_its_neighbours_name(
    overlap: np.ndarray,
) -> None:
    """A component without a partner is called as most of its bars were called before."""
    centres = np.concatenate([CENTRES, CENTRES[2:3] + 0.0001])
    fitted = model_of(np.arange(7), np.zeros(7, np.int64), centres)
    aligned = alignment.align(PREVIOUS, fitted, overlap)
    assert aligned.model.component_regime.argmax(axis=1).tolist() == [*NAMES.tolist(), 1]


def test_align_when_the_fit_has_fewer_components_then_refuses(overlap: np.ndarray) -> None:
    """With a component gone a name could be gone."""
    with pytest.raises(NotFitted, match="6 components cannot be carried to 5"):
        alignment.align(PREVIOUS, model_of(np.arange(5), NAMES[:5]), overlap)


def test_align_when_nothing_overlaps_then_refuses() -> None:
    """Agreement on no row is no agreement."""
    with pytest.raises(ShapeError, match="was 0 rows"):
        alignment.align(PREVIOUS, PREVIOUS, np.empty((0, 4)))


@pytest.mark.parametrize("seed", range(5))
def test_assignment_when_small_then_equals_the_best_of_all_pairings(seed: int) -> None:
    """Against every permutation of five."""
    shared = np.random.default_rng(seed).random((5, 5))
    best = max(
        itertools.permutations(range(5)),
        key=lambda order: sum(shared[old, new] for new, old in enumerate(order)),
    )
    assert alignment.assignment(shared).tolist() == list(best)


def test_drift_by_name_when_components_are_weighted_then_is_their_weighted_mean() -> None:
    """Two bulls of weight 1/6 each: half the sum of (r21 / sqrt 21 + r63 / sqrt 63) / v."""
    first = (0.06 / np.sqrt(21) + 0.12 / np.sqrt(63)) / 0.010
    second = (0.04 / np.sqrt(21) + 0.09 / np.sqrt(63)) / 0.008
    assert alignment.drift_by_name(PREVIOUS)[0] == pytest.approx((first + second) / 2.0)


def test_agreement_when_a_tenth_is_named_otherwise_then_is_nine_tenths() -> None:
    """Nine rows at an equally named centre, one at a renamed one."""
    other = model_of(np.arange(6), np.array([0, 0, 1, 1, 2, 0]))
    rows = CENTRES[[0, 1, 2, 3, 4, 0, 1, 2, 3, 5]]
    assert alignment.agreement(PREVIOUS, other, rows) == 0.9


def test_fit_when_warm_on_the_same_rows_then_names_agree_and_refits_are_accepted(
    overlap: np.ndarray,
) -> None:
    """A refit of the same history is the same model under the same names."""
    features = overlap.reshape(400, 3, 4)
    cold = mixture.fit(features, columns=np.arange(4), seed=0)
    warm = mixture.fit(features, columns=np.arange(4), seed=0, previous=cold)
    assert alignment.align(cold, warm, overlap).agreement_fraction >= 0.99
