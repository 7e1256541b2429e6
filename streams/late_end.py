"""An end in order that hangs is cut off: a process that is to start again must be gone first."""

import os
import threading

FAILED = 1


def end_late(after_s: float) -> None:
    """End this process after a while, however far its end in order has come by then."""
    timer = threading.Timer(after_s, os._exit, (FAILED,))
    timer.daemon = True
    timer.start()
