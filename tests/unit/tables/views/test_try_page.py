"""The page to try the API: served from here with its library, under a policy of its own."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tables.views import try_page


@pytest.mark.parametrize(
    ("path", "kind", "begins"),
    [
        ("", "text/html", "<!doctype html>"),
        ("/try.js", "text/javascript", "// Shows"),
        ("/try.css", "text/css", "/* What"),
        ("/swagger-ui.css", "text/css", ""),
        ("/swagger-ui-bundle.js", "text/javascript", ""),
    ],
)
async def test_try_page_when_asked_for_then_all_of_it_is_here(
    path: str, kind: str, begins: str
) -> None:
    """No other site is asked, and no script of another site may run."""
    app = web.Application()
    try_page.add_try_page(app)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get(try_page.PATH + path)
        assert (answer.status, answer.content_type) == (200, kind)
        text = await answer.text()
        assert text.startswith(begins)
        if not path:
            assert "script-src 'self';" in answer.headers["Content-Security-Policy"]
            assert "http://" not in text
            assert "https://" not in text


async def test_try_page_when_the_library_is_missing_then_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And no other file of the package is given away."""
    app = web.Application()
    try_page.add_try_page(app)
    async with TestClient(TestServer(app)) as client:
        for name in ("core.py", "..%2fcore.py", "%2e%2e%2fcore.py"):
            assert (await client.get(f"{try_page.PATH}/{name}")).status == 404
        monkeypatch.setattr(try_page, "find_spec", lambda _name: None)
        answer = await client.get(f"{try_page.PATH}/swagger-ui.css")
        assert answer.status == 404
        assert "tradewind[docs]" in (await answer.json(content_type=None))["detail"]
