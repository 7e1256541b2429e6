"""The lock that says whether a broker works in a home."""

import subprocess
import time
from pathlib import Path

from streams.brokers.locks import FileLock


def test_try_take_when_another_holds_the_lock_then_it_returns_none(tmp_path: Path) -> None:
    """Two holders at once are impossible, even within one process."""
    with FileLock.take(tmp_path / "lock"):
        assert FileLock.try_take(tmp_path / "lock") is None


def test_try_take_when_the_holder_closed_it_then_it_is_taken(tmp_path: Path) -> None:
    """A closed lock is free again."""
    FileLock.take(tmp_path / "lock").close()
    lock = FileLock.try_take(tmp_path / "lock")
    assert lock is not None
    lock.close()


def test_lock_when_a_child_inherits_it_then_it_is_held_until_the_child_is_gone(
    tmp_path: Path,
) -> None:
    """The kernel keeps the lock for the child after the parent gave it up."""
    lock = FileLock.take(tmp_path / "lock")
    with subprocess.Popen(["sleep", "60"], pass_fds=(lock.descriptor,)) as child:
        lock.close()
        assert FileLock.try_take(tmp_path / "lock") is None
        child.kill()
        child.wait()
        start = time.monotonic()
        FileLock.take(tmp_path / "lock").close()
        assert time.monotonic() - start < 5.0
