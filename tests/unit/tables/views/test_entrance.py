"""The way in and out of the pages: tokens, links that are good once, and who sees what."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer

from streams import clock
from tables.stores.entry_codes import EntryCodes
from tables.stores.token_keys import Issued, TokenKeys
from tables.views import sessions
from tables.views.auth import Callers, issue
from tables.views.call_limits import CallLimits
from tables.views.endpoint import Endpoints
from tables.views.entrance import entry_path
from tables.views.forwarding import Forwarder
from tables.views.pages import About, Pages
from tables.views.run_memory import RunMemory
from tables.views.sessions import LONGEST_S, Sessions
from tables.views.site import Served, site
from tests.attacks import answer_to
from tests.unit.tables.views.played import (
    DEAD_LETTERS,
    SNAPSHOTS,
    TOPIC,
    PlayedLog,
    decision,
    decision_id,
    record,
    snapshot,
)

_STACK = "unit-0a1b2c3d"
_COOKIE = f"tradewind-{_STACK}"


class Guarded:
    """A site with two portfolios, its keys, and a browser."""

    def __init__(self, folder: Path) -> None:
        self.keys = TokenKeys(folder / "auth")
        self.codes = EntryCodes(folder / "auth")
        self.callers = Callers(self.keys, _STACK)
        self.sessions = Sessions(self.callers, _COOKIE)
        memory, log = RunMemory("r1."), PlayedLog()
        events = (decision(1), decision(2, portfolio="other", symbol="XOM"))
        for at, one in enumerate(events):
            kept = record(TOPIC, one, at)
            memory.take(kept)
            log.records[TOPIC, 0, at] = kept
        for name in ("main", "other"):
            memory.take(record(SNAPSHOTS, snapshot("2026-01-02T21:00:00Z", "1", portfolio=name)))
        memory.take(record(DEAD_LETTERS, b"x"))
        endpoints = Endpoints(self.callers, CallLimits(), Forwarder())
        served = Served(endpoints, self.sessions, self.codes)
        self.app = site(Pages(About("r1"), memory, log), "127.0.0.1", served)
        self.client: TestClient[Any, Any]

    def token(self, portfolios: tuple[str, ...] = ("*",)) -> tuple[str, Issued]:
        """Issue a token."""
        return issue(self.keys, _STACK, "ann", "trader", list(portfolios), 1)

    async def sign_in(self, token: str, following: str = "/", **headers: str) -> Any:  # noqa: ANN401  an answer
        """Send the form."""
        return await self.client.post(
            "/session",
            data={"token": token, "next": following},
            headers=headers,
            allow_redirects=False,
        )

    async def text(self, path: str, status: int = 200) -> str:
        """Return a page."""
        async with self.client.get(path) as answer:
            assert answer.status == status
            return await answer.text()


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Serve the site to a browser that takes cookies of an address."""
    one = Guarded(tmp_path)
    jar = CookieJar(unsafe=True)
    async with TestClient(TestServer(one.app), cookie_jar=jar) as client:
        one.client = client
        yield one


@pytest.mark.parametrize(
    "path",
    ["/", "/market", "/portfolio", "/dead-letters", f"/decisions/{decision_id(1)}", "/nothing"],
)
async def test_page_when_nobody_is_known_then_it_asks_and_shows_nothing(
    guarded: Guarded, path: str
) -> None:
    """Neither lines nor counts, nor whether an address exists."""
    text = await guarded.text(path, 401)
    assert '<form class="filters" method="post" action="/session">' in text
    assert f'name="next" value="{path}"' in text
    for secret in ("AAPL", "XOM", "Approved orders", "<nav"):
        assert secret not in text


async def test_session_when_the_form_is_not_encoded_as_said_then_it_asks_again(
    guarded: Guarded,
) -> None:
    """Rubbish is no error of ours; here in the name of gzip."""
    url = guarded.client.make_url("/session")
    head = (
        *(b"POST /session HTTP/1.1", b"Host: localhost", b"Connection: close"),
        *(b"Content-Type: application/x-www-form-urlencoded", b"Content-Length: 7"),
        b"Content-Encoding: gzip",
    )
    request = b"\r\n".join(head) + b"\r\n\r\nrubbish"
    status, text = await answer_to(str(url.host), int(url.port or 0), request)
    assert (status, b"the form could not be read" in text) == (401, True)


