"""What risk refuses at its door: a slice that no decision could be made of is a dead letter."""

import math
from pathlib import Path

import pyarrow as pa
import pytest

from streams.dead_letters import DeadLetter
from streams.slices import Slice
from tests.builders import reasons, record
from tests.unit.agents.test_risk import World, all_at, read


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give an empty book."""
    return World(tmp_path)


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("close", pa.array([math.nan, 100.0]), "BAD_PRICE"),
        ("weights", None, "MISSING_COLUMN"),
        ("symbol", pa.array(["STRANGE", "STRANGER"]), "UNKNOWN_SYMBOL"),
    ],
)
def test_fold_when_a_slice_is_malformed_then_is_a_dead_letter(
    world: World, column: str, values: pa.Array | None, reason: str
) -> None:
    """One bad slice among good ones stops nothing, and the next bar is decided."""
    good = world.slice(1, 0, all_at(100.0))
    batch = good.batch.slice(0, 2)
    names = [name for name in batch.schema.names if values is not None or name != column]
    arrays = [values if name == column else batch.column(name) for name in names]
    bad = Slice(good.meta, pa.RecordBatch.from_arrays(arrays, names=names))
    letters = [s for s in world.run.take([world.record(bad)]) if isinstance(s, DeadLetter)]
    assert [letter.reason for letter in letters] == [reason]
    assert len(world.take(2, all_at(100.0))) > 0


def test_fold_when_a_record_is_garbage_then_is_a_letter(world: World) -> None:
    """What is no slice changes no book."""
    assert reasons(world.run.take([record(b"garbage", 0, key=b"main")])) == ["NOT_A_SLICE"]
    world.offset = 1
    assert len(read(world.take(1, all_at(100.0)))) == 4
