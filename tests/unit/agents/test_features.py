"""The features stage: the pipeline's own numbers, in one column."""

from pathlib import Path

import numpy as np
import pytest

from agents.features import FEATURES
from models.features.bars import Bars
from models.features.catalogue import NAMES
from models.features.pipeline import fold
from streams.errors import RecordError
from streams.slices import Slice
from tests.builders import bars, epoch, epochs_in, meta

SYMBOLS = ("AAA", "BBB")


def test_step_when_bars_come_then_gives_what_training_would(tmp_path: Path) -> None:
    """Forty bars through the stage are the forty bars of a whole tape, bit for bit."""
    epochs, (digest,) = epochs_in(tmp_path, epoch(SYMBOLS))
    models = epochs.load(digest).models
    closes = np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.01, (40, 2)), axis=0))
    expected = fold(Bars(*[closes] * 4, np.full((40, 2), 100.0), closes))
    state = FEATURES.initial(2)
    for minute, row in enumerate(closes.tolist(), start=1):
        slice_ = bars(meta(minute), dict(zip(SYMBOLS, row, strict=True)), SYMBOLS)
        state, columns = FEATURES.step(models, state, slice_)
        assert columns["features"].tobytes() == expected[minute - 1].tobytes()
    assert np.isfinite(columns["features"]).any()


def test_step_when_nothing_traded_then_gives_no_rows(tmp_path: Path) -> None:
    """A bar without rows has the column, without rows."""
    epochs, (digest,) = epochs_in(tmp_path, epoch(SYMBOLS))
    empty = bars(meta(), {}, SYMBOLS)
    _, columns = FEATURES.step(epochs.load(digest).models, FEATURES.initial(2), empty)
    assert columns["features"].shape == (0, len(NAMES))


def test_step_when_a_column_is_missing_then_says_so(tmp_path: Path) -> None:
    """A foreign slice without volume is a bad record."""
    epochs, (digest,) = epochs_in(tmp_path, epoch(SYMBOLS))
    fresh = bars(meta(), {"AAA": 1.0}, SYMBOLS)
    short = Slice(fresh.meta, fresh.batch.drop_columns(["volume"]))
    with pytest.raises(RecordError, match="MISSING_COLUMN"):
        FEATURES.step(epochs.load(digest).models, FEATURES.initial(2), short)
