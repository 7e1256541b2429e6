"""The end of what a broker wrote, for errors."""

from pathlib import Path

_LINES = 20
_BYTES = 16_384


def log_tail(home: Path) -> str:
    """Return the last lines that the broker's JVM printed, and then those of its log."""
    files = (home / "logs" / name for name in ("broker.out", "broker.log"))
    return "\n".join(line for file in files for line in _last_lines(file))


def _last_lines(file: Path) -> list[str]:
    if not file.exists():
        return []
    return file.read_bytes()[-_BYTES:].decode(errors="replace").splitlines()[-_LINES:]
