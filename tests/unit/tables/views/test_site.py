"""The site on a played log: every page, every refusal, every header."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from streams.records import Decision, Rejection
from tables.stores.decision_log import LogRecord, LogStatus
from tables.views.guard import is_known_host
from tables.views.pages import PAGE_ROWS, About, Pages
from tables.views.run_memory import RunMemory
from tables.views.site import site
from tests.unit.tables.views.played import (
    DEAD_LETTERS,
    LEVERAGED,
    SNAPSHOTS,
    TOO_MUCH,
    TOPIC,
    PlayedLog,
    dead_letter,
    decision,
    decision_id,
    record,
    refused,
    snapshot,
)

Client = TestClient[Request, Application]

_HTML = "<script>alert(1)</script>"
_ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"


class Stage:
    """A site with its memory and its log."""

    def __init__(self) -> None:
        self.memory = RunMemory("r1.")
        self.log = PlayedLog()
        about = About("r1", "simulated intraday", "http://127.0.0.1:6066/")
        self.pages = Pages(about, self.memory, self.log)
        self.app = site(self.pages, "127.0.0.1")

    def write(self, *records: LogRecord) -> None:
        """Let the memory and the log have records."""
        for one in records:
            self.memory.take(one)
            self.log.records[one.topic, one.partition, one.offset] = one

    def decide(self, *decisions: Decision) -> None:
        """Write decisions at offsets 0, 1, .."""
        self.write(*(record(TOPIC, one, at) for at, one in enumerate(decisions)))


@pytest.fixture
def stage() -> Stage:
    """Set up a site of run r1 on which nothing has happened."""
    return Stage()


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[Client]:
    """Serve the site."""
    async with TestClient(TestServer(stage.app)) as opened:
        yield opened


async def body(client: Client, path: str, status: int = 200) -> str:
    """Return a page's text, with entities of quotes resolved, if it has the expected status."""
    async with client.get(path) as response:
        assert response.status == status
        text = await response.text()
    return text.replace("&#39;", "'")


async def test_decisions_when_nothing_was_decided_then_the_page_says_what_to_check(
    client: Client,
) -> None:
    """An empty list is not an error and not a dead end."""
    text = await body(client, "/")
    assert "No decision yet" in text
    assert "simulated intraday" in text
    assert 'href="http://127.0.0.1:6066/"' in text


async def test_decisions_when_there_are_some_then_each_line_says_what_and_why(
    stage: Stage, client: Client
) -> None:
    """Action, verdict and reasons stand there as words."""
    stage.decide(decision(1), refused(2, TOO_MUCH, LEVERAGED, symbol="XOM"))
    text = await body(client, "/")
    for expected in ("▲ BUY", "✓ approved", "✕ refused", "MAX_LEVERAGE", "73.4", "187.340"):
        assert expected in text
    assert f'href="/decisions/{decision_id(2)}"' in text
    assert "http-equiv" not in text


async def test_decisions_when_live_is_asked_for_then_only_then_the_page_refreshes(
    client: Client,
) -> None:
    """Nobody's reading is interrupted unasked."""
    assert '<meta http-equiv="refresh" content="5">' in await body(client, "/?live=1")
    assert "http-equiv" not in await body(client, "/?live=0")


async def test_decisions_when_there_are_more_than_a_page_then_the_link_leads_to_the_rest(
    stage: Stage, client: Client
) -> None:
    """Following the links shows every decision once."""
    n = 2 * PAGE_ROWS + 1
    stage.decide(*(decision(k, symbol=f"S{k}", action="SELL") for k in range(1, n + 1)))
    path, seen = "/?action=SELL", []
    while path:
        text = await body(client, path)
        seen += re.findall(r'<th scope="row"><a [^>]*>(S\d+)</a>', text)
        link = re.search(r'rel="next" href="([^"]+)"', text)
        path = link[1].replace("&amp;", "&") if link else ""
    assert seen == [f"S{k}" for k in range(1, n + 1)]


async def test_decision_when_it_was_refused_then_every_reason_has_limit_and_actual_value(
    stage: Stage, client: Client
) -> None:
    """The detail page answers why, where it stands and what decided."""
    stage.write(
        record(
            TOPIC,
            refused(1, TOO_MUCH, LEVERAGED),
            41,
            headers=[("origin", b"17"), ("odd", b"\xff")],
        )
    )
    text = await body(client, f"/decisions/{decision_id(1).upper()}")
    for expected in ("MAX_ASSET_FRACTION", "0.31", "1.62", "rsi_14", "61.5", "0.0123457"):
        assert expected in text
    assert "<strong>80</strong> of 120" in text
    assert '<dt>Offset</dt><dd class="num">41</dd>' in text
    assert "b'\\xff'" in text
    assert "pipe" * 16 in text
    assert "2026-01-02 21:00:00" in text


