"""Every act of an administrator goes through here: it is written down before it happens."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tables.stores.admin_log import AdminLog, Deed

_LONGEST_DETAIL = 500


class Outcome:
    """What came of an act; the command says it."""

    detail = ""


@contextmanager
def admin_act(home: Path, what: str, **deed: Any) -> Iterator[Outcome]:  # noqa: ANN401  fields of the deed
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
    log = AdminLog(home)
    act = log.begin(Deed(what=what, by=getpass.getuser(), **deed))
    outcome = Outcome()
    try:
        yield outcome
    except BaseException as error:
        log.end(act, "failed", (str(error) or type(error).__name__)[:_LONGEST_DETAIL])
        raise
    log.end(act, "done", outcome.detail)
