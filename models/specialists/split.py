"""Cut a history into training, validation and held-back bars, without leaks between them.

A label reaches one bar ahead and neighbouring bars resemble each other, so bars at a seam are given
up: the label horizon is purged and an embargo keeps a distance (Lopez de Prado 2018, chapter 7).
"""

from typing import NamedTuple

from models.errors import HistoryTooShort

LABEL_BARS = 1
"""The label of a bar is known one bar later."""

EMBARGO_BARS = 21
"""A month of daily bars between stretches: volatility clusters over weeks."""

SHARES = (0.70, 0.15, 0.15)
"""Of the usable bars: to learn from, to stop and calibrate by, to report on."""

MIN_STRETCH_BARS = 60
"""A shorter validation or report cannot tell a rank correlation from zero."""


class Split(NamedTuple):
    """Three stretches of bars; each is a slice whose labels lie inside its own stretch."""

    training: slice
    validation: slice
    held_back: slice


def split(first: int, n_bars: int) -> Split:
    """Cut bars first to n_bars - 1 in time order.

    Parameters
    ----------
    first : int
        First bar with features.
    n_bars : int
        Number of bars in the history; the last one has no label.

    Returns
    -------
    Split

    Raises
    ------
    HistoryTooShort
        Saying how many bars are missing.

    Examples
    --------
    >>> split(0, 1001)
    Split(training=slice(0, 678, None), validation=slice(700, 828, None),
          held_back=slice(850, 1000, None))
    """
    labelled = n_bars - LABEL_BARS - first
    gap = LABEL_BARS + EMBARGO_BARS
    needed = round((MIN_STRETCH_BARS + gap) / min(SHARES[1:])) + 1
    if labelled < needed:
        raise HistoryTooShort(
            f"{needed - labelled} bars are missing: {needed} bars with features and a next bar are "
            f"needed, was {max(labelled, 0)} of {n_bars} bars"
        )
    validation = first + round(SHARES[0] * labelled)
    held_back = first + round((SHARES[0] + SHARES[1]) * labelled)
    return Split(
        training=slice(first, validation - gap),
        validation=slice(validation, held_back - gap),
        held_back=slice(held_back, n_bars - LABEL_BARS),
    )


class Half(NamedTuple):
    """Training bars to be scored, and those of the other half that may be learned from for it."""

    scored: slice
    training: slice


def halves(training: slice) -> tuple[Half, Half]:
    """Cut the training bars in two, each half to be scored by what was learned from the other.

    The half that is learned from gives up the label horizon and the embargo at the seam.

    Examples
    --------
    >>> for half in halves(slice(0, 600)):
    ...     print(half)
    Half(scored=slice(0, 300, None), training=slice(322, 600, None))
    Half(scored=slice(300, 600, None), training=slice(0, 278, None))
    """
    middle = (training.start + training.stop) // 2
    gap = LABEL_BARS + EMBARGO_BARS
    return (
        Half(slice(training.start, middle), slice(middle + gap, training.stop)),
        Half(slice(middle, training.stop), slice(training.start, middle - gap)),
    )
