"""The API's client: patience with what passes, one key per wish, and problems as exceptions."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.client import Api, ApiAwayError, ApiError
from streams.questions import (
    FeatureAnswer,
    ForensicsAnswer,
    ForensicsPage,
    Health,
    ModelsAnswer,
    OfDecisions,
    OfForensics,
    PortfolioAnswer,
    Predict,
    Problem,
    RegimeAnswer,
    RiskCheck,
    Wrong,
)
from streams.rollouts import FeatureFlag, RolloutsAnswer, RolloutState, SetFlag, StartRollout
from tables.views.examples import examples

FEATURES = FeatureAnswer(
    symbol="A/B", timeframe="1min", version="v1.0.0", bar_close="x", features={}, warming_up=[]
)
OK = web.json_response


@dataclass
class Scripted:
    """A server that gives prepared answers, the last one for ever, and keeps what it was asked."""

    answers: list[Callable[[], web.StreamResponse]]
    asked: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        self.asked.append(request)
        self.bodies.append(await request.read())
        return self.answers.pop(0)() if len(self.answers) > 1 else self.answers[0]()


Script = Callable[..., Awaitable[Scripted]]


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    """Give a way to serve prepared answers."""
    servers = []

    async def served(*answers: Callable[[], web.StreamResponse]) -> Scripted:
        scripted = Scripted(list(answers))
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", scripted.answer)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        scripted.url = str(server.make_url("/"))
        return scripted

    yield served
    for server in servers:
        await server.close()


def problem(status: int, code: str = "BUSY", **more: Any) -> Callable[[], web.StreamResponse]:  # noqa: ANN401  fields
    """Make a problem's answer."""
    headers = more.pop("headers", {})
    said = Problem(type="about:blank", title="", status=status, detail="why", code=code, **more)
    return lambda: web.Response(
        status=status,
        body=msgspec.json.encode(said),
        headers=headers,
        content_type="application/problem+json",
    )


def features() -> web.StreamResponse:
    """Answer with features."""
    return web.Response(body=msgspec.json.encode(FEATURES))


async def test_api_when_busy_then_asks_again_with_the_same_key(script: Script) -> None:
    """503 and 504 pass; the wish is the same one each time, and a second call is another."""
    server = await script(problem(503), problem(504), problem(409, "KEY_REUSED"))
    async with Api(server.url, "t0k3n") as api:
        with pytest.raises(ApiError, match="409 KEY_REUSED: why"):
            await api.predict(Predict(symbol="AAPL"))
        with pytest.raises(ApiError):
            await api.predict(Predict(symbol="AAPL"), key="mine")
    keys = [request.headers["Idempotency-Key"] for request in server.asked]
    assert len(keys) == 4
    assert len(set(keys[:3])) == 1
    assert keys[0] != "mine"
    assert keys[3] == "mine"
    assert msgspec.json.decode(server.bodies[0], type=Predict) == Predict(symbol="AAPL")
    assert server.asked[0].headers["Authorization"] == "Bearer t0k3n"
    assert server.asked[0].content_type == "application/json"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415, 422, 429, 500])
async def test_api_when_the_problem_stays_then_is_raised_at_once(
    script: Script, status: int
) -> None:
    """Asking again cannot help; the caller learns field, value and what was expected."""
    wrong = Wrong("quantity", -1, "0 < quantity")
    server = await script(problem(status, "BAD", errors=[wrong], headers={"Retry-After": "15"}))
    async with Api(server.url, "t") as api:
        with pytest.raises(ApiError) as caught:
            await api.check(RiskCheck(symbol="AAPL", side="BUY", quantity=-1))
    error = caught.value
    assert (error.status, error.code, error.retry_after_s) == (status, "BAD", 15)
    assert error.fields == [wrong]
    assert len(server.asked) == 1


async def test_api_when_told_when_to_come_back_then_does_not_come_sooner(script: Script) -> None:
    """A wait beyond the caller's patience is not begun."""
    server = await script(problem(503, headers={"Retry-After": "60"}))
    async with Api(server.url, "t", patience_s=5) as api:
        with pytest.raises(ApiError) as caught:
            await api.features("A", "1min")
    assert caught.value.retry_after_s == 60
    assert len(server.asked) == 1


async def test_api_when_asked_then_addresses_are_made_safely(script: Script) -> None:
    """A symbol may hold what an address may not; what was not said is not sent."""
    server = await script(features)
    async with Api(server.url, "t", timeout_ms=700) as api:
        assert await api.features("A/B", "1min", "main") == FEATURES
    (request,) = server.asked
    assert request.raw_path == "/api/v1/features/A%2FB/1min?portfolio=main"
    assert request.headers["Request-Timeout-Ms"] == "700"


async def test_api_when_asked_for_decisions_then_filters_are_sent(script: Script) -> None:
    """Only those that are set."""
    server = await script(lambda: OK({"decisions": [], "next": None}))
    async with Api(server.url, "t") as api:
        assert (await api.decisions(OfDecisions(symbol="A", limit=3))).decisions == []
        await api.decisions()
    assert dict(server.asked[0].query) == {"symbol": "A", "limit": "3"}
    assert dict(server.asked[1].query) == {"limit": "50"}


