"""What a check of a run leaves behind for the next one."""

from pathlib import Path

import pytest

from tables.stamped import Stamped
from tables.stores.run_checks import (
    ANCHORS,
    RESULT,
    Anchor,
    RunCheck,
    anchors_of,
    keep_check,
    last_check,
)


def test_keep_when_read_again_then_is_the_same(tmp_path: Path) -> None:
    """States are bytes under keys that are bytes."""
    found = RunCheck(at_ns=7, n_same=3, n_differing=1, first="risk: x")
    anchors = {"risk/0": Anchor(5, {b"main\xff": Stamped(9, b"\x00state")}), "bars/1": Anchor()}
    keep_check(tmp_path, found, anchors)
    assert last_check(tmp_path) == found
    assert anchors_of(tmp_path) == anchors


@pytest.mark.parametrize("damaged", [b"", b"{", b"\xff"])
def test_read_when_nothing_was_kept_or_it_is_damaged_then_begins_anew(
    tmp_path: Path, damaged: bytes
) -> None:
    """The next check begins at the beginning, and says what of that is gone."""
    assert last_check(tmp_path) is None
    assert anchors_of(tmp_path) == {}
    for name in (RESULT, ANCHORS):
        (tmp_path / name).write_bytes(damaged)
    assert last_check(tmp_path) is None
    assert anchors_of(tmp_path) == {}
