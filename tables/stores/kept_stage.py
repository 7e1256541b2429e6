"""What a stage of a rollout has shown, on disk with the offsets that it stands for."""

import logging
from pathlib import Path

from streams.codec import StateError, pack_state, unpack_state
from tables.rollout_stage import Shown
from tables.stores.replacing import replacing

log = logging.getLogger("tradewind.rollout")


class KeptStage:
    """One file, which is the old one or the new one whenever a process dies.

    Parameters
    ----------
    path
        Its folder is made when first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Shown | None:
        """Return what was kept; None if nothing was, or by another version, which is said."""
        if not self.path.exists():
            return None
        try:
            return unpack_state(Shown, self.path.read_bytes())
        except StateError as error:
            log.warning("%s is read no more, the stage is measured anew: %s", self.path, error)
            return None

    def keep(self, shown: Shown) -> None:
        """Write what was shown."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as file:
            file.write(pack_state(shown))
