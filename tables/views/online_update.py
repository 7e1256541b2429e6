"""``POST /api/v1/models/online-update``: ask for an update of the models, follow it, end it."""

from contextlib import AbstractContextManager
from typing import Literal, Protocol

import msgspec

from streams.ids import request_job_id
from streams.instructions import Role
from streams.model_updates import ModelUpdate
from streams.timestamps import format_ns
from tables.stores.admin_log import AdminLog, Deed, Outcome
from tables.stores.jobs import Job
from tables.views.problems import unknown
from tables.views.routes import Bound, Call, Nothing, Reply, Route

_PATH = "/api/v1/models/online-update"
_ADMIN: tuple[Role, ...] = ("admin",)


class OnlineUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to update: at the promised numbers, or at those that are recommended beside them."""

    mode: Literal["safe", "recommended"] = "safe"


class CancelUpdate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing but the wish: an empty object."""


class JobAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands: ``share`` of its step is done, ``updates`` is what became of it."""

    job_id: str
    status_url: str
    state: str
    trigger: str
    mode: str
    requested: str
    step: str
    share: float
    detail: str
    updates: list[ModelUpdate]


class Learner(Protocol):
    """Who runs jobs."""

    def ask(self, trigger: Literal["daily", "request"], mode: str, day: int, name: str) -> Job:
        """Ask for an update; the same name twice is the same job."""
        ...

    def find(self, name: str) -> Job | None:
        """Return a job as it stands."""
        ...

    def cancel(self, name: str) -> Job | None:
        """Let a job end, and return it as it stands."""
        ...


UPDATE = Route(
    "POST",
    _PATH,
    "postOnlineUpdate",
    "Update the models now",
    "Starts an update of the champion from the last days, or lets it wait for the one that runs. "
    "202 with `status_url`. The same `Idempotency-Key` is the same job.",
    OnlineUpdate,
    JobAnswer,
    roles=_ADMIN,
    limited="admin",
    statuses=(202,),
)
STATUS = Route(
    "GET",
    f"{_PATH}/{{job_id}}",
    "getOnlineUpdate",
    "How far is an update?",
    "State, step and finished share, and what became of it.",
    Nothing,
    JobAnswer,
    roles=_ADMIN,
    limited="admin",
    codes=(404,),
)
CANCEL = Route(
    "POST",
    f"{_PATH}/{{job_id}}/cancel",
    "cancelOnlineUpdate",
    "End an update",
    "An update that ends half way leaves no model; one that is over stays as it is.",
    CancelUpdate,
    JobAnswer,
    roles=_ADMIN,
    limited="admin",
    codes=(404,),
    statuses=(202,),
)


def update_endpoints(learner: Learner, acts: AdminLog) -> tuple[Bound, ...]:
    """Return the endpoints about updates; what changes something is an act of an administrator."""

    async def update(call: Call) -> Reply:
        name, mode = _name(call), call.asked.mode
        with _written(acts, "online-update", f"job {name}, mode {mode}", call) as act:
            job = learner.ask("request", mode, -1, name)
            act.detail = job.state
        return Reply(_answer(job), 202, {"Location": _url(job)})

    async def status(call: Call) -> Reply:
        return Reply(_answer(_known(learner.find(call.path["job_id"]), call)))

    async def cancel(call: Call) -> Reply:
        with _written(acts, "online-update cancel", f"job {call.path['job_id']}", call) as act:
            job = _known(learner.cancel(call.path["job_id"]), call)
            act.detail = job.state
        return Reply(_answer(job), 202)

    return (Bound(UPDATE, update), Bound(STATUS, status), Bound(CANCEL, cancel))


def _written(acts: AdminLog, what: str, on: str, call: Call) -> AbstractContextManager[Outcome]:
    """Write an act down, as those of commands are, by the token that asks for it."""
    caller = call.caller
    deed = Deed(what=what, on=on, by=caller.subject, actor=f"token {caller.jti}", role=caller.role)
    return acts.act(deed)


def _name(call: Call) -> str:
    """Return the id of the job that a caller's key stands for."""
    return request_job_id(call.caller.subject, call.key)


def _known(job: Job | None, call: Call) -> Job:
    if job is None:
        expected = f"the job_id of an answer to {_PATH}"
        raise unknown("UNKNOWN_JOB", "job_id", call.path["job_id"], expected)
    return job


def _answer(job: Job) -> JobAnswer:
    return JobAnswer(
        job_id=job.job_id,
        status_url=_url(job),
        state=job.state,
        trigger=job.trigger,
        mode=job.mode,
        requested=format_ns(job.requested_ns),
        step=job.step,
        share=job.share,
        detail=job.detail,
        updates=job.updates,
    )


def _url(job: Job) -> str:
    return f"{_PATH}/{job.job_id}"
