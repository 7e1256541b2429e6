"""What the process of the pages answers from besides the log."""

import ssl
from pathlib import Path
from typing import NamedTuple

from tables.stores.audit_reader import AuditReader


class Behind(NamedTuple):
    """A worker's API, the database of the run, the stack's folder, who updates and moves models.

    Empty where none is; ``tls`` is how to check them, ``auth`` the folder of keys of the ``stack``.
    """

    worker_url: str = ""
    reader: AuditReader | None = None
    home: Path = Path()
    learning_url: str = ""
    rollout_url: str = ""
    auth: Path | None = None
    stack: str = ""
    tls: ssl.SSLContext | None = None


NOTHING = Behind()
