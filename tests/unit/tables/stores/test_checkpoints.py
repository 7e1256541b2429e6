"""Checkpoints of a fit: what was made is not made again, and half a file is."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.arrays import Floats
from tables.stores.checkpoints import Checkpoints


class Fitted(NamedTuple):
    """A part as fits make them."""

    slope: float
    n_rows: int
    table: Floats


MADE = Fitted(0.1, 3, np.array([[1.0, np.nan], [-0.0, 1e-300]]))


def never() -> Fitted:
    """Fail: a kept part must not be made again."""
    raise AssertionError("made again")


def test_keep_when_asked_twice_then_makes_once_and_returns_the_same_bits(tmp_path: Path) -> None:
    """A fit that goes on has the very numbers that the first had."""
    Checkpoints(tmp_path / "k").keep("regime", Fitted, lambda: MADE)
    again = Checkpoints(tmp_path / "k").keep("regime", Fitted, never)
    assert again[:2] == MADE[:2]
    assert again.table.tobytes() == MADE.table.tobytes()


def test_keep_when_the_file_is_cut_then_makes_the_part_again(tmp_path: Path) -> None:
    """A process killed while writing leaves nothing that is believed."""
    kept = Checkpoints(tmp_path)
    kept.keep("regime", Fitted, lambda: MADE)
    (file,) = tmp_path.glob("*.safetensors")
    for cut in (0, 7, 8, 40, file.stat().st_size - 1):
        file.write_bytes(file.read_bytes()[:cut])
        assert kept.keep("regime", Fitted, lambda: MADE).n_rows == MADE.n_rows


def test_keep_when_the_parts_fields_have_changed_then_makes_it_again(tmp_path: Path) -> None:
    """A part of an older program is no part of this one."""

    class Older(NamedTuple):
        slope: float

    kept = Checkpoints(tmp_path)
    kept.keep("regime", Older, lambda: Older(1.0))
    assert kept.keep("regime", Fitted, lambda: MADE).n_rows == MADE.n_rows


def test_clear_when_done_then_nothing_is_left(tmp_path: Path) -> None:
    """A finished fit leaves no files behind."""
    kept = Checkpoints(tmp_path / "k")
    kept.keep("regime", Fitted, lambda: MADE)
    kept.clear()
    kept.clear()
    assert not (tmp_path / "k").exists()
