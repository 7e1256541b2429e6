"""The catalogue declares 60 features, and each declaration is true of its column."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest

from models.features.bars import Bars
from models.features.catalogue import (
    CATALOGUE,
    NAMES,
    PIPELINE_VERSION,
    WARMUP_BARS,
    Feature,
    pipeline_digest,
)
from models.features.pipeline import fold
from tests.unit.models.features.conftest import Floats, random_walk


def test_catalogue_when_counted_then_has_sixty_names_in_six_families() -> None:
    """Columns are addressed by name, so names are unique; families stand together."""
    assert len(CATALOGUE) == len(set(NAMES)) == 60
    families = [feature.family for feature in CATALOGUE]
    assert list(dict.fromkeys(families)) == [
        "returns",
        "trend",
        "momentum",
        "volatility",
        "volume",
        "distribution",
    ]
    assert sum(a != b for a, b in pairwise(families)) == 5


def test_catalogue_when_the_regime_model_asks_then_has_its_four_inputs() -> None:
    """These names are fixed: the regime model reads them."""
    assert {"return_21", "volatility_21", "drawdown_63", "return_63"} <= set(NAMES)


def test_warmup_when_all_features_are_waited_for_then_is_253_bars() -> None:
    """A 252-bar return needs 253 closes; nothing looks back further."""
    assert WARMUP_BARS == 253
    assert max(feature.lookback_bars for feature in CATALOGUE) == 252


def test_warmup_when_a_walk_is_folded_then_each_column_begins_at_its_declared_bar(
    features: Floats,
) -> None:
    """NaN before, finite ever after: one bar early or late would be a false declaration."""
    begun = np.isfinite(features[:, 0])
    declared = np.array([feature.warmup_bars for feature in CATALOGUE])
    expected = np.arange(1, len(begun) + 1)[:, None] >= declared
    np.testing.assert_array_equal(begun, expected)


@pytest.mark.parametrize("field", [field.name for field in fields(Feature)])
def test_digest_when_any_declaration_changes_then_changes(field: str) -> None:
    """Column order, version and every field of a feature are part of the digest."""
    changed = {"inputs": ("open",), "lookback_bars": 7, "warmup_bars": 7}.get(field, "other")
    edited = (*CATALOGUE[:-1], replace(CATALOGUE[-1], **{field: changed}))
    assert pipeline_digest(edited) != pipeline_digest()
    assert pipeline_digest(version=PIPELINE_VERSION + "1") != pipeline_digest()
    assert len(bytes.fromhex(pipeline_digest())) == 32


@pytest.mark.parametrize("field", Bars._fields)
def test_inputs_when_one_column_of_the_bars_changes_then_only_declared_features_do(
    field: str,
) -> None:
    """A feature moves with a column if, and only if, it declares it as an input."""
    walk = random_walk(280, 1, seed=8)
    draw = np.random.default_rng(9)
    jump = np.exp(draw.normal(0.0, 0.03, walk.close.shape))
    gapped = Bars(*(column * jump for column in walk))._replace(volume=walk.volume)
    wide = gapped._replace(high=gapped.high * 1.01, low=gapped.low / 1.01)
    nudge = np.exp(draw.uniform(-0.009, 0.009, walk.close.shape))
    nudged = wide._replace(**{field: getattr(wide, field) * nudge})
    moved = set(np.array(NAMES)[fold(nudged)[-1, 0] != fold(wide)[-1, 0]])
    declared = {feature.name for feature in CATALOGUE if field in feature.inputs}
    assert moved <= declared
    # What only counts or compares bars may stay when prices move.
    assert declared - moved <= {"aroon_up_14", "aroon_down_14", "up_share_21", "obv_score_21"}


def test_columns_when_computed_on_noise_then_none_is_a_combination_of_others() -> None:
    """Sixty columns carry sixty features: no close copy, no exact sum or difference of others."""
    matrix = fold(random_walk(2_000, 1, seed=10))[WARMUP_BARS:, 0]
    standardised = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
    smallest = np.linalg.svd(standardised, compute_uv=False)[-1] / np.sqrt(len(matrix))
    assert smallest > 1e-3
