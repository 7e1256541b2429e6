"""The sample-ratio alarm: whether the arms have the sizes that the share promises."""

import math
from typing import NamedTuple

ALARM_BELOW = 0.001
"""So rare a split, or a rarer one, is a defect and not chance."""

LEAST_EXPECTED = 5.0
"""Below this many expected units in an arm the test's distribution is not chi squared."""


class SampleRatio(NamedTuple):
    """How many units each arm has.

    Attributes
    ----------
    n_champion, n_challenger : int
        Units, each a symbol of a portfolio, that were decided for.
    n_misplaced : int
        Units that the other arm decided for than the assignment says.
    p_value : float or None
        Chance of a split at least as uneven; None where an arm expects too few units.
    """

    n_champion: int
    n_challenger: int
    n_misplaced: int
    p_value: float | None

    @property
    def is_alarming(self) -> bool:
        """Whether nothing that is measured on this split may be believed."""
        return self.n_misplaced > 0 or (self.p_value is not None and self.p_value < ALARM_BELOW)


def sample_ratio(
    n_champion: int, n_challenger: int, share: float, n_misplaced: int = 0
) -> SampleRatio:
    """Hold the sizes of the arms against the share (Pearson's chi squared, one degree of freedom).

    Examples
    --------
    >>> found = sample_ratio(930, 70, 0.05)
    >>> round(found.p_value, 5), found.is_alarming
    (0.00371, False)
    >>> sample_ratio(10, 0, 0.05).p_value is None
    True
    """
    n = n_champion + n_challenger
    expected = (n * (1.0 - share), n * share)
    if min(expected) < LEAST_EXPECTED:
        return SampleRatio(n_champion, n_challenger, n_misplaced, None)
    squared = math.fsum(
        (found - wanted) ** 2 / wanted
        for found, wanted in zip((n_champion, n_challenger), expected, strict=True)
    )
    # With one degree of freedom the tail is that of a normal deviate's square.
    tail = math.erfc(math.sqrt(squared / 2.0))
    return SampleRatio(n_champion, n_challenger, n_misplaced, tail)
