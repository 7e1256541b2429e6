"""Which code made something: the commit of the program."""

import subprocess
from pathlib import Path


def code() -> str:
    """Return the commit of the program, with ``+`` if files differ from it; empty if unknown."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        try:
            return subprocess.run(  # noqa: S603  a fixed command
                command, capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return ""

    commit = git("rev-parse", "HEAD")
    return (
        f"{commit}+" if commit and git("status", "--porcelain", "--untracked-files=no") else commit
    )
