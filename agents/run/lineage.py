"""Where something comes from: the commit of the program, the sets that a model set learned from."""

import subprocess
from pathlib import Path

from tables.stores.artifacts import ArtifactMissing, Artifacts


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


def line_of(artifacts: Artifacts, digest: str) -> tuple[str, ...]:
    """Return a model set and those that it learned from, one after the other, back to its fit.

    The line ends early where a set is not in the store.
    """
    line: list[str] = []
    while digest:
        line.append(digest)
        try:
            learned = artifacts.metadata_of(digest).get("learned", {})
        except ArtifactMissing:
            break
        digest = str(learned.get("start", ""))
    return tuple(line)
