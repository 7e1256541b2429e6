"""The disk under a folder: how full it is, and when nothing new is kept on it any more.

What is there already goes on: states, topics and records that wait. Refused is what can wait for
somebody to make room.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from streams import metrics

FILLING_FRACTION = 0.8
FULL_FRACTION = 0.9


def used_fraction(folder: Path) -> float:
    """Return the share in use of what this user can fill of the disk under a folder, in [0, 1].

    What a file system keeps for root is neither: with it a disk would be full at 95 %.
    """
    disk = shutil.disk_usage(folder)
    return disk.used / (disk.used + disk.free)


class Disk:
    """The disk under a folder.

    Parameters
    ----------
    folder
        Any on that disk; it is there.
    full_fraction
        Share in use from which on the disk counts as full; 1 for never.
    measure
        How the share is found.
    """

    def __init__(
        self,
        folder: Path,
        full_fraction: float = FULL_FRACTION,
        measure: Callable[[Path], float] = used_fraction,
    ) -> None:
        self.folder = folder
        self.full_fraction = full_fraction
        self._measure = measure

    def used(self) -> float:
        """Return the share in use, in [0, 1]."""
        return self._measure(self.folder)

    def refusal(self) -> str:
        """Say why nothing new is kept; empty while there is room."""
        used = self.used()
        if self.full_fraction >= 1.0 or used < self.full_fraction:
            return ""
        return (
            f"the disk of {self.folder} is {used:.1%} full; expected less than "
            f"{self.full_fraction:.0%}: make room on it"
        )

    def show(self) -> None:
        """Tell at every scrape how full it is."""
        metrics.DISK_USED_FRACTION.set_function(self.used)
