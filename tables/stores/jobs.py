"""Jobs of learning on disk: who asked, how far it is, what came of it. Each is one small file."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from streams.model_updates import ModelUpdate
from streams.timestamps import format_ns
from tables.stores.errors import StoreConflict
from tables.stores.replacing import replacing

State = Literal["queued", "running", "done", "failed", "cancelled"]
KEPT_JOBS = 500

_SUFFIX = "json"


class Job(msgspec.Struct, kw_only=True):
    """One update that was asked for.

    ``day`` is the day of event time that a daily job is about, -1 for others. ``updates`` are what
    was done, each as soon as it is; ``told`` counts those that are on the topic.
    """

    job_id: str
    trigger: Literal["daily", "request", "command"]
    requested_ns: int
    state: State = "queued"
    mode: str = "safe"
    day: int = -1
    step: str = ""
    share: float = 0.0
    detail: str = ""
    updates: list[ModelUpdate] = []
    told: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in {"done", "failed", "cancelled"}

    def unmade(self, now_ns: int) -> ModelUpdate:
        """Return the event of an update of which nothing came."""
        return ModelUpdate(
            timestamp=format_ns(now_ns),
            job_id=self.job_id,
            model_id="",
            update_type="online_update",
            outcome="cancelled" if self.state == "cancelled" else "failed",
            before="",
            after="",
            detail=self.detail,
        )


class Jobs:
    """The jobs of a stack under one directory; one process at a time writes a job.

    Parameters
    ----------
    root
        Made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, job: Job) -> None:
        """Write a job as it stands, and let the oldest go that are over and told."""
        self.root.mkdir(parents=True, exist_ok=True)
        with replacing(self._path(job.job_id)) as file:
            file.write(msgspec.json.encode(job))
        over = [each for each in self.all() if each.is_over and each.told == len(each.updates)]
        for old in over[: max(len(over) - KEPT_JOBS, 0)]:
            self._path(old.job_id).unlink(missing_ok=True)

    @contextmanager
    def only_one(self) -> Iterator[None]:
        """Run the block unless another process runs one: models of a stack learn one at a time.

        Raises
        ------
        StoreConflict
            If one does.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StoreConflict(
                    f"another update runs in {self.root.parent}: expected one at a time, wait for "
                    "it or cancel it"
                ) from error
            yield

    def find(self, job_id: str) -> Job | None:
        """Return a job, None if there is none of this id."""
        try:
            return msgspec.json.decode(self._path(job_id).read_bytes(), type=Job)
        except (FileNotFoundError, ValueError):
            return None

    def all(self) -> list[Job]:
        """Return all jobs, the first that was asked for first."""
        names = [path.stem for path in self.root.glob(f"*.{_SUFFIX}")]
        found = [job for job in map(self.find, names) if job is not None]
        return sorted(found, key=lambda job: (job.requested_ns, job.job_id))

    def _path(self, job_id: str) -> Path:
        if not job_id or not job_id.replace("-", "").isalnum():
            raise ValueError(f"a job's id was {job_id!r}; expected letters, digits and -")
        return self.root / f"{job_id}.{_SUFFIX}"
