"""Rollouts over HTTP: seen by all who may ask, moved by administrators alone."""

from typing import Any

import pytest

from models.errors import Refused
from models.rollout.stages import Kind
from streams.clock import monotonic_s
from streams.rollouts import (
    ActOnRollout,
    FeatureFlag,
    FlagName,
    RolloutsAnswer,
    RolloutState,
    SetFlag,
    StartRollout,
)
from tables.views.api import OF_ROLLOUT
from tables.views.auth import Caller
from tables.views.problems import ProblemError
from tables.views.rollouts import rollout_endpoints
from tables.views.routes import Call, Nothing, Reply

ADMIN = Caller("ops", "j", "admin", ("*",), 0)
STATE = RolloutState(
    rollout_id="r1", champion="a", challenger="b", dwell_seconds=1.0, stage="shadow", share=0.0,
    state="running", entered="2026-01-01T00:00:00Z", transitions=[],
)  # fmt: skip
ANSWER = RolloutsAnswer(rollouts=[STATE], flags=[], evidence=None)


class Desk:
    """Remembers what was asked, and refuses what it is told to."""

    def __init__(self, refused: Refused | None = None) -> None:
        self.refused = refused
        self.asked: list[Any] = []

    def told(self) -> RolloutsAnswer:
        """Return one rollout."""
        return ANSWER

    async def begin(self, *asked: Any) -> RolloutState:  # noqa: ANN401  whatever is asked
        """Begin one."""
        return self._answer("start", *asked)

    async def act(self, kind: Kind, name: str, by: str, reason: str) -> RolloutState:
        """Move it."""
        return self._answer(kind, name, by, reason)

    async def set_flag(self, name: FlagName, by: str, reason: str, *, is_on: bool) -> FeatureFlag:
        """Set a flag."""
        self.asked.append((name, by, reason, is_on))
        return FeatureFlag(timestamp="", name=name, is_on=is_on, by=by, reason=reason)

    def _answer(self, *asked: Any) -> RolloutState:  # noqa: ANN401  as above
        self.asked.append(asked)
        if self.refused is not None:
            raise self.refused
        return STATE


async def answered(desk: Desk, name: str, asked: Any = None, **path: str) -> Reply:  # noqa: ANN401  a record
    """Call an endpoint by its name."""
    bound = {each.route.name: each for each in rollout_endpoints(desk)}[name]
    return await bound.handler(Call(ADMIN, asked or Nothing(), path, {}, monotonic_s(), "key-1"))


def test_routes_when_read_then_only_administrators_move_anything() -> None:
    """All who may ask see; nothing but the one GET is open to them."""
    for route in OF_ROLLOUT:
        assert (route.roles == ("admin",)) is (route.method == "POST")
    assert {bound.route for bound in rollout_endpoints(Desk())} == set(OF_ROLLOUT)


async def test_rollouts_when_asked_for_then_are_the_desks() -> None:
    """The answer is what the role knows."""
    assert (await answered(Desk(), "getRollouts")).body == ANSWER


async def test_start_when_asked_for_then_names_who_wants_it() -> None:
    """By the subject of the token; seven days unless it is said otherwise."""
    desk = Desk()
    await answered(desk, "startRollout", StartRollout(challenger="c", reason="why"))
    await answered(
        desk, "startRollout", StartRollout(challenger="c", rollout_id="x", dwell_seconds=1.5)
    )
    assert desk.asked == [
        ("start", "", "c", "ops", "why", 7 * 86_400 * 10**9),
        ("start", "x", "c", "ops", "", 1_500_000_000),
    ]


@pytest.mark.parametrize("kind", ["advance", "hold", "resume", "rollback"])
async def test_act_when_asked_for_then_is_done(kind: str) -> None:
    """Each act has an address of its own."""
    desk = Desk()
    reply = await answered(desk, f"{kind}Rollout", ActOnRollout(reason="so"), rollout_id="r1")
    assert reply.body == STATE
    assert desk.asked == [(kind, "r1", "ops", "so")]


@pytest.mark.parametrize(
    ("code", "status"), [("UNKNOWN_ROLLOUT", 404), ("NOT_NOW", 409), ("NO_EVIDENCE", 409)]
)
async def test_act_when_refused_then_says_what_stands_against_it(code: str, status: int) -> None:
    """A rollout that is not there is not found; what cannot be now is a conflict."""
    desk = Desk(Refused(code, "state", "held", "running for advance"))
    with pytest.raises(ProblemError) as caught:
        await answered(desk, "advanceRollout", ActOnRollout(), rollout_id="r1")
    assert (caught.value.status, caught.value.code) == (status, code)


async def test_start_when_refused_then_is_a_conflict() -> None:
    """The field that is to blame, its value, and what was expected."""
    desk = Desk(Refused("BAD_DWELL", "dwell", 0, "a time above zero"))
    with pytest.raises(ProblemError, match="dwell was 0; expected a time above zero") as caught:
        await answered(desk, "startRollout", StartRollout(challenger="c"))
    assert caught.value.status == 409


async def test_flag_when_set_then_is_one_of_ours() -> None:
    """A flag that nobody reads is not taken."""
    desk = Desk()
    reply = await answered(desk, "setRolloutFlag", SetFlag(is_on=False), flag="auto-advance")
    assert reply.body.is_on is False  # type: ignore[union-attr]
    with pytest.raises(ProblemError, match="auto-advance, auto-rollback") as caught:
        await answered(desk, "setRolloutFlag", SetFlag(is_on=True), flag="other")
    assert caught.value.status == 404
