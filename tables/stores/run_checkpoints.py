"""Checkpoints of a run on disk: one file for each, named by its bar and by its content."""

import hashlib
from pathlib import Path

from streams.codec import StateError
from streams.timestamps import format_ns
from tables.checkpoint import Checkpoint
from tables.stores.replacing import replacing

_SUFFIX = ".checkpoint"


class RunCheckpoints:
    """The checkpoints of a run.

    Parameters
    ----------
    home, run
        The stack's folder and the run; empty is the live one.
    """

    def __init__(self, home: Path, run: str) -> None:
        self._folder = home / "checkpoints" / run

    def keep(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and return its file."""
        data = checkpoint.encode()
        path = self._folder / f"{checkpoint.close_ns}-{_digest(data)}{_SUFFIX}"
        self._folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(data)
        for other in self._folder.glob(f"{checkpoint.close_ns}-*{_SUFFIX}"):
            # Whatever an older one of the same bar serves, this one does.
            if other != path:
                other.unlink(missing_ok=True)
        return path

    def closes_ns(self) -> list[int]:
        """Return the bars of all, the newest first."""
        return sorted(self._paths(), reverse=True)

    def load(self, close_ns: int) -> Checkpoint:
        """Read the checkpoint of a bar.

        Raises
        ------
        StateError
            If the file was changed, or is another version's.
        """
        path = self._paths().get(close_ns, self._folder / f"{close_ns}{_SUFFIX}")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StateError(f"{path} cannot be read: {error}") from error
        if not path.stem.endswith(f"-{_digest(data)}"):
            raise StateError(f"{path} has other bytes than were written; delete it")
        try:
            return Checkpoint.decode(data)
        except StateError as error:
            raise StateError(
                f"the checkpoint of {format_ns(close_ns)} is another version's ({error}); it is "
                f"made anew in time, so {path} can be deleted"
            ) from error

    def nearest(self, ts_ns: int, unusable: dict[str, None]) -> Checkpoint | None:
        """Return the newest that has decided nothing of a time; why others could not be read."""
        for close_ns in self.closes_ns():
            if close_ns < ts_ns:
                try:
                    return self.load(close_ns)
                except StateError as error:
                    unusable[str(error)] = None
        return None

    def drop(self, close_ns: int) -> None:
        """Delete the checkpoint of a bar."""
        for path in self._folder.glob(f"{close_ns}-*{_SUFFIX}"):
            path.unlink(missing_ok=True)

    def _paths(self) -> dict[int, Path]:
        found = {}
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            close = path.name.partition("-")[0]
            if close.isdecimal():
                found[int(close)] = path
        return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
