"""Models that learning took back, all that learned from them, and the way back from both."""

from collections.abc import Collection

from models.rollout.stages import KEPT_NS, Rollout
from streams.model_updates import ModelUpdate
from tables.epochs import Epochs
from tables.stores.artifacts import ArtifactError


class TakenBack:
    """What ``model-updates`` says of models that did not stand; told twice is told once.

    Parameters
    ----------
    epochs
        Where the models are that say what they learned from.
    """

    def __init__(self, epochs: Epochs) -> None:
        self._epochs = epochs
        self._at_ns: dict[str, int] = {}
        self._told: set[tuple[str, str]] = set()
        self._starts: dict[str, str] = {}

    @property
    def is_any(self) -> bool:
        """Whether any models were ever taken back."""
        return bool(self._at_ns)

    def learn(self, update: ModelUpdate, told_ns: int) -> None:
        """Take an update that was told at a time; most took nothing back."""
        named = (update.job_id, update.before)
        if update.outcome == "rolled_back" and named not in self._told:
            self._told.add(named)
            self._at_ns[update.before] = max(told_ns, self._at_ns.get(update.before, told_ns))

    def has(self, models: str, by: Rollout | None) -> bool:
        """Tell whether models were taken back, or some that they learned from.

        Who began the rollout ``by`` of them after that knew it, and wants them all the same.
        """
        at_ns = self._taken_ns(models)
        return at_ns is not None and (by is None or by.transitions[0].at_ns < at_ns)

    def decides(self, rollouts: Collection[Rollout], models: str) -> bool:
        """Tell whether anything is decided by models that were taken back.

        Parameters
        ----------
        rollouts
            All that there are.
        models
            The epoch's.
        """
        running = _running(rollouts)
        if running is not None and running.share and self.has(running.challenger, running):
            return True
        return self.has(models, _finished(rollouts, models))

    def way_back(self, rollouts: Collection[Rollout], models: str, now_ns: int) -> Rollout | None:
        """Return the rollout that must go back next; None if none must, or none can.

        Behind the champion of a rollout that runs leads only the way over that one.
        """
        running = _running(rollouts)
        if running is not None and self.has(running.challenger, running):
            return running
        done = _finished(rollouts, models)
        if done is None or now_ns - done.entered_ns > KEPT_NS or not self.has(models, done):
            return None
        return done if running is None else running

    def _taken_ns(self, digest: str) -> int | None:
        """Return when models, or any that they learned from, were taken back last; None if never.

        Where an ancestor is no more at hand its own are not known, and are not asked.
        """
        found: list[int] = []
        while self._at_ns and digest:
            if digest in self._at_ns:
                found.append(self._at_ns[digest])
            digest = self._start_of(digest)
        return max(found, default=None)

    def _start_of(self, digest: str) -> str:
        if digest not in self._starts:
            try:
                self._starts[digest] = self._epochs.start_of(digest)
            except ArtifactError:
                return ""
        return self._starts[digest]


def _running(rollouts: Collection[Rollout]) -> Rollout | None:
    return next((each for each in rollouts if not each.is_over), None)


def _finished(rollouts: Collection[Rollout], models: str) -> Rollout | None:
    """Return the last rollout that put models in charge and was not undone."""
    done = [each for each in rollouts if each.state == "done" and each.challenger == models]
    return max(done, key=lambda each: each.entered_ns, default=None)
