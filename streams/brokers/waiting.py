"""Wait for something with a bound."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_POLL_S = 0.05


def wait_for(look: Callable[[], _T], *, timeout_s: float, poll_s: float = _POLL_S) -> _T | None:
    """Return what ``look`` finds as soon as it is neither None nor False; None after the time-out.

    Examples
    --------
    >>> wait_for(lambda: 7, timeout_s=1.0)
    7
    >>> wait_for(lambda: None, timeout_s=0.0, poll_s=0.0) is None
    True
    """
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            return None
        time.sleep(poll_s)
