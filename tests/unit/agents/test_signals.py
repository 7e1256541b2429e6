"""Four stages in one agent say what each would say as its own, also behind a restart."""

from pathlib import Path

import numpy as np
import pytest

from agents.features import FEATURES, FeatureFold
from agents.signals import SPECS, SignalFold, SignalsKept, fold_of
from agents.stage import Reader
from streams.codec import unpack_state
from streams.errors import SliceConflict
from streams.transport import Record
from tests.builders import (
    MIDNIGHT,
    MINUTE,
    Alone,
    Run,
    Sent,
    bars,
    epoch,
    epochs_in,
    homes,
    letters,
    meta,
    outputs,
    reasons,
    record,
)

SYMBOLS = tuple(homes(3, 1))
TOPICS = ("feature-slices", "regime-probabilities", "strategy-weights", "portfolio-events")
N_BARS = 75


class World:
    """One partition of minutes, some without one of the symbols."""

    def __init__(self, root: Path) -> None:
        self.epochs, (self.digest,) = epochs_in(root, epoch(SYMBOLS))
        rng = np.random.default_rng(4)
        closes = np.exp(np.cumsum(rng.normal(0, 0.01, (N_BARS, len(SYMBOLS))), axis=0))
        there = rng.random(closes.shape) < 0.9
        self.records = [
            self.record(n, {s: row[i] for i, s in enumerate(SYMBOLS) if there[n, i]})
            for n, row in enumerate(closes.tolist())
        ]

    def record(self, n: int, closes: dict[str, float]) -> Record:
        """Write the bars of the n-th minute."""
        about = meta(MIDNIGHT + (n + 1) * MINUTE, epoch_digest=self.digest)
        return record(bars(about, closes, SYMBOLS).encode(), n, topic="market-bars")

    def new_fold(self, partition: int, read: Reader) -> SignalFold:
        """Make the fold of a partition."""
        return SignalFold(self.epochs, partition, read)

    def apart(self) -> dict[str, list[bytes]]:
        """Return what each stage sends as an agent of its own, which reads the one before it."""
        said, given = {}, self.records
        for spec, topic in zip(SPECS, TOPICS, strict=True):
            run = Run(lambda p, read, spec=spec: Alone(fold_of(spec, self.epochs, p, read)))
            said[topic] = outputs(run.take(given), topic)
            given = [record(value, n, topic=topic) for n, value in enumerate(said[topic])]
        return said


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a fresh partition."""
    return World(tmp_path)


def by_topic(sent: list[Sent]) -> dict[str, list[bytes]]:
    """Return values by topic."""
    return {topic: outputs(sent, topic) for topic in TOPICS}


def test_fold_when_compared_with_agents_of_their_own_then_every_topic_has_the_same_bytes(
    world: World,
) -> None:
    """What is between the stages decides nothing."""
    said = by_topic(Run(world.new_fold).take(world.records))
    assert said == world.apart()
    assert {topic: len(values) for topic, values in said.items()} == dict.fromkeys(TOPICS, N_BARS)


# Its first slices, and around a close of five minutes.
@pytest.mark.parametrize("cut", [0, 1, 2, 4, 5, 6, 40, N_BARS - 1])
def test_fold_when_restarted_then_gives_the_same_bytes(world: World, cut: int) -> None:
    """All four states are found behind the same slice, and longer bars go on."""
    whole, again = Run(world.new_fold), Run(world.new_fold)
    wanted = whole.take(world.records)
    found = again.take_with_restart_at(cut, world.records)
    assert by_topic(found) == by_topic(wanted)
    assert letters(found) == []
    assert again.fold.snapshot().states[b"0"] == whole.fold.snapshot().states[b"0"]


def test_snapshot_when_taken_then_a_chunk_is_one_record_beside_those_of_longer_bars(
    world: World,
) -> None:
    """What is written whole cannot be half old."""
    run = Run(world.new_fold)
    run.take(world.records[:10])
    states = run.fold.snapshot().states
    assert set(states) == {b"0", b"5min:0", b"1hour:0"}
    kept = unpack_state(SignalsKept, states[b"0"].state)
    alone = Run(lambda p, read: Alone(FeatureFold(FEATURES, world.epochs, p, read)))
    alone.take(world.records[:10])
    assert kept.features == alone.fold.snapshot().states[b"0"].state
    assert run.fold.snapshot().states == {}


def test_fold_when_a_slice_comes_again_then_causes_nothing_and_other_bytes_are_fatal(
    world: World,
) -> None:
    """Known by its key, whatever its offset is."""
    run = Run(world.new_fold)
    run.take(world.records[:3])
    assert run.take([world.records[2]._replace(offset=9)]) == []
    with pytest.raises(SliceConflict):
        run.take([world.record(2, {SYMBOLS[0]: 7.0})])


def test_fold_when_bars_cannot_be_used_then_nobody_behind_waits_for_them(world: World) -> None:
    """Bytes that are no slice are a dead letter; bad prices go on as a slice without rows."""
    run = Run(world.new_fold)
    run.take(world.records[:3])
    (letter,) = run.take([record(b"poison", 3, topic="market-bars")])
    assert reasons([letter]) == ["NOT_A_SLICE"]
    said = run.take([world.record(4, dict.fromkeys(SYMBOLS, -1.0))])
    assert len(letters(said)) == 1
    assert {topic: len(values) for topic, values in by_topic(said).items()} == dict.fromkeys(
        TOPICS, 1
    )
    assert letters(run.take(world.records[5:7])) == []