@pytest.mark.parametrize("path", ["latest", "1", "..%2f..%2fetc%2fpasswd", "%3Cb%3E"])
async def test_decision_when_the_id_is_no_uuid_then_it_is_400_and_names_the_expectation(
    client: Client, path: str
) -> None:
    """A wrong address is told apart from an unknown decision."""
    text = await body(client, f"/decisions/{path}", 400)
    assert "expected a UUID" in text
    assert "<b>" not in text.split("<main", 1)[1].split("</main>", 1)[0]


async def test_decision_when_it_is_unknown_then_it_is_404_and_says_what_to_do(
    stage: Stage, client: Client
) -> None:
    """While the log is still being read the page says that too."""
    path = f"/decisions/{decision_id(9)}"
    assert "Check the id and the run" in await body(client, path, 404)
    stage.log.status = LogStatus("starting", 5_000, "reading the log")
    text = await body(client, path, 404)
    assert "as far as the log was read yet" in text
    assert "5,000 records to go" in text


async def test_decision_when_the_broker_is_away_then_what_is_remembered_is_shown(
    stage: Stage, client: Client
) -> None:
    """The list still renders, with a notice; the record itself is asked for later."""
    stage.decide(decision(1))
    stage.log.is_away = True
    stage.log.status = LogStatus("broker away", 3, "KafkaConnectionError")
    assert "Broker away." in await body(client, "/")
    text = await body(client, f"/decisions/{decision_id(1)}", 503)
    assert "could not be read from Kafka in time" in text
    assert "▲ BUY" in text


async def test_decision_when_its_record_is_gone_then_it_is_410(
    stage: Stage, client: Client
) -> None:
    """Retention, or another record at its place: neither is shown as the decision."""
    stage.decide(decision(1), decision(2))
    del stage.log.records[TOPIC, 0, 0]
    stage.log.records[TOPIC, 0, 1] = record(TOPIC, decision(3), 1)
    assert "The archive has it" in await body(client, f"/decisions/{decision_id(1)}", 410)
    assert "The archive has it" in await body(client, f"/decisions/{decision_id(2)}", 410)


async def test_every_page_when_an_id_has_other_bytes_then_a_banner_says_so(
    stage: Stage, client: Client
) -> None:
    """A second writer cannot be overlooked."""
    stage.decide(decision(1), decision(1, quantity=5))
    for path in ("/", "/portfolio", "/dead-letters"):
        text = await body(client, path)
        assert 'role="alert"' in text
        assert "kept 0:0, other bytes at 0:1" in text
    assert "also came with other bytes" in await body(client, f"/decisions/{decision_id(1)}")


async def test_every_page_when_texts_hold_html_then_it_is_escaped(
    stage: Stage, client: Client
) -> None:
    """Whoever can write to a topic cannot write into a person's browser."""
    hostile = refused(
        1,
        Rejection(_HTML, _HTML, 1.0, 2.0),
        symbol=_HTML,
        portfolio=_HTML,
        note=_HTML,
        features={_HTML: 1.0},
    )
    stage.write(
        record(TOPIC, hostile, 0, headers=[(_HTML, _HTML.encode())]),
        record(SNAPSHOTS, snapshot("2026-01-02T21:00:00Z", "1000000", portfolio=_HTML)),
        dead_letter(0, _HTML.encode(), reason=_HTML, detail=_HTML, stage=_HTML),
        record(DEAD_LETTERS, _HTML.encode(), 1)._replace(key=_HTML.encode()),
        record(TOPIC, _HTML.encode(), 1),
    )
    quoted = "%3Cscript%3Ealert(1)%3C/script%3E"
    paths = ("/", f"/decisions/{decision_id(1)}", "/portfolio", "/dead-letters")
    for path in (*paths, f"/?symbol={quoted}"):
        text = await body(client, path)
        assert "<script" not in text
        assert _ESCAPED in text
    for path in (f"/?action={quoted}", f"/?{quoted}=1", "/decisions/%3Cscript%3E"):
        assert "<script" not in await body(client, path, 400)


async def test_portfolio_when_a_share_is_above_the_limit_then_it_says_so_in_words(
    stage: Stage, client: Client
) -> None:
    """Colour is not the only sign."""
    stage.write(
        record(SNAPSHOTS, snapshot("2026-01-02T20:59:00Z", "990000"), 0),
        record(SNAPSHOTS, snapshot("2026-01-02T21:00:00Z", "1000000"), 1),
    )
    text = await body(client, "/portfolio")
    for expected in ("601,234.50", "1,000,000.00", "12.0", "✕ above 25", "278,875.00"):
        assert expected in text
    assert 'points="0.0,120.0 720.0,0.0"' in text


