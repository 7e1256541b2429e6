"""Updates over HTTP: asked for, followed, ended, by administrators alone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from streams.clock import monotonic_s
from streams.ids import request_job_id
from tables.stores.admin_log import AdminLog, AdminLogError
from tables.stores.jobs import Job
from tables.views.auth import Caller
from tables.views.online_update import CANCEL, STATUS, UPDATE, OnlineUpdate, update_endpoints
from tables.views.problems import ProblemError
from tables.views.routes import Bound, Call, Nothing, Reply

ADMIN = Caller("ops", "j", "admin", ("*",), 0)


class Learner:
    """Remembers what was asked."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self.jobs = {job.job_id: job for job in jobs}

    def ask(self, trigger: Any, mode: str, day: int, name: str) -> Job:  # noqa: ANN401  a literal
        """Return the job of a name, a new one if there is none."""
        new = Job(job_id=name, trigger=trigger, requested_ns=0, mode=mode, day=day)
        return self.jobs.setdefault(name, new)

    def find(self, name: str) -> Job | None:
        """Return a job."""
        return self.jobs.get(name)

    def cancel(self, name: str) -> Job | None:
        """End a job."""
        job = self.jobs.get(name)
        if job is not None:
            job.state = "cancelled"
        return job


@pytest.fixture
def acts(tmp_path: Path) -> AdminLog:
    """Give the log of acts of a stack."""
    return AdminLog(tmp_path)


async def answered(
    acts: AdminLog,
    learner: Learner,
    at: int,
    asked: Any = None,  # noqa: ANN401  a record
    **path: str,
) -> Reply:
    """Call one of the endpoints as an administrator would."""
    bound: Bound = update_endpoints(learner, acts)[at]
    call = Call(ADMIN, asked or Nothing(), path, {}, monotonic_s(), "key-1")
    return await bound.handler(call)


async def test_update_when_asked_for_then_is_202_with_where_to_look(
    acts: AdminLog,
) -> None:
    """The answer names job and status, and the same key is the same job."""
    learner = Learner()
    reply = await answered(acts, learner, 0, OnlineUpdate(mode="recommended"))
    wanted = request_job_id("ops", "key-1")
    assert reply.status == 202
    assert reply.body.job_id == wanted  # type: ignore[union-attr]
    assert reply.body.status_url == f"/api/v1/models/online-update/{wanted}"  # type: ignore[union-attr]
    assert reply.headers["Location"] == reply.body.status_url  # type: ignore[union-attr]
    await answered(acts, learner, 0, OnlineUpdate(mode="recommended"))
    (job,) = learner.jobs.values()
    assert (job.mode, job.trigger, job.day) == ("recommended", "request", -1)


async def test_status_when_a_job_is_known_then_says_how_far_it_is(acts: AdminLog) -> None:
    """Step, share and detail come from the job."""
    job = Job(job_id="a", trigger="daily", requested_ns=0, state="running", step="learn", share=0.5)
    reply = await answered(acts, Learner([job]), 1, job_id="a")
    assert (reply.status, reply.body.step, reply.body.share) == (200, "learn", 0.5)  # type: ignore[union-attr]
    reply = await answered(acts, Learner([job]), 2, job_id="a")
    assert (reply.status, reply.body.state) == (202, "cancelled")  # type: ignore[union-attr]


@pytest.mark.parametrize("at", [1, 2])
async def test_status_when_a_job_is_unknown_then_is_404(acts: AdminLog, at: int) -> None:
    """An id of nothing is said to be one."""
    with pytest.raises(ProblemError, match="no job_id 'x'") as raised:
        await answered(acts, Learner(), at, job_id="x")
    assert raised.value.status == 404


async def test_update_when_asked_for_or_ended_then_stands_among_the_acts(acts: AdminLog) -> None:
    """Who, by which token, what and with which end; one of an unknown job is an act that failed."""
    learner = Learner()
    reply = await answered(acts, learner, 0, OnlineUpdate(mode="safe"))
    name = reply.body.job_id  # type: ignore[union-attr]
    await answered(acts, learner, 2, job_id=name)
    with pytest.raises(ProblemError):
        await answered(acts, learner, 2, job_id="x")
    found = acts.acts()
    assert [(act.deed.what, act.deed.on, act.result, act.detail) for act in found] == [
        ("online-update", f"job {name}, mode safe", "done", "queued"),
        ("online-update cancel", f"job {name}", "done", "cancelled"),
        ("online-update cancel", "job x", "failed", found[2].detail),
    ]
    assert "UNKNOWN_JOB" in found[2].detail
    assert {(a.deed.by, a.deed.actor, a.deed.role) for a in found} == {("ops", "token j", "admin")}


async def test_update_when_the_act_cannot_be_written_then_nothing_is_done(tmp_path: Path) -> None:
    """A full disk: no job begins."""
    (tmp_path / "file").touch()
    learner = Learner()
    with pytest.raises(AdminLogError):
        await answered(AdminLog(tmp_path / "file"), learner, 0, OnlineUpdate())
    assert learner.jobs == {}


def test_routes_when_read_then_administrators_alone_may_call() -> None:
    """Models decide for every portfolio: nobody else changes them."""
    assert {route.roles for route in (UPDATE, STATUS, CANCEL)} == {("admin",)}
