"""Spans of hops for OpenTelemetry: off unless a collector is named, and never waited for.

The context travels in Kafka's headers, which every stage hands on as they are. A bar's trace begins
with its heartbeat, a wish's with the caller's own. A stage's listener makes a span of each step
when its outputs are with the broker: from the moment at which the stage before it sent, or the
clock meant to, until now. The steps themselves know nothing of it.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from agents.stage import Listener, Output
from streams.clock import wall_ns
from streams.dead_letters import DeadLetter, Headers
from streams.errors import SettingsError
from streams.sources.replay import ORIGIN_HEADER, TRACE_HEADER

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_SENT_HEADER = "ts-init-ns"
# Spans that wait for the collector; more are let go of.
_WAITING_MOST = 2_048


class Spans:
    """Makes spans in one process.

    Parameters
    ----------
    provider
        Where they go.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415  an extra

        self._provider = provider
        self._tracer = provider.get_tracer("tradewind")
        self._context = tracecontext.TraceContextTextMapPropagator()

    def begin(self) -> str:
        """Begin the trace of a bar; return the context that goes along with its heartbeat."""
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415  an extra

        span = self._tracer.start_span("heartbeat")
        carrier: dict[str, str] = {}
        self._context.inject(carrier, set_span_in_context(span))
        span.end()
        return carrier[TRACE_HEADER]

    def listener(self, stage: str) -> Listener:
        """Return what hears the outputs of a stage."""

        def hear(outputs: list[Output | DeadLetter]) -> None:
            now_ns = wall_ns()
            for trace, headers, topic in _traced(outputs):
                started = headers.get(_SENT_HEADER) or headers.get(ORIGIN_HEADER) or b""
                span = self._tracer.start_span(
                    stage,
                    context=self._context.extract({TRACE_HEADER: trace}),
                    start_time=min(int(started), now_ns) if started.isdigit() else now_ns,
                    attributes={"messaging.system": "kafka", "messaging.destination.name": topic},
                )
                span.end(now_ns)

        return hear

    def close(self) -> None:
        """Send what waits, for a moment, and make no more."""
        self._provider.shutdown()


def _traced(
    outputs: Iterable[Output | DeadLetter],
) -> Iterator[tuple[str, dict[str, bytes], str]]:
    """Give each trace of a step once; the outputs of one record share its headers."""
    seen: set[str] = set()
    looked: Headers | None = None
    for output in outputs:
        if isinstance(output, DeadLetter) or output.headers is looked:
            continue
        looked = output.headers
        headers = dict(looked)
        # A header may be there without a value.
        trace = (headers.get(TRACE_HEADER) or b"").decode(errors="replace")
        if trace and trace not in seen:
            seen.add(trace)
            yield trace, headers, output.topic


def spans_to(url: str, role: str) -> Spans | None:
    """Return what sends spans to a collector by OTLP over HTTP; None without an address.

    Raises
    ------
    SettingsError
        If the packages for it are not installed.
    """
    if not url:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  an extra
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  an extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  an extra
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  an extra
    except ImportError as error:
        raise SettingsError(
            f"traces_url is {url!r} and {error.name} is not installed: pip install '.[traces]', or "
            "leave it out"
        ) from error
    provider = TracerProvider(resource=Resource({"service.name": f"tradewind-{role}"}))
    exporter = OTLPSpanExporter(endpoint=url, timeout=5)
    # A thread of its own sends; what a slow collector does not take is let go of.
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_WAITING_MOST))
    return Spans(provider)
