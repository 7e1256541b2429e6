"""Named places where a test can end the process: nothing is flushed, as in a power cut.

``TRADEWIND_FAILPOINT=risk.before-send:3`` ends the process when stage risk comes to that place for
the third time. Without the variable a place costs one comparison.
"""

import logging
import os

from streams.errors import SettingsError

VARIABLE = "TRADEWIND_FAILPOINT"

# Of every stage, in the order in which a step comes to them.
STEP = (
    "after-fetch",
    "before-send",
    "after-send",
    "after-ack",
    "before-table",
    "after-table",
    "before-commit",
)

# Of the archive: rows are in the staging table, and rows are in but their offsets are not.
ARCHIVE = ("in-copy", "before-mark")

# Of segments on disk: half of a block is written, and a block is written but not durable.
SPILL = ("in-append", "in-fsync")

EXIT_STATUS = 77

log = logging.getLogger("tradewind.failpoints")


class Failpoint:
    """The place at which this process ends, and how often it must come there."""

    def __init__(self, text: str) -> None:
        place, colon, times = text.partition(":")
        stage, dot, point = place.partition(".")
        counted = times if colon else "1"
        if not (dot and stage and point in {*STEP, *ARCHIVE, *SPILL} and counted.isdecimal()):
            raise SettingsError(
                f"{VARIABLE} was {text!r}; expected STAGE.POINT:TIMES with a point of "
                f"{', '.join((*STEP, *ARCHIVE, *SPILL))}"
            )
        self.stage, self.point, self.left = stage, point, int(counted)

    def reach(self, stage: str, point: str) -> None:
        """Count a visit; end the process at the last one."""
        if (stage, point) != (self.stage, self.point):
            return
        self.left -= 1
        if self.left <= 0:
            log.critical("failpoint %s.%s: this process ends here", stage, point)
            os._exit(EXIT_STATUS)


_armed = Failpoint(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def reach(stage: str, point: str) -> None:
    """Come to a place; return unless a test has armed it."""
    if _armed is not None:
        _armed.reach(stage, point)
