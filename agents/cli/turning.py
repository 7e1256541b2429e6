"""How a rollout becomes the next epoch of a live stack: kept in its plan, then announced."""

import logging
from pathlib import Path

from agents.cli.live_plan import LivePlan
from agents.clock import Announced
from models.rollout.stages import Rollout
from streams.epochs import Epoch
from streams.errors import SettingsError
from tables.epochs import Epochs
from tables.rollout import epoch_by
from tables.stores.artifacts import ArtifactError

log = logging.getLogger("tradewind.clock")


class Turning:
    """The epochs of a live stack, as its rollouts change them.

    Each transition acts once, by its time: what somebody decided by hand behind it stays. The plan
    is written before anything is announced, so a restarted clock goes on with the same epoch.

    Parameters
    ----------
    home
        The stack's folder.
    epochs
        Where the documents are kept.
    """

    def __init__(self, home: Path, epochs: Epochs) -> None:
        self._home = home
        self._epochs = epochs

    def turn(self, rollout: Rollout) -> Announced | None:
        """Return the epoch that a rollout's standing leads to; None where it leads to no other."""
        plan = LivePlan.of(self._home)
        at_ns = rollout.transitions[-1].at_ns
        if plan is None or at_ns <= plan.turned_ns:
            return None
        before = self._epochs.load(plan.epochs[-1]).epoch
        wanted = epoch_by(before, rollout)
        if wanted is None:
            log.warning(
                "rollout %s is of models %s and %s; the epoch has %s and stays",
                *(rollout.id, rollout.champion[:12], rollout.challenger[:12], before.models[:12]),
            )
        plan.turned_ns = at_ns
        _remember(plan, rollout)
        digest = None if wanted is None else self._kept(rollout, wanted)
        is_other = digest is not None and digest != plan.epochs[-1]
        if digest is not None and is_other:
            plan.epochs.append(digest)
        plan.keep(self._home)
        return Announced(len(plan.epochs), plan.epochs[-1]) if is_other else None

    def _kept(self, rollout: Rollout, wanted: Epoch) -> str | None:
        """Keep an epoch that every stage can use; None, and said, if it is none."""
        try:
            digest = self._epochs.put(wanted)
            self._epochs.load(digest)
        except (ArtifactError, SettingsError) as error:
            log.error("rollout %s stands, the epoch stays: %s", rollout.id, error)  # noqa: TRY400  its text says all
            return None
        return digest


def _remember(plan: LivePlan, rollout: Rollout) -> None:
    """Write down whose rollout went back; the registry may go on to call them champion."""
    taken_back = {*plan.taken_back} - {rollout.challenger}
    if rollout.state == "rolled_back":
        taken_back.add(rollout.challenger)
    if rollout.is_over:
        plan.taken_back = sorted(taken_back)
