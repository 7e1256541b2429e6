"""Every act of an administrator goes through here: it is written down before it happens."""

import getpass
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tables.stores.admin_log import AdminLog, Deed, Outcome


def admin_act(home: Path, what: str, **deed: Any) -> AbstractContextManager[Outcome]:  # noqa: ANN401  fields of the deed
    """Write that an act begins, and how it ended; without the first nothing is done.

    Parameters
    ----------
    home
        The stack's folder.
    what
        The command, such as ``token revoke``.
    deed
        ``on``, ``actor``, ``role`` and ``reason``, as far as there are any.
    """
    return AdminLog(home).act(Deed(what=what, by=getpass.getuser(), **deed))
