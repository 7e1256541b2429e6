"""The page to try the API, in a real browser: the document is shown, and a request is answered."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tables.stores.token_keys import TokenKeys
from tables.views import try_page
from tables.views.api import api
from tables.views.auth import Callers
from tables.views.call_limits import CallLimits
from tables.views.desk import Desk, Part
from tables.views.endpoint import Endpoints
from tables.views.forwarding import Forwarder
from tables.views.health import health_endpoints
from tests.e2e.axe import ALL, axe_source, violations
from tests.e2e.browser import CHROMIUM, Page, opened

_HEALTH = "document.querySelector('#operations-default-getHealth')"
_SAID = "document.querySelector('.live-responses-table')?.innerText ?? ''"

_OPENED = ("predict", "getFeatures", "listDecisions")
_OPEN = ";".join(
    f"document.querySelector('#operations-default-{name} .opblock-summary-control').click()"
    for name in _OPENED
)


def application(folder: Path) -> web.Application:
    """Return an API that answers about its health."""
    desk = cast("Desk", SimpleNamespace(parts=lambda: [Part("broker", is_well=True, detail="up")]))
    callers = Callers(TokenKeys(folder), "stack")
    return api(health_endpoints(desk), Endpoints(callers, CallLimits(), Forwarder()))


async def ask(page: Page) -> None:
    """Let the page ask for the stack's health, and wait for the answer.

    The button is there before the operation is read, and does nothing until the responses are.
    """
    await page.evaluate(f"{_HEALTH}.querySelector('.opblock-summary-control').click()")
    await page.until(f"{_HEALTH}.querySelector('.response')")
    await page.evaluate(f"{_HEALTH}.querySelector('.execute').click()")
    await page.until(f"({_SAID}).includes('up')")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH: apt-get install it")
async def test_try_page_when_opened_then_shows_all_and_sends_what_is_asked(tmp_path: Path) -> None:
    """OpenAPI 3.1 is understood, nothing is refused by the page's own policy, an answer comes."""
    async with TestServer(application(tmp_path)) as server, opened(tmp_path / "profile") as page:
        await page.goto(str(server.make_url(try_page.PATH)))
        await page.until("document.querySelectorAll('.opblock').length > 10")
        text = await page.evaluate("document.body.innerText")
        assert "Ask the models, let the book decide" in text
        await ask(page)
        said = await page.evaluate(_SAID)
        assert "200" in said
        assert '"detail": "up"' in said
        assert page.complaints == []


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH: apt-get install it")
async def test_try_page_when_checked_by_axe_then_has_no_violation(tmp_path: Path) -> None:
    """The library's page is held to what ours are: closed, with a request open, and answered."""
    source = axe_source()
    async with TestServer(application(tmp_path)) as server, opened(tmp_path / "profile") as page:
        await page.goto(str(server.make_url(try_page.PATH)))
        await page.until("document.querySelectorAll('.opblock').length > 10")
        await page.evaluate(source)
        assert await page.evaluate(violations(ALL)) == []
        await page.evaluate(_OPEN)
        await page.until("document.querySelectorAll('.execute').length == 3")
        await page.until("document.querySelector('.body-param__text')?.value")
        filled = await page.evaluate("document.querySelector('.body-param__text').value")
        assert '"symbol": "AAPL"' in filled
        assert await page.evaluate(violations(ALL)) == []
        await ask(page)
        assert await page.evaluate(violations(ALL)) == []


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH: apt-get install it")
async def test_violations_when_a_button_fades_in_then_looks_at_it_when_it_is_there(
    tmp_path: Path,
) -> None:
    """The library fades a button that was pressed back in over 0.3 s: half of it is no contrast."""
    source = axe_source()
    async with TestServer(application(tmp_path)) as server, opened(tmp_path / "profile") as page:
        await page.goto(str(server.make_url(try_page.PATH)))
        await page.until("document.querySelectorAll('.opblock').length > 10")
        await page.evaluate(source)
        await page.evaluate(f"{_HEALTH}.querySelector('.opblock-summary-control').click()")
        await page.until(f"{_HEALTH}.querySelector('.execute')")
        await page.evaluate(f"{_HEALTH}.querySelector('.execute').disabled = true")
        await page.until(f"getComputedStyle({_HEALTH}.querySelector('.execute')).opacity == '0.3'")
        await page.evaluate(f"{_HEALTH}.querySelector('.execute').disabled = false")
        assert await page.evaluate(violations(ALL)) == []