async def test_dead_letters_when_there_are_some_then_reason_origin_and_bytes_are_listed(
    stage: Stage, client: Client
) -> None:
    """What could not be used can be found again."""
    stage.write(dead_letter(3, b"{\x00", reason="NOT_JSON", detail="cut off", stage="bars"))
    text = await body(client, "/dead-letters")
    for expected in ("NOT_JSON", "cut off", "bars", "r1.market-ticks:0:3:0", "b'{\\x00'"):
        assert expected in text


@pytest.mark.parametrize(
    ("status", "code"),
    [(LogStatus("ok", 0), 200), (LogStatus("starting"), 503), (LogStatus("broker away", 7), 503)],
    ids=str,
)
async def test_health_when_asked_then_it_has_three_fields_and_a_status_for_probes(
    stage: Stage, client: Client, status: LogStatus, code: int
) -> None:
    """Programs read the same state as people."""
    stage.log.status = status
    stage.decide(decision(1))
    assert json.loads(await body(client, "/health", code)) == {
        "status": status.state,
        "lag_records": status.lag_records,
        "decisions": 1,
    }


@pytest.mark.parametrize("path", ["/", "/nothing", "/?x=1", "/page.css", "/health", "/decisions/x"])
async def test_every_answer_when_given_then_it_has_the_headers_that_protect(
    client: Client, path: str
) -> None:
    """Errors are answers too."""
    async with client.get(path) as response:
        headers = response.headers
    policy = headers["Content-Security-Policy"]
    for expected in ("default-src 'none'", "style-src 'self'", "img-src 'self' data:"):
        assert expected in policy
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "aiohttp" not in headers["Server"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_every_page_when_the_method_would_change_something_then_it_is_405(
    client: Client, method: str
) -> None:
    """The site reads."""
    async with client.request(method, "/") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


async def test_every_page_when_asked_for_its_head_then_it_answers_without_a_body(
    client: Client,
) -> None:
    """Probes need no pages."""
    async with client.head("/") as response:
        assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ("localhost", True),
        ("LOCALHOST:8090", True),
        ("127.0.0.1:1", True),
        ("[::1]:8090", True),
        ("10.0.0.7:8090", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("evil.example@localhost", False),
        ("localhost:port", False),
        ("", False),
        (None, False),
    ],
)
def test_is_known_host_when_the_name_is_foreign_then_it_is_not_served(
    header: str | None,
    known: bool,  # noqa: FBT001  a value of the table
) -> None:
    """Only our own names and the bound address are."""
    assert is_known_host(header, "10.0.0.7") is known


async def test_every_page_when_the_host_is_foreign_then_it_is_421(client: Client) -> None:
    """A page of a rebound name learns nothing of the account."""
    async with client.get("/portfolio", headers={"Host": "evil.example"}) as response:
        assert response.status == 421
        assert "Not served under this name" in await response.text()


async def test_every_page_when_a_handler_fails_then_no_traceback_leaves_the_server(
    stage: Stage, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """The person reads that it was our error; the log has the rest."""
    stage.decide(decision(1))
    broken: Any = None
    stage.log.records[TOPIC, 0, 0] = record(TOPIC, decision(1))._replace(timestamp_ms=broken)
    text = await body(client, f"/decisions/{decision_id(1)}", 500)
    assert "Traceback" not in text
    assert "TypeError" not in text
    assert "TypeError" in caplog.text


async def test_every_page_when_read_aloud_then_it_has_landmarks_captions_and_scopes(
    stage: Stage, client: Client
) -> None:
    """A person without a screen or a mouse finds the way."""
    stage.decide(refused(1))
    stage.write(
        record(SNAPSHOTS, snapshot("2026-01-02T21:00:00Z", "1000000")),
        dead_letter(0, b"x", reason="NOT_JSON"),
    )
    for path in ("/", f"/decisions/{decision_id(1)}", "/portfolio", "/dead-letters"):
        text = await body(client, path)
        assert text.count("<h1") == 1
        assert text.count("<caption") == text.count("<table")
        assert not re.search(r"<th(?! scope=|ead)", text)
        for landmark in ('href="#main"', '<main id="main"', "<header", "<nav", "<footer", "lang="):
            assert landmark in text


@pytest.mark.parametrize(
    ("venue", "said"),
    [
        ("paper", "paper account in USD"),
        ("external", "account of an external venue: its orders can be real in USD"),
        ("", "account in USD"),
    ],
)
async def test_portfolio_when_its_venue_is_told_then_the_page_says_where_orders_go(
    stage: Stage, client: Client, venue: str, said: str
) -> None:
    """Real money and paper look the same otherwise; a snapshot of before says neither."""
    now = msgspec.structs.replace(snapshot("2026-01-02T21:00:00Z", "1"), venue=venue)
    stage.write(record(SNAPSHOTS, now))
    text = await body(client, "/portfolio")
    assert f"<small>{said}" in text
