"""Who looks at the pages: sessions of this process, opened by a token or a code, ended by revoking.

A browser keeps the random name of its session and no token: cookies go to every port of a host, and
what another program there reads of ours opens pages of this process and no API. A session forgets
itself with the process, after half a day, and when its token expires, is revoked or was signed by
a key that is retired.
"""

import hashlib
from collections import OrderedDict

from streams.clock import random_id, wall_ns
from streams.instructions import Role
from tables.views.auth import ALL_PORTFOLIOS, Caller, Callers

LONGEST_S = 43_200
# Everybody who ever opens a page takes 300 bytes; the oldest session goes first.
SESSIONS_MAX = 10_000

_ROLE: Role = "researcher"
ANYBODY = Caller("", "", _ROLE, (ALL_PORTFOLIOS,), 0)
"""Who looks where no keys are: pages on loopback that show one run."""


def sees_all(viewer: Caller) -> bool:
    """Tell whether somebody may see every portfolio, and what concerns none of them."""
    return ALL_PORTFOLIOS in viewer.portfolios


class Sessions:
    """The sessions of a process.

    Parameters
    ----------
    callers
        Who may look.
    cookie
        Name of the cookie: stacks on one host have one each.
    """

    def __init__(self, callers: Callers, cookie: str) -> None:
        self.callers = callers
        self.cookie = cookie
        self._open: OrderedDict[bytes, tuple[Caller, int]] = OrderedDict()

    def open(self, caller: Caller) -> str:
        """Return the name of a new session."""
        name = random_id()
        self._open[_digest(name)] = caller, _now_s() + LONGEST_S
        if len(self._open) > SESSIONS_MAX:
            self._open.popitem(last=False)
        return name

    def viewer(self, name: str | None) -> Caller | None:
        """Return who has a session; None if it is none, or is over."""
        if not name:
            return None
        caller, until_s = self._open.get(_digest(name), (None, 0))
        if caller is None:
            return None
        if _now_s() > until_s or not self.callers.is_good(caller):
            self.close(name)
            return None
        return caller

    def close(self, name: str) -> None:
        """End a session, if it is one."""
        self._open.pop(_digest(name), None)


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode(errors="replace")).digest()


def _now_s() -> int:
    return wall_ns() // 1_000_000_000
