"""What callers are told of a database that does not answer: what to do, and not where it is."""

import logging

from tables.stores.errors import StoreBusy, StoreUnavailable
from tables.views.problems import ProblemError, not_ready

log = logging.getLogger("tradewind.forensics")

_AWAY = (
    "the database does not answer, so nothing of the audit trail can be read now; ask again in "
    "some seconds. If it lasts: `tradewind status`, and the log of this process says which database"
)
_BUSY_S = 2
_AWAY_S = 5


def told_of(error: StoreUnavailable) -> str:
    """Return what a caller may know; the address and the driver's words go to the log."""
    if isinstance(error, StoreBusy):
        return str(error)
    log.warning("%s", error)
    return _AWAY


def problem_of(error: StoreUnavailable) -> ProblemError:
    """Return the problem of a database that does not answer: 503, and when to ask again."""
    if isinstance(error, StoreBusy):
        return not_ready("DATABASE_BUSY", told_of(error), retry_s=_BUSY_S)
    return not_ready("DATABASE_AWAY", told_of(error), retry_s=_AWAY_S)
