"""One line per request: what it was, whose, how it ended; and nothing that lets anybody in."""

import logging
import re
import shlex

import pytest

from tests.unit.agents.test_risk import SYMBOLS
from tests.unit.tables.views.conftest import Asking

BODY = {"symbol": SYMBOLS[0]}
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Keep the lines about requests."""
    caplog.set_level(logging.INFO, "tradewind.http")
    return caplog


def fields_of(lines: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    """Return the fields of each line, read by the shell's rules of quoting."""
    said = [one.getMessage() for one in lines.records if one.name == "tradewind.http"]
    return [dict(pair.split("=", 1) for pair in shlex.split(line)) for line in said]


async def test_line_when_a_decision_was_made_then_names_it_its_caller_and_its_trace(
    asking: Asking, lines: pytest.LogCaptureFixture
) -> None:
    """Whoever has an id of a request, a trace or a decision finds the others."""
    trace = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
    headers = {"X-Request-Id": "r-1", "traceparent": trace}
    _, said, answer = await asking.ask("/api/v1/predict", BODY, headers=headers)
    (found,) = fields_of(lines)
    assert re.fullmatch(r"\d+\.\d{6}", found.pop("duration_seconds"))
    assert found == {
        "request_id": "r-1",
        "trace_id": TRACE_ID,
        "method": "POST",
        "route": "/api/v1/predict",
        "status": "200",
        "subject": "trader",
        "decision_id": said["decision_id"],
    }
    assert answer.headers["X-Request-Id"] == "r-1"
    assert asking.tokens["trader"] not in lines.text
    assert lines.records[-1].levelno == logging.INFO


async def test_line_when_refused_then_is_there_too_with_the_route_and_not_the_address(
    asking: Asking, lines: pytest.LogCaptureFixture
) -> None:
    """Nobody, a stray address, and a made-up id: a line each, under the id that was answered."""
    await asking.client.get("/api/v1/decisions/7d444840-9dc0-11d1-b245-5ffdce74fad2")
    answer = await asking.client.get("/nowhere?token=eyJhbGciOiJFZERTQSJ9")
    problem = await answer.json(content_type=None)
    first, second = fields_of(lines)
    assert (first["status"], first["route"]) == ("401", "/api/v1/decisions/{decision_id}")
    assert first["decision_id"] == "7d444840-9dc0-11d1-b245-5ffdce74fad2"
    assert "subject" not in first
    assert (second["status"], "route" in second) == ("404", False)
    assert second["request_id"] == problem["request_id"] == answer.headers["X-Request-Id"]
    assert "eyJ" not in lines.text


async def test_line_when_a_text_could_end_it_then_is_quoted(
    asking: Asking, lines: pytest.LogCaptureFixture
) -> None:
    """A caller cannot write a second line or another field."""
    path = "/api/v1/decisions/x%0A2026%20status=200%20%22"
    await asking.client.get(path, headers={"X-Request-Id": 'a"b=c'})
    (line,) = [one.getMessage() for one in lines.records if one.name == "tradewind.http"]
    assert "\n" not in line
    assert r'request_id="a\"b=c" ' in line
    assert 'decision_id="x\\n2026 status=200 \\""' in line
