"""``/api/v1/rollouts``: how rollouts stand and what they show; begin one, let it go on, or back."""

from typing import Protocol, get_args

from models.errors import Refused
from models.rollout.stages import DWELL_NS, Kind
from streams.instructions import Role
from streams.questions import Wrong
from streams.rollouts import (
    ActOnRollout,
    FeatureFlag,
    FlagName,
    RolloutsAnswer,
    RolloutState,
    SetFlag,
    StartRollout,
)
from tables.views.problems import ProblemError, unknown
from tables.views.routes import Bound, Call, Handler, Nothing, Reply, Route

_PATH = "/api/v1/rollouts"
_ADMIN: tuple[Role, ...] = ("admin",)
_NS_PER_S = 10**9


class RolloutDesk(Protocol):
    """Who moves rollouts."""

    def told(self) -> RolloutsAnswer:
        """Return how all rollouts stand."""
        ...

    async def begin(
        self, name: str, challenger: str, by: str, reason: str, dwell_ns: int
    ) -> RolloutState:
        """Begin a rollout in shadow."""
        ...

    async def act(self, kind: Kind, name: str, by: str, reason: str) -> RolloutState:
        """Let a rollout go on, stand or go back."""
        ...

    async def set_flag(self, name: FlagName, by: str, reason: str, *, is_on: bool) -> FeatureFlag:
        """Set a flag."""
        ...


ROLLOUTS = Route(
    "GET",
    _PATH,
    "getRollouts",
    "How do rollouts stand?",
    "Stage, share and every transition with the evidence that it was made on, the last rollout "
    "first; the flags; and what the running stage has shown so far, arm by arm.",
    Nothing,
    RolloutsAnswer,
    limited="features",
)
START = Route(
    "POST",
    _PATH,
    "startRollout",
    "Begin a rollout",
    "The challenger runs in shadow beside the models that decide, from the next close on. One "
    "rollout at a time; 409 says what is against it.",
    StartRollout,
    RolloutState,
    roles=_ADMIN,
    limited="admin",
    codes=(409,),
)
_SAID: dict[Kind, tuple[str, str]] = {
    "advance": (
        "Go on to the next stage",
        "5 %, 25 %, all, from the next close on, then the end; only if the evidence carries it.",
    ),
    "hold": ("Let a rollout stand", "It stays in its stage until it is resumed; guards go on."),
    "resume": ("Let a held rollout go on", "Its stage's time has gone on meanwhile."),
    "rollback": (
        "Go back to the champion",
        "The champion decides alone from the next close on; within 28 days after the end as well.",
    ),
}
ACTS: dict[Kind, Route] = {
    kind: Route(
        "POST",
        f"{_PATH}/{{rollout_id}}/{kind}",
        f"{kind}Rollout",
        *said,
        ActOnRollout,
        RolloutState,
        roles=_ADMIN,
        limited="admin",
        codes=(404, 409),
    )
    for kind, said in _SAID.items()
}
FLAG = Route(
    "POST",
    f"{_PATH}/flags/{{flag}}",
    "setRolloutFlag",
    "Set a flag",
    "`auto-advance` lets stages end by themselves, `auto-rollback` lets guards end rollouts. Both "
    "are on until they are set; each setting is a record of `rollout-stages`.",
    SetFlag,
    FeatureFlag,
    roles=_ADMIN,
    limited="admin",
    codes=(404,),
)


def rollout_endpoints(desk: RolloutDesk) -> tuple[Bound, ...]:
    """Return the endpoints about rollouts."""

    async def told(_call: Call) -> Reply:
        return Reply(desk.told())

    async def begin(call: Call) -> Reply:
        asked: StartRollout = call.asked
        dwell_ns = DWELL_NS
        if asked.dwell_seconds is not None:
            dwell_ns = round(asked.dwell_seconds * _NS_PER_S)
        try:
            said = await desk.begin(
                asked.rollout_id, asked.challenger, call.caller.subject, asked.reason, dwell_ns
            )
        except Refused as error:
            raise _problem(error) from error
        return Reply(said)

    async def flag(call: Call) -> Reply:
        asked: SetFlag = call.asked
        name = next((each for each in get_args(FlagName) if each == call.path["flag"]), None)
        if name is None:
            expected = f"one of {', '.join(get_args(FlagName))}"
            raise unknown("UNKNOWN_FLAG", "flag", call.path["flag"], expected)
        by = call.caller.subject
        return Reply(await desk.set_flag(name, by, asked.reason, is_on=asked.is_on))

    acts = (Bound(route, _acting(desk, kind)) for kind, route in ACTS.items())
    return (Bound(ROLLOUTS, told), Bound(START, begin), *acts, Bound(FLAG, flag))


def _acting(desk: RolloutDesk, kind: Kind) -> Handler:
    async def act(call: Call) -> Reply:
        asked: ActOnRollout = call.asked
        name = call.path["rollout_id"]
        try:
            return Reply(await desk.act(kind, name, call.caller.subject, asked.reason))
        except Refused as error:
            if error.code == "UNKNOWN_ROLLOUT":
                expected = f"the id of a rollout, as GET {_PATH} has it"
                raise unknown(error.code, "rollout_id", name, expected) from error
            raise _problem(error) from error

    return act


def _problem(error: Refused) -> ProblemError:
    value = error.value if isinstance(error.value, str | int) else str(error.value)
    detail = f"{error.field} was {value!r}; expected {error.expected}"
    return ProblemError(409, error.code, detail, (Wrong(error.field, value, error.expected),))
