"""The API of a real worker on a real broker: answers, decisions on Kafka, restarts, two workers."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agents.run.workers import free_port
from streams.topics import PORTFOLIO_EVENTS, TRADING_DECISIONS
from tests.e2e.serving import Served, served
from tests.e2e.test_readme import program
from tests.runs import TAPE

pytestmark = [pytest.mark.broker, pytest.mark.asyncio(loop_scope="module")]

PREDICT = "/api/v1/predict"
ONE, TWO = TAPE.symbols[:2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(broker: str, home: Path, fitted: str) -> AsyncIterator[Served]:
    """Give a worker that has decided the whole tape, and the process of the pages beside it."""
    async with served(broker, home, fitted, "served") as found:
        yield found


async def events(api: Served) -> dict[str, tuple[bytes, dict[str, bytes]]]:
    """Read the decisions about intents: by key, the value and the headers."""
    records = await api.trial.records(TRADING_DECISIONS.name)
    found = {}
    for record in records:
        key = json.loads(record.value)["intent_id"]
        if key:
            found[key] = (record.value, dict(record.headers))
    return found


async def test_predict_when_answered_then_the_event_is_on_kafka_already(api: Served) -> None:
    """The answer's fields are the event's, and the request's ids are in its headers."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"Idempotency-Key": "first", "X-Request-Id": "r-1", "traceparent": trace}
    status, said = await api.post(PREDICT, {"symbol": ONE}, **headers)
    assert status == 200
    value, kept = (await events(api))["first"]
    event = json.loads(value)
    shared = set(said) & set(event)
    assert {name: said[name] for name in shared} == {name: event[name] for name in shared}
    assert kept["request-id"] == b"r-1"
    assert kept["traceparent"] == trace.encode()
    logged = api.trial.children.log_of("worker-0").read_text()
    (line,) = [one for one in logged.splitlines() if "request_id=r-1 " in one]
    assert " INFO tradewind.http " in line
    assert f"decision_id={said['decision_id']}" in line


async def test_predict_when_the_key_is_the_same_then_so_is_the_decision(api: Served) -> None:
    """Twenty at once, and once more: one record in the log, one decision, one id."""
    headers = {"Idempotency-Key": "twenty"}
    asking = [api.post(PREDICT, {"symbol": TWO}, **headers) for _ in range(20)]
    answers = [*await asyncio.gather(*asking), await api.post(PREDICT, {"symbol": TWO}, **headers)]
    assert {status for status, _ in answers} == {200}
    assert len({said["decision_id"] for _, said in answers}) == 1
    log = await api.trial.records(PORTFOLIO_EVENTS.name)
    assert sum(b'"intent_id":"twenty"' in record.value for record in log) == 1
    status, said = await api.post(PREDICT, {"symbol": ONE}, **headers)
    assert (status, said["code"]) == (409, "KEY_REUSED")


async def test_features_when_five_minutes_have_closed_then_are_served(api: Served) -> None:
    """Folded from seconds; one bar is not enough for most of them, and an hour has not passed."""
    status, said = await api.get(f"/api/v1/features/{ONE}/5min")
    if status == 503:  # a test before started the worker again, and no bar has come since
        assert said["code"] == "NO_BAR_SINCE_START"
        return
    assert (status, said["bar_close"]) == (200, "2026-01-05T00:05:00Z")
    assert said["warming_up"]
    status, said = await api.get(f"/api/v1/features/{ONE}/1hour")
    assert (status, said["code"]) == (409, "NO_RECENT_BAR")


async def test_check_when_many_ask_at_once_then_none_reserves(api: Served) -> None:
    """The same question has the same answer, however often it is asked."""
    body = {"symbol": ONE, "side": "SELL", "quantity": 1}
    answers = await asyncio.gather(*(api.post("/risk/check", body) for _ in range(30)))
    assert {status for status, _ in answers} == {200}
    for _, said in answers:
        del said["as_of"]["next_offset"]  # a message that moves no book may arrive in between
    assert len({json.dumps(said, sort_keys=True) for _, said in answers}) == 1


async def test_api_when_a_worker_is_killed_then_answers_again_with_the_same_bar(
    api: Served,
) -> None:
    """The last bar is read again, so questions need not wait for the next one."""
    _, before = await api.get(f"/api/v1/features/{ONE}/1s")
    _, decided = await api.post(PREDICT, {"symbol": ONE}, **{"Idempotency-Key": "killed"})
    await api.trial.end(signal.SIGKILL)
    api.start("0")
    await api.ready()

    async def answers() -> bool:
        # Beside another worker it is ready for what that one owns before it has read a bar itself.
        status, _ = await api.get(f"/api/v1/features/{ONE}/1s")
        return status == 200

    await api.trial.until(answers, "features of the last bar")
    _, after = await api.get(f"/api/v1/features/{ONE}/1s")
    assert after == before
    status, again = await api.post(PREDICT, {"symbol": ONE}, **{"Idempotency-Key": "killed"})
    if status == 409:  # it stands behind the last snapshot: the book knows, the process forgot
        assert decided["decision_id"] in again["detail"]
    else:
        assert (status, again["decision_id"]) == (200, decided["decision_id"])


