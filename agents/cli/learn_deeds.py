"""What an update does to the registry, each deed in the job's file before it is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agents.cli.live_models import fallen_in
from agents.run.lineage import line_of
from streams.model_updates import ModelUpdate
from tables.stores.artifacts import Artifacts
from tables.stores.jobs import Job, Jobs
from tables.stores.model_registry import CANDIDATE, ModelRegistry


@dataclass(frozen=True)
class Deeds:
    """The deeds of one job.

    Parameters
    ----------
    registry, artifacts
        Whose names are given, and where model sets are.
    jobs, job
        Where the job is kept.
    """

    registry: ModelRegistry
    artifacts: Artifacts
    jobs: Jobs
    job: Job

    @contextmanager
    def doing(self, update: ModelUpdate) -> Iterator[None]:
        """Write down what is done in the block; what could not be done is taken out again.

        A job that is killed in between is begun anew and comes to the same deed: it is told once.
        """
        self.job.updates = [each for each in self.job.updates if _deed(each) != _deed(update)]
        self.job.updates.append(update)
        self.jobs.put(self.job)
        try:
            yield
        except Exception:
            self.job.updates.remove(update)
            raise

    def is_done(self, model_id: str) -> bool:
        """Tell whether a job that was killed had done its last deed: then nothing is left to do."""
        known = {each.digest: each.aliases for each in self.registry.versions(model_id)}
        return any(
            each.update_type == "online_update"
            and (each.outcome == "refused" or CANDIDATE in known.get(each.after, ()))
            and each.after in known
            for each in self.job.updates
        )

    def candidate(self, model_id: str, champion: str, fallen: str = "") -> str:
        """Return what learning goes on from: the candidate if it learned from the champion.

        One of another line loses its name, and so does one that learned from what fell: models that
        a rollout took back, or ``fallen``.
        """
        known = self.registry.called(model_id, CANDIDATE)
        if known is None:
            return champion
        digest = self.registry.fetch(known)
        line = line_of(self.artifacts, digest)
        is_ours = champion in line and fallen not in line
        if is_ours and not fallen_in(self.artifacts.root.parent, digest):
            return digest
        self.registry.release(model_id, CANDIDATE)
        return champion


def _deed(update: ModelUpdate) -> tuple[str, str, str, str]:
    return (update.update_type, update.outcome, update.before, update.after)
