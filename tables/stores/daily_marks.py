"""When a stack last did what it does by the clock: a file in its folder for each kind of work.

Whoever did it, the keeper or a timer of the machine, says so here, and so nobody does it again.
"""

from pathlib import Path

from tables.stores.replacing import replacing

RETENTION = "mlflow-retention.day"
SHELF = "audit-shelf.day"
CHECKPOINT = "checkpoint.day"
RUN_CHECK = "run-check.day"


def mark_done(home: Path, kind: str, now_ns: int) -> None:
    """Note that a kind of work was done, in ns since 1970; who has no folder has no keeper."""
    if not home.is_dir():
        return
    with replacing(home / kind) as file:
        file.write(str(now_ns).encode())


def last_done_ns(home: Path, kind: str) -> int | None:
    """Return when a kind of work was last done; None if nobody knows.

    A file that cannot be read is as one that is not there: the work is none that harms twice.
    """
    try:
        known = (home / kind).read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return int(known) if known.isdecimal() and known.isascii() else None
