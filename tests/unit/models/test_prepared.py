"""A prepared history: its features are those of the pipeline."""

import numpy as np

from models.features import pipeline
from models.history import BarHistory
from models.prepared import prepare


def test_prepare_when_a_symbol_lists_late_then_has_the_pipelines_bits() -> None:
    """One computation serves every fit, so it must be the one that serves live."""
    draw = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(draw.normal(0, 0.01, (40, 2)), axis=0))
    close[:10, 1] = np.nan
    volume = np.where(np.isnan(close), np.nan, 1.0)
    history = BarHistory(("A", "B"), np.arange(40), close, close, close, close, volume, close)
    expected = pipeline.fold(pipeline.Bars(*history[2:]))
    assert prepare(history).features.tobytes() == expected.tobytes()