@pytest.mark.parametrize("path", ["/health", "/page.css"])
async def test_page_when_it_is_for_programs_that_watch_then_nobody_is_asked(
    guarded: Guarded, path: str
) -> None:
    """Probes have no token, and the form has a style."""
    await guarded.text(path)


async def test_token_when_it_is_good_then_a_strict_cookie_leads_on(guarded: Guarded) -> None:
    """The cookie is no token, scripts cannot read it, and no other site can make use of it."""
    token, _ = guarded.token()
    answer = await guarded.sign_in(token, "/market?symbol=AAPL")
    assert (answer.status, answer.headers["Location"]) == (303, "/market?symbol=AAPL")
    cookie = answer.headers["Set-Cookie"]
    for said in ("HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={LONGEST_S}"):
        assert said in cookie
    assert "Secure" not in cookie
    assert token not in cookie
    text = await guarded.text("/market?symbol=AAPL")
    assert "AAPL" in text
    assert "You look as ann, trader, at all portfolios" in text
    for path in ("docs", "openapi.json", "asyncapi.json"):
        assert f'<a href="/api/v1/{path}">' in text
        await guarded.text(f"/api/v1/{path}")


async def test_token_when_the_site_is_behind_tls_then_the_cookie_stays_there(
    guarded: Guarded,
) -> None:
    """The browser says in which way it reached the page."""
    token, _ = guarded.token()
    answer = await guarded.sign_in(token, Origin="https://127.0.0.1:8443", Host="127.0.0.1:8443")
    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "x" * 5_000])
async def test_token_when_it_is_none_then_the_form_says_why(guarded: Guarded, token: str) -> None:
    """And no session begins."""
    answer = await guarded.sign_in(token)
    assert answer.status == 401
    assert "Set-Cookie" not in answer.headers
    assert "Not accepted:" in await answer.text()


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded; charset=nonsense", "multipart/form-data"]
)
async def test_form_when_it_cannot_be_read_then_the_person_is_asked_again(
    guarded: Guarded, kind: str
) -> None:
    """Bytes from outside are no error of ours."""
    headers = {"Content-Type": kind}
    async with guarded.client.post("/session", data=b"\xff=\xff", headers=headers) as answer:
        assert answer.status == 401
        assert "Not accepted:" in await answer.text()


@pytest.mark.parametrize(
    "following",
    ["//evil.example/", "/\\evil.example", "https://evil.example/", "evil", "/a\r\nX: y", ""],
)
async def test_token_when_the_form_leads_elsewhere_then_it_does_not_go_there(
    guarded: Guarded, following: str
) -> None:
    """A sign-in is no way to another site."""
    token, _ = guarded.token()
    answer = await guarded.sign_in(token, following)
    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 303),
    ],
)
async def test_form_when_another_site_sent_it_then_nobody_is_signed_in_or_out(
    guarded: Guarded, headers: dict[str, str], status: int
) -> None:
    """Nobody is made to look at somebody else's account."""
    token, _ = guarded.token()
    assert (await guarded.sign_in(token, **headers)).status == status
    answer = await guarded.client.post("/session/end", headers=headers, allow_redirects=False)
    assert answer.status == status


async def test_sign_out_when_pressed_then_the_session_is_over(guarded: Guarded) -> None:
    """Also for somebody who kept the cookie."""
    token, _ = guarded.token()
    await guarded.sign_in(token)
    await guarded.text("/")
    (cookie,) = guarded.client.session.cookie_jar
    await guarded.client.post("/session/end", allow_redirects=False)
    await guarded.text("/", 401)
    kept = {"Cookie": f"{cookie.key}={cookie.value}"}
    async with guarded.client.get("/", headers=kept) as answer:
        assert answer.status == 401


async def test_session_when_its_token_is_revoked_then_it_ends_at_once(guarded: Guarded) -> None:
    """Revoking means now, for people too."""
    token, issued = guarded.token()
    await guarded.sign_in(token)
    await guarded.text("/")
    guarded.keys.revoke(issued.jti, "ops", "left the desk")
    await guarded.text("/", 401)


async def test_session_when_its_key_is_retired_then_it_ends_at_once(guarded: Guarded) -> None:
    """Whoever stole the key and looks at the pages is out, and no link of it lets in."""
    token, issued = guarded.token()
    path = entry_path(guarded.codes.issue(issued))
    await guarded.sign_in(token)
    guarded.keys.rotate()
    await guarded.text("/")
    guarded.keys.retire(issued.kid)
    await guarded.text("/", 401)
    await guarded.text(path, 410)


