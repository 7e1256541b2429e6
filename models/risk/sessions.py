"""Trading sessions: when an instrument may be traded, and which day a time belongs to.

A session is ``[open, close)`` in nanoseconds since 1970 UTC. What trades around the clock has no
sessions; its day is the UTC day. A bar belongs to the day in which it was made: a bar that closes
at midnight is of the day before.
"""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

DAY_NS = 86_400_000_000_000


class Sessions(NamedTuple):
    """Openings and closings of a calendar, rising, as many of one as of the other."""

    opens_ns: tuple[int, ...]
    closes_ns: tuple[int, ...]

    def is_open(self, at_ns: int) -> bool:
        """Tell whether an order sent at ``at_ns`` meets an open market.

        Examples
        --------
        >>> hours = Sessions((100, 300), (200, 400))
        >>> [hours.is_open(at) for at in (99, 100, 199, 200, 399, 500)]
        [False, True, True, False, True, False]
        """
        at = bisect_right(self.opens_ns, at_ns) - 1
        return at >= 0 and at_ns < self.closes_ns[at]

    def was_open(self, first_ns: int, end_ns: int) -> bool:
        """Tell whether the market was open at some time of ``[first_ns, end_ns)``.

        Examples
        --------
        >>> hours = Sessions((100, 300), (200, 400))
        >>> [hours.was_open(0, end) for end in (100, 101)], hours.was_open(200, 300)
        ([False, True], False)
        """
        at = bisect_right(self.closes_ns, first_ns)
        return at < len(self.opens_ns) and self.opens_ns[at] < end_ns

    def covers(self, at_ns: int) -> bool:
        """Tell whether the calendar knows of a session that ends after ``at_ns``, and of earlier.

        Outside of what it was made for a calendar knows nothing, and nothing is traded.
        """
        return bool(self.opens_ns) and self.opens_ns[0] <= at_ns < self.closes_ns[-1]


def day_of(sessions: Sessions | None, at_ns: int) -> int:
    """Return the number of the day that ``at_ns`` ends or belongs to; it never falls with time.

    Examples
    --------
    >>> day_of(None, DAY_NS), day_of(None, DAY_NS + 1)
    (0, 1)
    >>> [day_of(Sessions((100, 300), (200, 400)), at) for at in (100, 101, 250, 301)]
    [0, 1, 1, 2]
    """
    if sessions is None:
        return (at_ns - 1) // DAY_NS
    return bisect_left(sessions.opens_ns, at_ns)
