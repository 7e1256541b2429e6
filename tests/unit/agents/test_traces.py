"""Spans of hops: one for each trace of a step, below the clock's or the caller's own."""

import importlib.util
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import cast

import pytest

from agents.stage import Output
from agents.traces import Spans, spans_to
from streams.dead_letters import DeadLetter, Headers, Origin
from streams.errors import SettingsError

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="the extra traces is not installed")
export = pytest.importorskip("opentelemetry.sdk.trace.export")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def made() -> Iterator[tuple[Spans, memory.InMemorySpanExporter]]:
    """Give what makes spans, and what they come to."""
    exporter = memory.InMemorySpanExporter()
    provider = sdk.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    spans = Spans(provider)
    yield spans, exporter
    spans.close()


def output(headers: Headers, topic: str = "trading-decisions") -> Output:
    """Give an output of a stage with the headers of what it read."""
    return Output(topic, b"k", b"v", headers)


def test_hop_when_its_outputs_share_a_trace_then_is_one_span_below_the_caller(
    made: tuple[Spans, memory.InMemorySpanExporter],
) -> None:
    """Two hundred decisions of a bar are one hop, from the send of the stage before it."""
    spans, exporter = made
    headers: Headers = [("origin-ns", b"5"), ("ts-init-ns", b"7"), ("traceparent", TRACE.encode())]
    letter = DeadLetter(Origin("t", 0, 0), "risk", "BAD", "why", b"v")
    spans.listener("risk")([letter, *[output(headers)] * 200, output(list(headers))])
    (span,) = exporter.get_finished_spans()
    assert span.name == "risk"
    assert span.start_time == 7
    assert span.end_time > 7
    assert format(span.context.trace_id, "032x") == TRACE.split("-")[1]
    assert format(span.parent.span_id, "016x") == TRACE.split("-")[2]
    assert span.attributes["messaging.destination.name"] == "trading-decisions"


def test_hop_when_it_is_the_first_behind_the_clock_then_begins_when_the_bar_was_due(
    made: tuple[Spans, memory.InMemorySpanExporter],
) -> None:
    """A heartbeat says when it was meant; without any time the span has no length."""
    spans, exporter = made
    trace = spans.begin()
    for headers in ([("origin-ns", b"5")], [("origin-ns", b"x")]):
        spans.listener("bars")([output([*headers, ("traceparent", trace.encode())])])
    beat, first, second = exporter.get_finished_spans()
    assert first.parent.span_id == beat.context.span_id
    assert first.context.trace_id == beat.context.trace_id
    assert first.start_time == 5
    assert second.start_time == second.end_time


@pytest.mark.parametrize(
    "headers", [[], [("traceparent", b"\xff")], [("traceparent", cast("bytes", None))]]
)
def test_hop_when_there_is_no_trace_then_a_stranger_begins_none(
    made: tuple[Spans, memory.InMemorySpanExporter], headers: Headers
) -> None:
    """What is no context becomes a trace of its own at most, and never an error."""
    spans, exporter = made
    spans.listener("bars")([output(headers)])
    assert all(span.parent is None for span in exporter.get_finished_spans())


def test_spans_when_no_collector_is_named_then_are_none() -> None:
    """Off is the default, and takes no package."""
    assert spans_to("", "worker") is None


@pytest.mark.skipif(
    importlib.util.find_spec("opentelemetry.exporter") is None,
    reason="the extra traces is not installed",
)
def test_spans_when_a_collector_is_named_then_it_gets_them_at_the_end_at_the_latest() -> None:
    """OTLP over HTTP, with the name of the role."""
    taken: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    spans = spans_to(f"http://127.0.0.1:{server.server_port}/v1/traces", "worker")
    assert spans is not None
    spans.listener("risk")([output([("traceparent", TRACE.encode())])])
    spans.close()
    server.shutdown()
    thread.join()
    server.server_close()
    ((path, body),) = taken
    assert path == "/v1/traces"
    assert b"tradewind-worker" in body
    assert b"risk" in body


def test_spans_when_the_packages_are_missing_then_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The start ends with the setting and the command."""
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.resources", None)
    monkeypatch.setitem(
        __import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None
    )
    with pytest.raises(SettingsError, match=r"pip install '.\[traces\]'"):
        spans_to("http://collector:4318/v1/traces", "worker")