async def pages(api: Served, name: str = "web", worker: str = "0") -> None:
    """Have a process of the pages beside a worker, with all decisions read."""
    run = api.trial.run
    if name not in api.ports:
        port = api.ports[name] = free_port("127.0.0.1")
        api.trial.children.start(
            name,
            "web",
            f"--bootstrap={run.bootstrap_servers}",
            f"--run={run.name}",
            f"--port={port}",
            f"--auth={api.keys.folder}",
            f"--stack={api.stack}",
            f"--api-url={api.url('', worker)}",
        )
    n = len(TAPE.symbols) * len(TAPE.closes_ns())

    async def read() -> bool:
        try:
            async with api.session.get(api.url("/health", name)) as answer:
                is_read = answer.status == 200
                return is_read and bool((await answer.json())["decisions"] >= n)
        except OSError:
            return False

    await api.trial.until(read, "the pages have read all decisions")


async def test_api_when_asked_for_decisions_then_the_pages_answer(api: Served) -> None:
    """One address for everything: the pages know decisions, and pass on what a worker knows."""
    await api.post(PREDICT, {"symbol": ONE})
    await pages(api)
    of_one = f"/api/v1/decisions?symbol={ONE}&verdict=hold"
    _, said = await asked(api, f"{of_one}&limit=3")
    assert [(row["symbol"], row["action"]) for row in said["decisions"]] == [(ONE, "HOLD")] * 3
    _, more = await asked(api, f"{of_one}&before={said['next']}&limit=1")
    ids = [row["decision_id"] for row in (*said["decisions"], *more["decisions"])]
    assert len(set(ids)) == 4
    times = [row["timestamp"] for row in (*said["decisions"], *more["decisions"])]
    assert times == sorted(times, reverse=True)
    key, (value, _) = next(iter((await events(api)).items()))
    decision_id = json.loads(value)["decision_id"]
    async with api.session.get(
        api.url(f"/api/v1/decisions/{decision_id}", "web"), headers=api.headers()
    ) as answer:
        assert await answer.read() == value, key
    status, said = await asked(api, "/risk/portfolio")
    assert (status, said["portfolio"]) == (200, "main")
    for path, expected in (
        ("/api/v1/decisions/none", (422, "BAD_ID")),
        (f"/api/v1/decisions/{'0' * 8}-0000-0000-0000-{'0' * 12}", (404, "UNKNOWN_DECISION")),
        ("/api/v1/decisions?limit=0", (422, "BAD_FIELD")),
        ("/api/v1/decisions?before=x", (422, "BAD_FIELD")),
    ):
        status, said = await asked(api, path)
        assert (status, said["code"]) == expected


async def asked(api: Served, path: str, name: str = "web") -> tuple[int, Any]:
    """Ask a process of the pages."""
    async with api.session.get(api.url(path, name), headers=api.headers()) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_client_of_the_readme_when_it_asks_then_is_answered(api: Served) -> None:
    """By the pages' address, which passes on what a worker knows."""
    await pages(api)
    token = api.token("trader")
    said = await program("client").ask(api.url("", "web"), token, ONE, "1s")
    assert said[0] in {"would pass", "would be refused"}
    assert said[1] in {"BUY", "SELL", "HOLD"}
    assert len(said[2:-1]) == 5
    assert said[-1] == "quantity -1 `float` > 0.0"


async def test_api_when_two_workers_serve_then_either_answers_for_the_other(api: Served) -> None:
    """Who does not own the portfolio asks who does, also for the pages that know only this one."""
    api.start("1")
    await api.trial.members(2)
    key, body = {"Idempotency-Key": "either"}, {"symbol": ONE, "portfolio": "main"}
    said = {}
    for instance in ("0", "1"):
        await api.ready(instance)

        async def answers(instance: str = instance) -> bool:
            async with api.session.post(
                api.url(PREDICT, instance), json=body, headers=api.headers() | key
            ) as answer:
                said[instance] = await answer.json(content_type=None)
                return answer.status == 200

        await api.trial.until(answers, f"worker {instance} answers")
    assert said["0"]["decision_id"] == said["1"]["decision_id"]
    for name, worker in (("web", "0"), ("web-1", "1")):
        await pages(api, name, worker)
        for path in ("/risk/portfolio", "/regime/probabilities"):
            status, answer = await asked(api, path, name)
            assert (status, answer.get("code")) == (200, None), (name, path)