@pytest.mark.parametrize("later_s", [LONGEST_S + 1, 90_000])
async def test_session_when_it_or_its_token_is_too_old_then_it_is_over(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, later_s: int
) -> None:
    """Half a day, and never longer than the token of a day."""
    token, _ = guarded.token()
    await guarded.sign_in(token)
    now_ns = clock.wall_ns() + later_s * 1_000_000_000
    monkeypatch.setattr(sessions, "wall_ns", lambda: now_ns)
    await guarded.text("/", 401)


async def test_sessions_when_there_are_too_many_then_the_oldest_is_over(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening sessions without end takes no memory without end."""
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 2)
    caller = guarded.callers.caller(f"Bearer {guarded.token()[0]}")
    names = [guarded.sessions.open(caller) for _ in range(3)]
    assert [guarded.sessions.viewer(name) is None for name in names] == [True, False, False]


async def test_link_when_opened_then_it_lets_in_once(guarded: Guarded) -> None:
    """The second time it says that it is used up, and what to do."""
    _, issued = guarded.token()
    path = entry_path(guarded.codes.issue(issued))
    text = await guarded.text(path)
    assert 'http-equiv="refresh" content="0; url=/"' in text
    assert "AAPL" in await guarded.text("/")
    guarded.client.session.cookie_jar.clear()
    assert "used up" in await guarded.text(path, 410)
    await guarded.text("/", 401)


async def test_link_when_a_program_looks_at_it_first_then_it_still_lets_in(
    guarded: Guarded,
) -> None:
    """Previews and scanners follow links."""
    path = entry_path(guarded.codes.issue(guarded.token()[1]))
    assert (await guarded.client.head(path)).status == 200
    ahead = {"Sec-Purpose": "prefetch;prerender"}
    assert "Set-Cookie" not in (await guarded.client.get(path, headers=ahead)).headers
    assert "You are in as ann" in await guarded.text(path)


async def test_link_when_its_token_was_revoked_then_it_lets_nobody_in(guarded: Guarded) -> None:
    """A link is worth no more than its token."""
    _, issued = guarded.token()
    path = entry_path(guarded.codes.issue(issued))
    guarded.keys.revoke(issued.jti, "ops", "mistake")
    await guarded.text(path, 410)


async def test_pages_when_a_token_is_of_one_portfolio_then_the_other_is_not_there(
    guarded: Guarded,
) -> None:
    """Not in lists, filters, markets or accounts, not by its id, and not in counts."""
    token, _ = guarded.token(("main",))
    await guarded.sign_in(token)
    for path in ("/", "/market", "/portfolio"):
        text = await guarded.text(path)
        assert "main" in text
        for secret in ("other", "Approved orders", "Dead letters"):
            assert secret not in text
    assert "XOM" not in await guarded.text("/")
    await guarded.text(f"/decisions/{decision_id(1)}")
    text = await guarded.text(f"/decisions/{decision_id(2)}", 404)
    assert text.replace(decision_id(2), "") == (
        await guarded.text(f"/decisions/{decision_id(9)}", 404)
    ).replace(decision_id(9), "")
    await guarded.text(f"/decisions/{decision_id(2)}/event", 404)
    await guarded.text("/market?symbol=XOM", 404)
    assert "Not for this token" in await guarded.text("/dead-letters", 403)


async def test_page_when_a_link_let_in_then_the_log_says_who_looks_and_not_by_which_code(
    guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    """Pages have lines as the API has; neither a code nor a token is in them."""
    caplog.set_level(logging.INFO, "tradewind.http")
    token, issued = guarded.token()
    code = guarded.codes.issue(issued)
    await guarded.text(entry_path(code))
    await guarded.sign_in(token)
    await guarded.text(f"/decisions/{decision_id(1)}")
    entered, signed_in, seen = [one.getMessage() for one in caplog.records]
    for line, route in (
        (entered, "/enter/{code}"),
        (signed_in, "/session"),
        (seen, "/decisions/{id}"),
    ):
        assert f" route={route} " in line
        assert " subject=ann" in line
    assert seen.endswith(f" decision_id={decision_id(1)}")
    assert code not in caplog.text
    assert token not in caplog.text
