"""Jobs on disk: found as they were written, one at a time, the oldest let go."""

from pathlib import Path

import pytest

from tables.stores import jobs as jobs_on_disk
from tables.stores.errors import StoreConflict
from tables.stores.jobs import Job, Jobs


def job(number: int, **fields: object) -> Job:
    """Give a job that was asked for at a time."""
    return Job(job_id=f"j-{number}", trigger="command", requested_ns=number, **fields)  # type: ignore[arg-type]


def test_put_when_read_again_then_is_the_same_in_order_of_time(tmp_path: Path) -> None:
    """The first that was asked for is the first."""
    jobs = Jobs(tmp_path / "jobs")
    for number in (2, 10, 1):
        jobs.put(job(number, state="running"))
    assert [each.requested_ns for each in jobs.all()] == [1, 2, 10]
    assert jobs.find("j-2") == job(2, state="running")
    assert not job(2).is_over
    assert job(2, state="cancelled").is_over


@pytest.mark.parametrize("job_id", ["", "../x", "none"])
def test_find_when_there_is_no_such_job_then_is_none(tmp_path: Path, job_id: str) -> None:
    """An id from outside never becomes a path elsewhere."""
    assert Jobs(tmp_path).find(job_id) is None


def test_put_when_many_are_over_then_lets_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits or runs stays, however old it is."""
    monkeypatch.setattr(jobs_on_disk, "KEPT_JOBS", 2)
    jobs = Jobs(tmp_path)
    jobs.put(job(0))
    for number in (1, 2, 3):
        jobs.put(job(number, state="done"))
    assert [each.requested_ns for each in jobs.all()] == [0, 2, 3]


def test_only_one_when_another_runs_then_is_refused(tmp_path: Path) -> None:
    """Models of a stack learn one at a time."""
    jobs = Jobs(tmp_path)
    with (
        jobs.only_one(),
        pytest.raises(StoreConflict, match="another update runs"),
        Jobs(tmp_path).only_one(),
    ):
        pass
    with jobs.only_one():
        pass
