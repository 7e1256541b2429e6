"""The choice between options and Hedge: its rule, its books, and what it leaves alone."""

import json

import numpy as np
import pytest

from models.errors import HistoryTooShort
from models.weights import choice
from models.weights.choice import Past
from models.weights.controller import HEDGE, OPTIONS
from models.weights.policy_gradient import Settings

TRAINING, VALIDATION = slice(0, 800), slice(820, 1200)
SETTINGS = Settings(updates=40, episode_bars=100)


def past(seed: int, drift_late: float = 0.004) -> Past:
    """Let a visible regime decide whether the first specialist earns; late, by another drift."""
    draw = np.random.default_rng(seed)
    n_bars, n_symbols = 1201, 8
    sign = np.repeat(draw.choice([-1.0, 1.0], (25, n_symbols)), 50, axis=0)[:n_bars]
    drift = np.where(np.arange(n_bars) < 800, 0.004, drift_late)[:, None]
    following = drift * sign + 0.005 * draw.normal(size=sign.shape)
    close = 100.0 * np.cumprod(np.vstack([np.ones(n_symbols), 1.0 + following[:-1]]), axis=0)
    following[-1] = np.nan
    up = 0.5 + 0.45 * sign
    regime = np.stack([up, 1.0 - up, np.zeros(sign.shape), np.full(sign.shape, 0.3)], axis=2)
    scores = np.broadcast_to([0.5, -0.5, 0.0], (n_bars, n_symbols, 3)).copy()
    positions = np.zeros(scores.shape)
    positions[..., 0] = 1.0
    return Past(regime, scores, close, positions, following)


def test_fit_when_the_edge_lasts_then_options_serve() -> None:
    """The learned policy is better on later bars, and says by how much."""
    found = choice.fit(past(95), TRAINING, VALIDATION, seed=1, settings=SETTINGS)
    assert found.model.policy == OPTIONS
    assert found.report["policy"] == "options"
    assert found.report["validation"]["interval"][0] > 0.0
    assert found.report["validation"]["n_bars"] == 380
    assert found.report["training"]["episodes"] == len(found.episodes) == 320


def test_fit_when_the_edge_turns_round_then_hedge_serves() -> None:
    """What was learned loses for certain: Hedge takes over, the options stay in the model."""
    found = choice.fit(past(96, drift_late=-0.004), TRAINING, VALIDATION, seed=1, settings=SETTINGS)
    assert found.model.policy == HEDGE
    assert found.report["policy"] == "hedge"
    assert found.report["validation"]["interval"][1] < 0.0
    assert found.model.selection.any()


def test_fit_when_validation_has_no_bar_then_is_a_tie() -> None:
    """Without evidence against them the options serve, and the report has no number."""
    given = past(97)
    given.next_returns[VALIDATION] = np.nan
    found = choice.fit(given, TRAINING, VALIDATION, seed=1, settings=SETTINGS)
    assert found.report["policy"] == "options"
    assert found.report["validation"] == {"difference": None, "interval": None, "n_bars": 0}


def test_fit_when_later_bars_differ_then_the_coefficients_do_not() -> None:
    """Nothing is learned outside the training stretch."""
    first = choice.fit(past(98), TRAINING, VALIDATION, seed=1, settings=SETTINGS)
    given = past(98)
    given.close[810:] *= 1.1
    given.next_returns[810:] *= -1.0
    second = choice.fit(given, TRAINING, VALIDATION, seed=1, settings=SETTINGS)
    assert first.model.selection.tobytes() == second.model.selection.tobytes()
    assert first.model.termination.tobytes() == second.model.termination.tobytes()


def test_fit_when_done_then_the_report_is_json() -> None:
    """It goes into the metadata of the model set."""
    report = choice.fit(past(99), TRAINING, VALIDATION, seed=1, settings=SETTINGS).report
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_fit_when_no_specialist_ever_scores_then_refuses() -> None:
    """Without scores there is nobody to choose from."""
    given = past(94)
    given.scores[:] = np.nan
    with pytest.raises(HistoryTooShort, match="was 0"):
        choice.fit(given, TRAINING, VALIDATION, seed=1, settings=SETTINGS)


def test_net_returns_when_computed_by_hand_then_agree() -> None:
    """0.5 held earns 2 %; then 0.25 more is bought at 1 %, and 0.75 loses 4 %."""
    given = Past(
        np.zeros((3, 1, 4)),
        np.zeros((3, 1, 3)),
        np.ones((3, 1)),
        np.tile([1.0, 0.5, 0.0], (3, 1, 1)),
        np.array([[0.02], [-0.04], [np.nan]]),
    )
    weights = np.array([[[0.0, 1.0, 0.0]], [[0.5, 0.5, 0.0]], [[0.0, 0.0, 1.0]]])
    found = choice.net_returns(given, weights, 0.01)[:, 0]
    np.testing.assert_allclose(found, [0.01, -0.0325, np.nan])
