"""What holds for every endpoint: time, number, size, errors of ours, and who answers instead."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tables.stores.admin_log import AdminLogError
from tables.views.api import OF_WORKERS, api, elsewhere
from tables.views.auth import Callers
from tables.views.bodies import MOST_BYTES
from tables.views.call_limits import PER_MINUTE, CallLimits
from tables.views.endpoint import Endpoints
from tables.views.forwarding import Forwarder
from tests.attacks import answer_to
from tests.unit.agents.test_risk import SYMBOLS
from tests.unit.tables.views.answering import Answering
from tests.unit.tables.views.conftest import STACK, Asking, Serve

ORDER = {"symbol": SYMBOLS[0], "side": "BUY", "quantity": 1}
CHECK = "/risk/check"

# A quarter of a minute is left; tokens are checked by another clock, and are good.
NOON_NS = (1_800_000_000 // 60 * 60 + 45) * 10**9
PREDICT = "/api/v1/predict"


async def test_answer_when_late_then_is_a_problem_that_says_what_may_still_happen(
    asking: Asking,
) -> None:
    """The caller's own time-out; the same key can be asked again."""

    async def never(*_given: object) -> bytes:
        await asyncio.sleep(60)
        return b""

    asking.desk.decide = never  # type: ignore[method-assign]  a broker that is away
    headers = {"Request-Timeout-Ms": "20"}
    status, said, _ = await asking.ask(PREDICT, {"symbol": SYMBOLS[0]}, headers=headers)
    assert (status, said["code"]) == (504, "DEADLINE")
    assert "Idempotency-Key" in said["detail"]


