"""Regimes that succeed earlier ones: names carried, refused, or begun anew, and always said."""

import json

import numpy as np
import pytest

from models.errors import NotFitted
from models.regime.mixture import ROWS_PER_COMPONENT
from models.regime.posterior import RegimeModel
from models.regime.succession import (
    CARRIED,
    COLD,
    REFUSED,
    Bars,
    Predecessor,
    shared_rows,
    succeed,
)
from tests.unit.models.regime.planted import mixture_at

# return_21, volatility_21, return_63, drawdown_63: bull, bear, sideways.
CENTRES = np.array(
    [[0.06, 0.010, 0.12, -0.01], [-0.08, 0.030, -0.20, -0.25], [0.00, 0.010, 0.00, -0.05]]
)

N_BARS, SYMBOLS = 400, ("AAA", "BBB")
DIGEST = "d" * 64


def model_of(order: list[int], names: list[int], centres: np.ndarray = CENTRES) -> RegimeModel:
    """Build a mixture with a component at each centre, numbered and named as told."""
    return mixture_at(centres[order], names)


OLD = model_of([0, 1, 2], [0, 1, 2])
PREVIOUS = Predecessor(DIGEST, OLD, SYMBOLS, 0, 299)


@pytest.fixture(scope="module")
def bars() -> Bars:
    """Draw bars near the centres; a bar closes every nanosecond, and two features are not used."""
    draw = np.random.default_rng(61)
    features = np.zeros((N_BARS, len(SYMBOLS), 6))
    features[..., :4] = CENTRES[draw.integers(0, 3, (N_BARS, len(SYMBOLS)))]
    features[..., :4] += draw.normal(0.0, 0.001, (N_BARS, len(SYMBOLS), 4))
    return Bars(SYMBOLS, np.arange(N_BARS), features)


def test_succeed_when_a_refit_swapped_the_names_then_the_old_ones_are_carried(bars: Bars) -> None:
    """The refit numbers its components anew and calls bull what was bear: names come back."""
    swapped = model_of([1, 2, 0], [0, 2, 1])
    found = succeed(PREVIOUS, bars, lambda start: swapped if start is OLD else OLD)
    np.testing.assert_array_equal(found.model.means, swapped.means)
    np.testing.assert_array_equal(found.model.component_regime, np.eye(3)[[1, 2, 0]])
    assert (found.outcome, found.agreement_fraction, found.n_shared_rows) == (CARRIED, 1.0, 600)
    assert found.record()["last_close_ns"] == N_BARS - 1


def test_succeed_when_a_refit_cannot_be_aligned_then_the_old_model_goes_on(bars: Bars) -> None:
    """A third of the rows changes its name: the earlier model stays, with the bars of its own."""
    moved = CENTRES.copy()
    moved[1] = CENTRES[0] + 0.0005
    found = succeed(PREVIOUS, bars, lambda _: model_of([0, 1, 2], [0, 1, 2], moved))
    assert found.model is OLD
    assert found.outcome == REFUSED
    assert found.agreement_fraction is not None
    assert found.agreement_fraction < 0.85
    assert "refused" in found.why
    assert (found.symbols, found.first_close_ns, found.last_close_ns) == (SYMBOLS, 0, 299)


def test_succeed_when_a_refit_cannot_even_start_then_the_old_model_goes_on(bars: Bars) -> None:
    """Another number of components is found before anything can agree."""

    def refit(_: RegimeModel | None) -> RegimeModel:
        raise NotFitted("a warm start needs 8 components, the previous model has 3")

    found = succeed(PREVIOUS, bars, refit)
    assert (found.model, found.outcome, found.agreement_fraction) == (OLD, REFUSED, None)
    assert "needs 8 components" in found.why


def test_succeed_when_too_little_is_shared_then_begins_anew_and_says_so(bars: Bars) -> None:
    """Another market has no names yet: one row less than components need is too few."""
    needed = ROWS_PER_COMPONENT * 3
    short = PREVIOUS._replace(symbols=("AAA",), last_close_ns=needed - 2)
    starts: list[RegimeModel | None] = []

    def refit(start: RegimeModel | None) -> RegimeModel:
        starts.append(start)
        return OLD

    found = succeed(short, bars, refit)
    assert (found.outcome, starts) == (COLD, [None])
    assert f"shares {needed - 1} rows with {DIGEST[:12]}, expected {needed}" in found.why
    enough = short._replace(last_close_ns=needed - 1)
    assert succeed(enough, bars, refit).outcome == CARRIED


def test_succeed_when_there_is_no_predecessor_then_is_fitted_from_scratch(bars: Bars) -> None:
    """The record is plain JSON and says from which bars the regimes come."""
    found = succeed(None, bars, lambda start: OLD if start is None else model_of([0], [0]))
    assert found.outcome == COLD
    record = json.loads(json.dumps(found.record()))
    assert Predecessor.of(DIGEST, OLD, record) == Predecessor(DIGEST, OLD, SYMBOLS, 0, N_BARS - 1)


def test_shared_rows_when_symbols_and_times_differ_then_only_common_bars_count(bars: Bars) -> None:
    """Bars 100 to 299 of BBB, less one that was warming up."""
    features = bars.features.copy()
    features[150, 1, 2] = np.nan
    other = Predecessor(DIGEST, OLD, ("BBB", "CCC"), 100, 299)
    rows = shared_rows(other, bars._replace(features=features))
    expected = np.delete(features[100:300, 1, :4], 50, axis=0)
    np.testing.assert_array_equal(rows, expected)
