"""Which dead letters were sent again: one id a line, so that nobody sends one twice by mistake."""

import os
from pathlib import Path


class ReplayedLetters:
    """The ids of a run's letters that stand in their topics again.

    Parameters
    ----------
    home
        The stack's folder; the file is made with the first letter, for its owner only.
    run
        Name of the run; empty for the live one.
    """

    def __init__(self, home: Path, run: str) -> None:
        self._path = home / "dead-letters" / f"{run or 'live'}.replayed"

    def ids(self) -> set[str]:
        """Return what was sent again; a line that a crash has torn is none."""
        if not self._path.exists():
            return set()
        lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        return {line.rstrip("\n") for line in lines if line.endswith("\n")}

    def note(self, letter_id: str) -> None:
        """Keep that a letter was sent; it is durable when this returns."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self._path, flags, 0o600), "ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            is_torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
            file.write(b"\n" * is_torn + letter_id.encode() + b"\n")
            os.fsync(file.fileno())