async def test_answer_when_a_question_is_late_then_no_key_is_advised(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GET changes nothing and takes no key."""

    async def never(*_given: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("tables.stores.feature_cache.FeatureCache.get", never)
    path = f"/api/v1/features/{SYMBOLS[0]}/1min"
    status, said, _ = await asking.ask(path, headers={"Request-Timeout-Ms": "20"})
    assert (status, said["code"]) == (504, "DEADLINE")
    assert "Idempotency-Key" not in said["detail"]
    assert "Request-Timeout-Ms" in said["detail"]


async def test_answer_when_a_field_of_a_post_is_in_the_address_then_is_refused(
    asking: Asking,
) -> None:
    """It would be left out unread: another order than the one that was meant."""
    status, said, _ = await asking.ask(f"{CHECK}?quantity=1e999", ORDER)
    assert (status, said["code"]) == (422, "IN_THE_ADDRESS")
    assert "quantity was 1e999" in said["detail"]
    assert said["errors"][0]["expected"] == "the fields of a POST in its body, as JSON"


@pytest.mark.parametrize(
    ("field", "number", "bound"),
    [
        ("quantity", "1e999", "a number > 0 and <= 1e+15"),
        ("price", "-1e999", "a number >= 1e-08 and <= 1e+10"),
    ],
)
async def test_answer_when_no_float_can_hold_a_number_then_it_and_the_bound_are_told(
    asking: Asking, field: str, number: str, bound: str
) -> None:
    """As it was sent; JSON has no word for infinity."""
    given = {"symbol": '"A"', "side": '"BUY"', "quantity": "1", field: number}
    sent = "{" + ", ".join(f'"{name}": {value}' for name, value in given.items()) + "}"
    status, said, _ = await asking.ask(CHECK, data=sent.encode())
    assert (status, said["code"]) == (422, "BAD_FIELD")
    assert said["detail"] == f"{field} was {number}; expected {bound}"
    assert said["errors"] == [{"field": field, "value": number, "expected": bound}]


async def test_answer_when_a_part_gave_up_then_it_is_not_the_callers_deadline(
    asking: Asking,
) -> None:
    """The caller still had time: something behind did not answer in its own."""

    async def gives_up(*_given: object) -> bytes:
        raise TimeoutError("a store")

    asking.desk.decide = gives_up  # type: ignore[method-assign]  a store that is away
    status, said, answer = await asking.ask(PREDICT, {"symbol": SYMBOLS[0]})
    assert (status, said["code"], answer.headers["Retry-After"]) == (503, "PART_AWAY", "1")
    assert "a store" in said["detail"]


@pytest.mark.parametrize("given", ["a b", "k" * 65, "\u00fc"])
async def test_answer_when_the_key_is_not_as_documented_then_is_refused(
    asking: Asking, given: str
) -> None:
    """The document's own pattern: 1 to 64 printable characters, no space."""
    headers = {"Idempotency-Key": given}
    status, said, _ = await asking.ask(PREDICT, {"symbol": SYMBOLS[0]}, headers=headers)
    assert (status, said["code"]) == (422, "BAD_KEY")


@pytest.mark.parametrize("given", ["0", "-1", "1e3", "30001", "", "9" * 40, "soon"])
async def test_answer_when_the_deadline_is_none_then_is_refused(asking: Asking, given: str) -> None:
    """A whole number of milliseconds, half a minute at most."""
    status, said, _ = await asking.ask(CHECK, ORDER, headers={"Request-Timeout-Ms": given})
    assert (status, said["code"]) == (422, "BAD_DEADLINE")


async def test_answer_when_an_error_is_ours_then_the_caller_gets_its_number_only(
    asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the error in full under the same request."""

    def broken(_portfolio: str) -> Any:  # noqa: ANN401  it never returns
        raise RuntimeError("the secret of the house")

    asking.desk.book = broken  # type: ignore[method-assign]  a defect
    status, said, _ = await asking.ask(CHECK, ORDER, headers={"X-Request-Id": "r-7"})
    assert (status, said["code"], said["request_id"]) == (500, "INTERNAL", "r-7")
    assert "secret" not in json.dumps(said)
    assert "secret of the house" in caplog.text
    assert "r-7" in caplog.text


async def test_answer_when_an_act_cannot_be_written_down_then_is_told_to_come_back(
    asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk is no error of the caller's and none of the code: 503; the file is in the log."""

    def full(_portfolio: str) -> Any:  # noqa: ANN401  it never returns
        raise AdminLogError("/home/of/acts.jsonl cannot be written: No space left on device")

    asking.desk.book = full  # type: ignore[method-assign]  an act of any endpoint
    status, said, answer = await asking.ask(CHECK, ORDER)
    assert (status, said["code"], answer.headers["Retry-After"]) == (503, "NO_ADMIN_LOG", "60")
    assert "RateLimit" in answer.headers
    assert "acts.jsonl" not in said["detail"]
    assert "acts.jsonl cannot be written" in caplog.text


async def test_answer_when_asked_too_often_then_says_when_to_go_on(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as are allowed pass, the next is refused; another caller is not."""
    monkeypatch.setattr("tables.views.call_limits.clock.wall_ns", lambda: NOON_NS)
    most = PER_MINUTE["risk"]
    answers = [await asking.ask(CHECK, ORDER) for _ in range(most + 1)]
    statuses = [status for status, _, _ in answers]
    assert statuses == [200] * most + [429]
    _, said, answer = answers[-1]
    assert said["code"] == "TOO_MANY_REQUESTS"
    assert answer.headers["Retry-After"] == "15"
    assert answer.headers["RateLimit-Policy"] == f'"risk";q={most};w=60'
    assert answer.headers["RateLimit"] == '"risk";r=0;t=15'
    assert answers[0][2].headers["RateLimit"] == f'"risk";r={most - 1};t=15'
    other = {"Authorization": f"Bearer {asking.token('trader')}"}
    status, _, _ = await asking.ask(CHECK, ORDER, headers=other)
    assert status == 200
    monkeypatch.setattr("tables.views.call_limits.clock.wall_ns", lambda: NOON_NS + 15 * 10**9)
    status, _, _ = await asking.ask(CHECK, ORDER)
    assert status == 200


async def test_answer_when_the_body_is_refused_then_it_counts_all_the_same(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rubbish without end would keep a worker busy that others have to share."""
    monkeypatch.setattr("tables.views.call_limits.clock.wall_ns", lambda: NOON_NS)
    monkeypatch.setattr("tables.views.call_limits.PER_MINUTE", {"risk": 2})
    for left, rubbish in ((1, b"{"), (0, b"{}")):
        _, _, answer = await asking.ask(CHECK, data=rubbish)
        assert answer.headers["RateLimit"] == f'"risk";r={left};t=15'
    for body in (b"{", json.dumps(ORDER).encode()):
        status, said, _ = await asking.ask(CHECK, data=body)
        assert (status, said["code"]) == (429, "TOO_MANY_REQUESTS")


async def test_answer_when_too_large_or_not_json_then_is_refused_unread(asking: Asking) -> None:
    """413 and 415."""
    status, said, _ = await asking.ask(CHECK, data=b" " * (MOST_BYTES + 1))
    assert (status, said["code"]) == (413, "TOO_LARGE")
    headers = {"Content-Type": "text/xml"}
    status, said, _ = await asking.ask(CHECK, data=b"<a/>", headers=headers)
    assert (status, said["code"]) == (415, "NOT_JSON")


@pytest.mark.parametrize(
    ("path", "header", "body", "expected"),
    [
        (CHECK, b"Idempotency-Key: \xff", b"{}", (422, "BAD_KEY")),
        (CHECK, b"Request-Timeout-Ms: \xff", b"{}", (422, "BAD_DEADLINE")),
        (CHECK, b"Authorization: Bearer \xff", b"{}", (401, "UNKNOWN_CALLER")),
        (CHECK, b"Content-Encoding: gzip", b"rubbish", (400, "BAD_ENCODING")),
        (CHECK, b"X-Other: 1", b'{"zzz":"\\ud800"}', (422, "UNKNOWN_FIELD")),
        (CHECK, b"X-Other: 1", b'{"quantity":"\\ud800"}', (400, "NOT_JSON")),
        (CHECK + "?q=%ff", b"X-Other: 1", b"{}", (422, "IN_THE_ADDRESS")),
    ],
)
async def test_answer_when_bytes_are_no_text_then_is_a_problem_of_the_callers(
    asking: Asking, path: str, header: bytes, body: bytes, expected: tuple[int, str]
) -> None:
    """Whatever a caller sends is told again as JSON, and is no error of ours."""
    url = asking.client.make_url(path)
    sent = [
        f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close".encode(),
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        header,
    ]
    if not header.startswith(b"Authorization"):
        sent.append(f"Authorization: Bearer {asking.token('trader')}".encode())
    request = b"\r\n".join(sent) + b"\r\n\r\n" + body
    status, answer = await answer_to(str(url.host), int(url.port or 0), request)
    assert (status, json.loads(answer)["code"]) == expected, answer


async def test_answer_when_the_address_or_method_is_none_then_is_a_problem_too(
    asking: Asking,
) -> None:
    """404 and 405, as JSON."""
    answer = await asking.client.get("/api/v2/predict")
    assert (answer.status, (await answer.json(content_type=None))["code"]) == (
        404,
        "NO_SUCH_ADDRESS",
    )
    answer = await asking.client.get(PREDICT)
    said = await answer.json(content_type=None)
    assert (answer.status, said["code"], answer.headers["Allow"]) == (405, "WRONG_METHOD", "POST")
    assert answer.headers["Server"] == "tradewind"


async def test_answer_when_another_owns_it_then_is_forwarded_once_with_all_of_it(
    asking: Asking,
) -> None:
    """Body, caller, key, deadline and request id arrive; the answer comes back as it is."""
    seen: dict[str, Any] = {}

    async def owner(request: web.Request) -> web.Response:
        seen.update(headers=request.headers, body=await request.json(), path=request.path_qs)
        return web.json_response({"code": "THEIRS"}, status=418, headers={"RateLimit": "x"})

    app = web.Application()
    app.router.add_post(PREDICT, owner)
    server = TestServer(app)
    await server.start_server()
    asking.desk.elsewhere = str(server.make_url(""))
    body = {"symbol": SYMBOLS[0]}
    headers = {"Idempotency-Key": "k", "Request-Timeout-Ms": "900", "X-Request-Id": "r-1"}
    status, said, answer = await asking.ask(PREDICT, body, headers=headers)
    assert (status, said, answer.headers["RateLimit"]) == (418, {"code": "THEIRS"}, "x")
    assert (seen["body"], seen["path"]) == (body, PREDICT)
    assert {name: seen["headers"][name] for name in headers} == headers
    assert seen["headers"]["Authorization"].startswith("Bearer ")
    status, said, answer = await asking.ask(
        PREDICT, body, headers={"Tradewind-Forwarded": "1", "X-Request-Id": "r-2"}
    )
    assert (status, said["code"], answer.headers["Retry-After"]) == (503, "NOT_OWNER", "1")
    await server.close()
    status, said, _ = await asking.ask(PREDICT, body)
    assert (status, said["code"]) == (503, "OWNER_AWAY")


async def test_answer_when_the_pages_asked_the_wrong_worker_then_it_asks_the_owner(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They know one worker, which need not own anything; between workers there is one hop."""
    seen: list[str] = []

    async def owner(request: web.Request) -> web.Response:
        seen.append(request.headers["Tradewind-Forwarded"])
        return web.json_response({"portfolio": "main"})

    app = web.Application()
    app.router.add_get("/risk/portfolio", owner)
    server = TestServer(app)
    await server.start_server()
    monkeypatch.setattr(asking.desk, "elsewhere", str(server.make_url("")))
    keys, pages = asking.keys, Forwarder(sender="pages")
    worker = str(asking.client.make_url(""))
    endpoints = Endpoints(Callers(keys, STACK), CallLimits(), pages)
    site = TestServer(api(elsewhere(OF_WORKERS, worker, "a worker"), endpoints))
    async with TestClient(site) as client:
        for sent, expected in (({}, 200), ({"Tradewind-Forwarded": "pages"}, 503)):
            headers = {"Authorization": f"Bearer {asking.token('trader')}", **sent}
            answer = await client.get("/risk/portfolio", headers=headers)
            assert answer.status == expected, await answer.text()
    assert seen == ["worker"]
    await pages.close()
    await server.close()


async def test_answer_when_too_many_wait_then_the_next_is_told(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded: with two waiting a third is refused, and when they are answered another is not."""
    monkeypatch.setattr("tables.views.endpoint._MOST_IN_FLIGHT", 2)
    desk = Answering(tmp_path / "artifacts")
    desk.log.warm()
    gate = asyncio.Event()
    decide = desk.decide

    async def slow(*given: Any) -> bytes:  # noqa: ANN401  as the desk is called
        await gate.wait()
        return await decide(*given)

    desk.decide = slow  # type: ignore[method-assign]  it waits
    asking = await serve(desk)
    body = {"symbol": SYMBOLS[0]}
    waiting = [asyncio.create_task(asking.ask(PREDICT, body)) for _ in range(2)]
    await asyncio.sleep(0.1)
    status, said, _ = await asking.ask(PREDICT, body)
    assert (status, said["code"]) == (503, "BUSY")
    gate.set()
    assert [status for status, _, _ in await asyncio.gather(*waiting)] == [200, 200]
    status, _, _ = await asking.ask(PREDICT, body)
    assert status == 200
