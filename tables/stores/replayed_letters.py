"""Which dead letters were sent again: one id a line, so that nobody sends one twice by mistake."""

from pathlib import Path

from tables.stores.lines import append_line


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
        append_line(self._path, letter_id.encode())
