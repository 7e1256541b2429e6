"""Runs that nothing keeps leave: archived whole, then their files, then their rows.

What is under way when the process dies is finished by the next: a run that is marked has its
archive and goes on leaving, one that is not has lost nothing yet.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from models.registry.retention import BEST, DAYS, may_go
from streams.brokers.homes import private_folder
from tables.stores.errors import StoreConflict
from tables.stores.tracking import run_archive, run_facts
from tables.stores.tracking.postgres_schema import (
    Connection,
    connected_alone,
    current_schema,
    revision_of,
    snapshot,
)
from tables.stores.tracking.run_facts import Known

Progress = Callable[[str, float], None]

_SUFFIX = ".tar.zst"


class Rule(NamedTuple):
    """What is kept: the best of each experiment, and what was seen within the last days."""

    best: int = BEST
    days: int = DAYS


class Gone(NamedTuple):
    """A run that left, or would: the bytes of its artefacts, and of its archive."""

    run_id: str
    experiment: str
    freed_bytes: int
    archive_bytes: int


class Kept(NamedTuple):
    """A run that the rule lets go and that stays all the same, and why."""

    run_id: str
    why: str


class Report(NamedTuple):
    """What a retirement did, or would do.

    Attributes
    ----------
    n_runs : int
        How many runs there were.
    n_unranked : int
        How many experiments name no metric, so that nothing of them goes by itself.
    gone : tuple of Gone
    kept : tuple of Kept
    """

    n_runs: int
    n_unranked: int
    gone: tuple[Gone, ...]
    kept: tuple[Kept, ...]

    @property
    def freed_bytes(self) -> int:
        """Bytes of artefacts that are gone from disk."""
        return sum(each.freed_bytes for each in self.gone)

    @property
    def archive_bytes(self) -> int:
        """Bytes that the archives take."""
        return sum(each.archive_bytes for each in self.gone)

    def record(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            **self._asdict(),
            "freed_bytes": self.freed_bytes,
            "archive_bytes": self.archive_bytes,
            "gone": [each._asdict() for each in self.gone],
            "kept": [each._asdict() for each in self.kept],
        }

    def why_kept(self) -> dict[str, int]:
        """Return how many runs stay by each reason."""
        return dict(Counter(each.why for each in self.kept))


@dataclass(frozen=True)
class Retirement:
    """Lets runs go at one address of MLflow.

    Parameters
    ----------
    uri
        The database, as MLflow's client knows it.
    archive
        Folder of the archives.
    served
        What the own server serves as ``mlflow-artifacts:``; None without one.
    progress
        Told the step and its finished share; what it raises ends the retirement.
    """

    uri: str
    archive: Path
    served: Path | None
    progress: Progress

    def rehearse(self, now_ms: int, rule: Rule) -> Report:
        """Say what would go, and change nothing."""
        with connected_alone(self.uri) as connection:
            every, n_unranked, going = _chosen(connection, now_ms, rule)
        gone, kept = [], []
        for each in going:
            folder, why = self._folder_of(each)
            if folder is None:
                kept.append(Kept(each.run.run_id, why))
            else:
                freed = run_archive.bytes_of(folder)
                gone.append(Gone(each.run.run_id, each.run.experiment, freed, 0))
        return Report(len(every), n_unranked, tuple(gone), tuple(kept))

    def run(self, now_ms: int, rule: Rule) -> Report:
        """Let go what nothing keeps.

        Raises
        ------
        StoreConflict
            If another one works here, or files of a run do not go; its rows stay then.
        StoreUnavailable
            If the database does not do what it is asked.
        """
        with connected_alone(self.uri) as connection:
            every, n_unranked, going = _chosen(connection, now_ms, rule)
            gone, kept = [], []
            for at, each in enumerate(going):
                folder, why = self._folder_of(each)
                left = None if folder is None else self._retire(connection, each, folder, now_ms)
                if left is None:
                    kept.append(Kept(each.run.run_id, why or "it has come into use meanwhile"))
                else:
                    gone.append(left)
                self.progress("archive and delete", (at + 1) / len(going))
        return Report(len(every), n_unranked, tuple(gone), tuple(kept))

    def _retire(
        self, connection: Connection, known: Known, folder: Path, now_ms: int
    ) -> Gone | None:
        """Let one run go; None if it has come into use."""
        run = known.run
        name = f"{run.experiment}/{run.run_id}{_SUFFIX}"
        freed = run_archive.bytes_of(folder)
        if known.archive is None:
            private_folder(self.archive)
            with snapshot(connection):
                run_archive.write(
                    self.archive / name, run_facts.rows_of(connection, run.run_id), folder
                )
            with connection.transaction():
                run_facts.lock(connection, run.run_id)
                (now,) = run_facts.known(connection, {}, run.run_id)
                if now.run._replace(value=run.value) != run:
                    (self.archive / name).unlink()
                    return None
                run_facts.mark(connection, run.run_id, name, now_ms)
        _delete_versions(self.uri, run_facts.versions_of(connection, run.run_id))
        _delete_files(folder)
        run_facts.delete(connection, run.run_id)
        archived = self.archive / (known.archive or name)
        size = archived.stat().st_size if archived.exists() else 0
        return Gone(run.run_id, run.experiment, freed, size)

    def _folder_of(self, known: Known) -> tuple[Path | None, str]:
        """Return a run's folder of artefacts, or None and why the run cannot go."""
        parts = urlsplit(known.artifacts)
        if parts.scheme in {"", "file"}:
            folder = Path(unquote(parts.path))
        elif parts.scheme == "mlflow-artifacts" and self.served is not None:
            folder = self.served / unquote(parts.path).lstrip("/")
        else:
            return None, f"its artefacts are at {parts.scheme}:, `mlflow gc` deletes them"
        if folder.parent.name != known.run.run_id or not folder.is_absolute():
            return None, "its artefacts are in no folder of its own"
        if not folder.parent.parent.is_dir():
            return None, "the folder of its experiment is not on this machine"
        return folder, ""


def _chosen(
    connection: Connection, now_ms: int, rule: Rule
) -> tuple[list[Known], int, list[Known]]:
    """Return all runs, how many experiments rank none, and the runs that go."""
    if not revision_of(connection, current_schema(connection)):
        # Nobody has tracked anything yet.
        return [], 0, []
    ranked = run_facts.rankings(connection)
    every = run_facts.known(connection, ranked)
    chosen = may_go((each.run for each in every), ranked, now_ms, best=rule.best, days=rule.days)
    by_id = {each.run.run_id: each for each in every}
    begun = [each for each in every if each.archive is not None]
    going = [by_id[run.run_id] for run in chosen if by_id[run.run_id].archive is None]
    unranked = {each.run.experiment for each in every} - ranked.keys()
    return every, len(unranked), [*begun, *going]


def _delete_versions(uri: str, versions: list[tuple[str, str]]) -> None:
    if not versions:
        return
    import mlflow  # noqa: PLC0415  seconds that only this pays

    client = mlflow.MlflowClient(uri)
    for name, version in versions:
        client.delete_model_version(name, version)


def _delete_files(folder: Path) -> None:
    """Delete a run's artefacts, and its own folder around them.

    Raises
    ------
    StoreConflict
        If they are still there.
    """
    shutil.rmtree(folder.parent, ignore_errors=True)
    if folder.parent.exists():
        raise StoreConflict(
            f"{folder.parent} could not be deleted: expected the rights to; its run is archived "
            "and stays until its files go"
        )
