"""The features stage: the pipeline's own numbers, in one column."""

from pathlib import Path

import numpy as np
import pytest

from agents.features import FEATURES, FeatureFold
from agents.stage import Reader
from models.features.bars import Bars
from models.features.catalogue import NAMES
from models.features.pipeline import fold
from streams.errors import RecordError
from streams.slices import Slice
from streams.transport import Record
from tests.builders import (
    MIDNIGHT,
    MINUTE,
    Alone,
    Run,
    bars,
    epoch,
    epochs_in,
    letters,
    meta,
    record,
)

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


class Longer:
    """A partition of minutes whose features are folded, and those of five minutes beside them."""

    def __init__(self, root: Path) -> None:
        self.epochs, (self.digest,) = epochs_in(root, epoch(SYMBOLS))
        self.run = Run(self.new_fold)
        rng = np.random.default_rng(7)
        self.closes = np.exp(np.cumsum(rng.normal(0, 0.01, (200, 2)), axis=0))

    def new_fold(self, partition: int, read: Reader) -> Alone:
        """Make the fold of a partition."""
        return Alone(FeatureFold(FEATURES, self.epochs, partition, read))

    @property
    def fold(self) -> FeatureFold:
        """The fold as it stands."""
        assert isinstance(self.run.fold, Alone)
        assert isinstance(self.run.fold.stage, FeatureFold)
        return self.run.fold.stage

    def record(self, minute: int) -> Record:
        """Give the slice of a minute."""
        about = meta(MIDNIGHT + minute * MINUTE, epoch_digest=self.digest)
        closes = dict(zip(SYMBOLS, self.closes[minute - 1].tolist(), strict=True))
        value = bars(about, closes, SYMBOLS).encode()
        return record(value, minute - 1, topic="market-bars")

    def expected(self, n_minutes: int, n: int) -> np.ndarray:
        """Give the features at the last close, of a tape of the longer bars: (symbols, 60)."""
        by = self.closes[:n_minutes].reshape(-1, n, 2)
        volume = np.full((len(by), 2), 100.0 * n)
        # Each minute is flat at its close and has 100 units.
        mean = np.add.accumulate(by * 100.0, axis=1)[:, -1] / volume
        low, high = by.min(axis=1), by.max(axis=1)
        vwap = np.minimum(np.maximum(mean, low), high)
        return fold(Bars(by[:, 0], high, low, by[:, -1], volume, vwap))[-1]


def test_fold_when_minutes_come_then_longer_bars_have_their_own_features(tmp_path: Path) -> None:
    """Those of the last one that has closed, bit for bit, and not a minute earlier."""
    world = Longer(tmp_path)
    for minute in range(1, 125):
        world.run.take([world.record(minute)])
        if minute < 5:
            assert world.fold.row("5min", "AAA") is None
    for timeframe, n, last in (("5min", 5, 120), ("1hour", 60, 120)):
        expected = world.expected(last, n)
        for at, symbol in enumerate(SYMBOLS):
            row = world.fold.row(timeframe, symbol)
            assert row is not None
            assert row.close_ns == MIDNIGHT + last * MINUTE
            assert row.features.tobytes() == expected[at].tobytes()
        assert world.fold.closes_ns(timeframe) == (MIDNIGHT + last * MINUTE,)
    assert world.fold.row("5min", "NOBODY") is None
    assert world.fold.row("10min", "AAA") is None
    assert world.fold.closes_ns("10min") == ()


def test_fold_when_killed_then_longer_bars_go_on_where_they_were(tmp_path: Path) -> None:
    """Also if the snapshot of one part was written and that of the other was not."""
    world = Longer(tmp_path)
    records = [world.record(minute) for minute in range(1, 61)]
    world.run.take(records[:31])
    before = world.run.fold.snapshot()
    world.run.memory.states.update(before.states)
    assert sorted(before.states) == [b"0", b"1hour:0", b"5min:0"]
    world.run.take(records[31:40])
    # The stage's own part was written, and then the process died: the rest is read again.
    world.run.memory.states[b"0"] = world.run.fold.snapshot().states[b"0"]
    world.run.restart()
    sent = world.run.take(records[31:])
    assert len(sent) == 20
    row = world.fold.row("5min", "BBB")
    assert row is not None
    assert row.features.tobytes() == world.expected(60, 5)[1].tobytes()


def test_fold_when_a_slice_cannot_be_used_then_there_is_one_letter(tmp_path: Path) -> None:
    """The longer bars leave it out, and do not complain a second time."""
    world = Longer(tmp_path)
    world.run.take([world.record(1)])
    about = meta(MIDNIGHT + 2 * MINUTE, epoch_digest=world.digest)
    bad = bars(about, {"AAA": -1.0}, SYMBOLS).encode()
    assert len(letters(world.run.take([record(bad, 1, topic="market-bars")]))) == 1
    assert len(letters(world.run.take([record(b"x", 2, topic="market-bars")]))) == 1
    world.run.take([world.record(minute) for minute in (3, 4, 5)])
    row = world.fold.row("5min", "AAA")
    assert row is not None
    assert row.close_ns == MIDNIGHT + 5 * MINUTE


def test_fold_when_the_run_is_a_daily_one_then_nothing_is_folded(tmp_path: Path) -> None:
    """An hour cannot be made of days."""
    daily = epoch(SYMBOLS, timeframe="1day")
    epochs, (digest,) = epochs_in(tmp_path, daily)
    made = FeatureFold(FEATURES, epochs, 0, {}.get)
    about = meta(MIDNIGHT, epoch_digest=digest, timeframe="1day")
    made.fold(record(bars(about, {"AAA": 1.0}, SYMBOLS).encode(), topic="market-bars"))
    assert made.longer == {}
    assert list(made.snapshot().states) == [b"0"]
