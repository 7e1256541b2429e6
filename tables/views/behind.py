"""What the process of the pages answers from besides the log."""

from pathlib import Path
from typing import NamedTuple

from tables.stores.audit_reader import AuditReader


class Behind(NamedTuple):
    """A worker's API, the database of the run, and the stack's folder; empty where none is."""

    worker_url: str = ""
    reader: AuditReader | None = None
    home: Path = Path()


NOTHING = Behind()
