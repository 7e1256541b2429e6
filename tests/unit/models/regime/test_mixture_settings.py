"""The settings name features that exist."""

from models.features.catalogue import NAMES
from models.regime.mixture_settings import FEATURES


def test_features_when_named_then_the_pipeline_has_them() -> None:
    """A column that nobody computes would be found at the first fit only."""
    assert set(FEATURES) <= set(NAMES)
