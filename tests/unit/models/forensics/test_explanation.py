"""Explanations of the served ensemble: the same numbers as serving, and they add up."""

import numpy as np
import pytest
import shap

from models.arrays import Floats
from models.errors import ShapeError
from models.features.catalogue import CATALOGUE, NAMES
from models.forensics.explanation import FAMILIES, INPUTS, Explained, explain, orders_of
from models.prediction.ensemble import predict
from models.specialists.serving import attend
from models.specialists.window import ATTENDED, COLUMNS, LENGTH_BARS
from tests.builders import models

MODELS = models(3)._replace(
    ensemble=models(3).ensemble._replace(slope=0.7, intercept=-0.2),
)
WEIGHTS = np.array([0.5, 0.2, 0.3])


def row(seed: int, n_seen: int = LENGTH_BARS) -> tuple[Floats, Floats]:
    """Draw a row and its window, of which the oldest bars were not seen."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=len(NAMES))
    window = draw.normal(size=(LENGTH_BARS, len(ATTENDED)))
    window[-1] = features[COLUMNS]
    window[: LENGTH_BARS - n_seen] = np.nan
    return features, window


def explained(seed: int, n_orders: int = 0, n_seen: int = LENGTH_BARS) -> Explained:
    """Explain a drawn row."""
    orders = orders_of(seed, n_orders) if n_orders else None
    return explain(MODELS, *row(seed, n_seen), WEIGHTS, orders)


@pytest.mark.parametrize("n_seen", [1, 5, 16])
def test_explain_when_compared_with_serving_then_says_the_same(n_seen: int) -> None:
    """Probability, scores and attention are those that the chain computes, bit for bit."""
    features, window = row(1, n_seen)
    told = explained(1, n_seen=n_seen)
    scores, attention = attend(MODELS.specialists, features[None], window[None])
    _, up, _ = predict(MODELS.ensemble, np.abs(features)[None], scores, WEIGHTS[None])
    assert told.probability_up == up[0]
    assert np.array_equal(told.scores, scores[0])
    assert np.array_equal(told.attention, attention[0])
    assert told.attention.sum(axis=1) == pytest.approx([1.0] * 3)
    assert told.shares.sum() + MODELS.ensemble.intercept == pytest.approx(told.logit, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_explain_when_summed_then_adds_up_to_the_log_odds(seed: int) -> None:
    """Families and single inputs: from the same base to the same total."""
    told = explained(seed, n_orders=2)
    assert told.families.total == pytest.approx(told.logit, abs=1e-12)
    assert abs(told.residual) < 1e-9
    assert told.inputs is not None
    assert told.inputs.base == pytest.approx(told.families.base, abs=1e-12)
    assert abs(told.inputs.residual(told.logit)) < 1e-9


def test_explain_when_compared_with_shap_on_the_same_families_then_is_equal() -> None:
    """Shap's exact explainer asks the served networks itself, with the mean as background."""
    features, window = row(2)
    mean = MODELS.specialists.mean
    family = np.array([FAMILIES.index(each.family) for each in CATALOGUE])

    def ask(switches: Floats) -> Floats:
        said = []
        for switch in switches > 0.5:
            mixed = np.where(switch[family], features, mean)
            past = window.copy()
            past[:-1] = window[:-1] if switch[-1] else mean[COLUMNS]
            past[-1] = mixed[COLUMNS]
            scores, _ = attend(MODELS.specialists, mixed[None], past[None])
            said.append(0.7 * float(scores[0] @ WEIGHTS) - 0.2)
        return np.array(said)

    n_players = len(FAMILIES)
    explainer = shap.explainers.Exact(ask, shap.maskers.Independent(np.zeros((1, n_players))))
    theirs = explainer(np.ones((1, n_players))).values[0]
    assert explained(2).families.parts == pytest.approx(theirs, abs=1e-9)


def test_explain_when_the_networks_ignore_an_input_then_it_gets_nothing() -> None:
    """Without ways from the window to the foot, past bars add nothing; volume likewise."""
    weights = MODELS.specialists.weights_1.copy()
    weights[:, len(NAMES) :] = 0.0
    volume = [at for at, each in enumerate(CATALOGUE) if each.family == "volume"]
    weights[:, volume] = 0.0
    deaf = MODELS._replace(specialists=MODELS.specialists._replace(weights_1=weights))
    told = explain(deaf, *row(3), WEIGHTS, orders_of(1, 2))
    parts = dict(zip(FAMILIES, told.families.parts.tolist(), strict=True))
    assert parts["past_bars"] == pytest.approx(0.0, abs=1e-12)
    assert parts["volume"] == pytest.approx(0.0, abs=1e-12)
    assert told.inputs is not None
    assert told.inputs.parts[[*volume, -1]] == pytest.approx(0.0, abs=1e-12)
    assert len(told.inputs.parts) == len(INPUTS) == 61


def test_explain_when_the_row_is_the_mean_then_only_the_past_counts() -> None:
    """A row like the background has nothing that sets it apart."""
    _, window = row(4)
    mean = MODELS.specialists.mean
    window[-1] = mean[COLUMNS]
    told = explain(MODELS, mean, window, WEIGHTS)
    assert told.families.parts[:-1] == pytest.approx([0.0] * 6, abs=1e-12)
    assert told.families.parts[-1] == pytest.approx(told.logit - told.families.base, abs=1e-9)


def test_explain_when_a_specialist_has_no_weight_then_has_no_share() -> None:
    """Weight zero silences a specialist."""
    told = explain(MODELS, *row(5), np.array([1.0, 0.0, 0.0]))
    assert told.shares[1:].tolist() == [0.0, 0.0]


def test_explain_when_the_arrays_do_not_fit_then_refuses() -> None:
    """Wrong shapes, and features that warm up."""
    features, window = row(6)
    with pytest.raises(ShapeError, match="must be"):
        explain(MODELS, features[:-1], window, WEIGHTS)
    features[3] = np.nan
    with pytest.raises(ShapeError, match="finite"):
        explain(MODELS, features, window, WEIGHTS)
