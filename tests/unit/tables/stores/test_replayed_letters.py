"""What was sent again is known by the next command, and a torn line is not."""

from pathlib import Path

from tables.stores.replayed_letters import ReplayedLetters


def test_ids_when_noted_then_are_known_by_run_and_for_the_owner_only(tmp_path: Path) -> None:
    """Another run has letters of its own."""
    ReplayedLetters(tmp_path, "").note("t:0:1:0")
    ReplayedLetters(tmp_path, "").note("t:0:2:0")
    assert ReplayedLetters(tmp_path, "").ids() == {"t:0:1:0", "t:0:2:0"}
    assert ReplayedLetters(tmp_path, "r1").ids() == set()
    (file,) = (tmp_path / "dead-letters").iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_ids_when_a_line_was_torn_then_it_is_none_and_the_next_is_whole(tmp_path: Path) -> None:
    """A letter whose note was torn may be sent once more; none is forgotten behind it."""
    letters = ReplayedLetters(tmp_path, "")
    letters.note("t:0:1:0")
    (file,) = (tmp_path / "dead-letters").iterdir()
    file.write_bytes(file.read_bytes() + b"t:0:2")
    assert letters.ids() == {"t:0:1:0"}
    letters.note("t:0:3:0")
    assert {"t:0:1:0", "t:0:3:0"} <= letters.ids()
