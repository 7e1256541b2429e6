"""Risk parity by formula, and its caps checked after the fact."""

import numpy as np
import pytest

from models.allocation import LEAST_BARS, MOST_BARS, risk_parity
from models.errors import HistoryTooShort, NotFinite

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")
SCALE = np.array([0.01, 0.02, 0.03, 0.01, 0.02])


def moves(n_bars: int = 300, seed: int = 4) -> np.ndarray:
    """Draw returns of five assets of different volatility."""
    return np.random.default_rng(seed).normal(size=(n_bars, 5)) * SCALE


def test_parity_when_there_are_two_then_weights_are_inverse_variances() -> None:
    """One split: each side gets the other's share of the variance."""
    returns = moves()[:, :2]
    inverse = 1 / returns.var(axis=0)
    found = risk_parity(("AAA", "BBB"), returns)
    np.testing.assert_allclose(list(found.weights.values()), inverse / inverse.sum(), rtol=1e-9)


def test_parity_when_any_then_sums_to_one_and_gives_less_to_what_moves_more() -> None:
    """The wildest of five independent assets gets least, and nothing is negative."""
    found = risk_parity(SYMBOLS, moves())
    assert sum(found.weights.values()) == pytest.approx(1.0, abs=1e-12)
    assert min(found.weights, key=lambda s: found.weights[s]) == "CCC"
    assert all(weight >= 0 for weight in found.weights.values())
    assert found == risk_parity(SYMBOLS, moves())
    assert risk_parity(("AAA",), moves()[:, :1]).weights == {"AAA": 1.0}


def test_parity_when_a_cap_can_be_kept_then_is_kept() -> None:
    """Five assets and a quarter each: none has more, and nothing is over."""
    found = risk_parity(SYMBOLS, moves(), max_asset=0.25)
    assert max(found.weights.values()) <= 0.25 + 1e-9
    assert found.over == ()


def test_parity_when_a_cap_cannot_be_kept_then_says_who_is_over() -> None:
    """Two assets cannot both stay below a quarter, nor one sector below a half."""
    found = risk_parity(
        ("AAA", "BBB"),
        moves()[:, :2],
        max_asset=0.25,
        sectors={"AAA": "x", "BBB": "x"},
        max_sector=0.5,
    )
    assert found.over == ("AAA", "x")
    inverse = 1 / moves()[:, :2].var(axis=0)
    assert found.weights["BBB"] == pytest.approx(inverse[1] / inverse.sum())


def test_parity_when_bars_are_missing_then_uses_the_others() -> None:
    """A bar without one of the symbols tells nothing; old bars are not used."""
    returns = moves(MOST_BARS)
    gaps = np.insert(returns, [3, 100], np.nan, axis=0)
    older = np.concatenate([moves(50, 9), returns])
    expected = risk_parity(SYMBOLS, returns)
    assert risk_parity(SYMBOLS, gaps) == expected == risk_parity(SYMBOLS, older)


def test_parity_when_the_history_cannot_tell_then_is_refused() -> None:
    """Too few bars, and an asset that never moved."""
    with pytest.raises(HistoryTooShort, match="59 bars"):
        risk_parity(SYMBOLS, moves(LEAST_BARS - 1))
    frozen = moves()
    frozen[:, 1] = 0.0
    with pytest.raises(NotFinite, match="BBB never moved"):
        risk_parity(SYMBOLS, frozen)