async def test_api_when_a_known_key_was_forgotten_then_says_where_its_decision_is(
    script: Script,
) -> None:
    """Behind a restart of the worker."""
    where = {"Location": "/api/v1/decisions/1"}
    server = await script(problem(409, "DECIDED_BEFORE", headers=where))
    async with Api(server.url, "t") as api:
        with pytest.raises(ApiError) as caught:
            await api.predict(Predict(symbol="A"), key="k")
    assert caught.value.location == "/api/v1/decisions/1"


async def test_api_when_somebody_else_answers_then_says_so(script: Script) -> None:
    """A proxy's page and another program's JSON are told as what they are."""
    page = await script(lambda: web.Response(status=502, text="<html>Bad gateway"))
    other = await script(lambda: OK({"hello": "world"}))
    async with Api(page.url, "t") as api:
        with pytest.raises(ApiError, match="502 NO_PROBLEM_JSON: <html>Bad gateway"):
            await api.decision("1")
    async with Api(other.url, "t") as api:
        with pytest.raises(ApiError, match=r"NOT_UNDERSTOOD.*no Decision.*is that address"):
            await api.decision("1")


async def test_api_when_nobody_answers_then_tries_as_long_as_it_is_patient(script: Script) -> None:
    """A worker that restarts is back within the caller's patience; one that is gone is not."""
    server = await script(features)
    gone = server.url.replace("127.0.0.1", "127.0.0.254")
    async with Api(gone, "t", patience_s=0.3) as api:
        with pytest.raises(ApiAwayError, match="has no answer"):
            await api.features("A", "1min")
    with pytest.raises(RuntimeError, match="async with"):
        await Api(server.url, "t").features("A", "1min")


async def test_rollouts_when_moved_then_each_wish_has_its_address(script: Script) -> None:
    """A name is a part of the address, so it is quoted; bodies are what the API takes."""
    state = RolloutState(
        rollout_id="a b", champion="a", challenger="b", dwell_seconds=1.0, stage="shadow",
        share=0.0, state="running", entered="x", transitions=[],
    )  # fmt: skip
    flag = FeatureFlag(timestamp="x", name="auto-advance", is_on=False, by="me", reason="")
    answers = (RolloutsAnswer(rollouts=[state], flags=[flag], evidence=None), state, state, flag)
    server = await script(
        *(lambda said=said: web.Response(body=msgspec.json.encode(said)) for said in answers)
    )
    async with Api(server.url, "t0k3n") as api:
        assert await api.rollouts() == answers[0]
        assert await api.start_rollout(StartRollout(challenger="b")) == state
        assert await api.act_on_rollout("a b", "hold", "so") == state
        assert await api.set_flag("auto-advance", SetFlag(is_on=False)) == flag
    assert [(each.method, each.raw_path) for each in server.asked] == [
        ("GET", "/api/v1/rollouts"),
        ("POST", "/api/v1/rollouts"),
        ("POST", "/api/v1/rollouts/a%20b/hold"),
        ("POST", "/api/v1/rollouts/flags/auto-advance"),
    ]
    assert msgspec.json.decode(server.bodies[2]) == {"reason": "so"}


@pytest.mark.parametrize(
    ("name", "asked", "kind", "path"),
    [
        ("getForensics", ("a/b",), ForensicsAnswer, "/api/v1/forensics/a%2Fb"),
        (
            "listForensics",
            (OfForensics(explained="none", limit=2),),
            ForensicsPage,
            "/api/v1/forensics?limit=2&explained=none",
        ),
        (
            "getRegime",
            ("A B", "main"),
            RegimeAnswer,
            "/regime/probabilities?symbol=A+B&portfolio=main",
        ),
        ("getPortfolio", (), PortfolioAnswer, "/risk/portfolio"),
        ("listModels", (), ModelsAnswer, "/api/v1/models"),
        ("getHealth", (), Health, "/api/v1/health"),
    ],
)
async def test_api_when_asked_then_the_published_example_is_read(
    script: Script, name: str, asked: tuple[Any, ...], kind: type[Any], path: str
) -> None:
    """Each question goes to its address, and the answer that the document shows is understood."""
    answer = examples()[name].answer
    server = await script(lambda: OK(answer))
    async with Api(server.url, "t") as api:
        ask = {
            "getForensics": api.forensics,
            "listForensics": api.audited,
            "getRegime": api.regime,
            "getPortfolio": api.portfolio,
            "listModels": api.models,
            "getHealth": api.health,
        }[name]
        said = await ask(*asked)
    assert said == msgspec.convert(answer, kind)
    assert server.asked[0].raw_path == path


async def test_api_when_there_is_not_all_yet_or_it_is_not_well_then_that_is_the_answer(
    script: Script,
) -> None:
    """202 while reasons are pending; health is asked in order to hear of what is not well."""
    pending = msgspec.to_builtins(ForensicsAnswer(decision_id="1", pending="not in the trail yet"))
    server = await script(lambda: OK(pending, status=202))
    async with Api(server.url, "t") as api:
        assert (await api.forensics("1")).pending == "not in the trail yet"
    ill = msgspec.to_builtins(Health(live=True, ready=False, parts=[]))
    busy = problem(503)
    said = [busy, lambda: OK(ill, status=503)]
    server = await script(*said)
    async with Api(server.url, "t") as api:
        assert not (await api.health()).ready
    assert len(server.asked) == 2
