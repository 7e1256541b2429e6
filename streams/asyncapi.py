"""The topics as a document: AsyncAPI 3.0, made from the catalogue and the records on the wire.

``python -m streams.asyncapi`` prints it; the API serves it as ``/api/v1/asyncapi.json``. What
Tradewind receives, others may send; what it sends, others may read.
"""

import json
import sys
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, NamedTuple

import msgspec

from streams import topics
from streams.schemas import READ, WRITTEN
from streams.topics import CATALOGUE, TopicSpec

Document = dict[str, Any]

_KAFKA_BINDING = "0.5.0"
_FORMAT = "application/schema+json;version=draft-2020-12"
# A schema in another format stands one level deeper, and so does what refers to it.
_REFERENCE = "#/components/schemas/{name}/schema"
_JSON, _ARROW, _BYTES = (
    "application/json",
    "application/vnd.apache.arrow.stream",
    "application/octet-stream",
)

# Bytes that are no JSON: by topic, what they are.
_BINARY = {
    topics.DEAD_LETTERS.name: ("DeadLetter", _BYTES, "The bytes of the record, as they came."),
}
_SLICE = ("Slice", _ARROW, "All symbols of a partition at one close, as one Arrow record batch.")

# What others may send, by topic; Tradewind reads it.
_RECEIVED: dict[str, tuple[str, ...]] = {
    topics.MARKET_TICKS.name: ("Tick",),
    topics.VENUE_EXECUTIONS.name: ("VenueExecution",),
    topics.PORTFOLIO_EVENTS.name: (
        *("OrderIntent", "TargetIntent", "LimitChange", "TradingState", "BookOpen", "Split"),
        *("Dividend", "RiskParity"),
    ),
}
# What Tradewind alone writes.
_SENT: dict[str, tuple[str, ...]] = {
    topics.MARKET_TICKS.name: ("Heartbeat", "EpochNotice"),
    topics.PORTFOLIO_EVENTS.name: ("DecidedIntent",),
    topics.TRADING_DECISIONS.name: ("Decision",),
    topics.EXECUTIONS.name: ("Execution",),
    topics.PORTFOLIO_SNAPSHOTS.name: ("PortfolioSnapshot",),
    topics.EXPLANATIONS.name: ("Explanation",),
    topics.AUDIT_HEADS.name: ("AuditHead",),
    topics.MODEL_UPDATES.name: ("ModelUpdate",),
    topics.ROLLOUT_STAGES.name: ("RolloutState", "FeatureFlag"),
}
_HEADERS = {
    "Decision": {
        "origin-ns": "Wall time at which the bar's closing heartbeat was meant to be sent, in ns.",
        "request-id": "Of the HTTP request behind it, if there was one.",
        "traceparent": "Trace context of that request (W3C, 2021).",
    },
    "DeadLetter": {
        "reason": "Code for programs, such as NOT_JSON.",
        "detail": "What was found and what was expected.",
        "stage": "Which stage could not use it.",
        "topic": "Where it came from.",
        "partition": "Of that topic.",
        "offset": "In that partition.",
        "index": "Its place in the record, if that was a list.",
        "key": "The record's key.",
        "field": "The field that is to blame, if one is.",
    },
}


class _Said(NamedTuple):
    """A kind of message in a topic."""

    topic: str
    name: str
    is_received: bool
    content_type: str = _JSON

    @property
    def key(self) -> str:
        """Its name in the document: a slice has one in each topic."""
        return self.name if self.name != _SLICE[0] else f"Slice-{self.topic}"


def document(of_version: str) -> Document:
    """Return the document of a version of Tradewind."""
    said = [one for spec in CATALOGUE for one in _messages(spec)]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tradewind",
            "version": of_version,
            "description": (
                "Ticks in, decisions out. Keys are placed by murmur2, as Java clients do "
                "(librdkafka: partitioner=murmur2_random). The topics of a replay begin with the "
                "name of its run and a dot; those of the live run have no prefix. A decision can "
                "come more than once, with the same id and the same bytes. Questions are asked "
                "over HTTP: [a page to try it](/api/v1/docs), [OpenAPI 3.1](/api/v1/openapi.json)."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _JSON,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The stack's broker; `tradewind status` has its address.",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092"}},
            }
        },
        "channels": {
            spec.name: _channel(spec, [m for m in said if m.topic == spec.name])
            for spec in CATALOGUE
        },
        "operations": dict(_operations(said)),
        "components": {
            "messages": {one.key: _message(one) for one in said},
            "schemas": _schemas(),
        },
    }


def _messages(spec: TopicSpec) -> Iterable[_Said]:
    for name in _RECEIVED.get(spec.name, ()):
        yield _Said(spec.name, name, is_received=True)
    for name in _SENT.get(spec.name, ()):
        yield _Said(spec.name, name, is_received=False)
    if not spec.writers.keys().isdisjoint({"slice", "shadow"}):
        yield _Said(spec.name, _SLICE[0], is_received=False, content_type=_SLICE[1])
    if spec.name in _BINARY:
        name, content_type, _ = _BINARY[spec.name]
        yield _Said(spec.name, name, is_received=False, content_type=content_type)


def _channel(spec: TopicSpec, said: list[_Said]) -> Document:
    settings = spec.settings()
    configured: Document = {
        "cleanup.policy": [settings["cleanup.policy"]],
        "retention.ms": int(settings["retention.ms"]),
    }
    if "max.message.bytes" in settings:
        configured["max.message.bytes"] = int(settings["max.message.bytes"])
    return {
        "address": spec.name,
        "description": f"Key: {spec.key}. Value: {spec.value}.",
        "messages": {one.name: _at("components", "messages", one.key) for one in said},
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "topicConfiguration": configured,
                "bindingVersion": _KAFKA_BINDING,
            }
        },
    }


def _operations(said: list[_Said]) -> Iterable[tuple[str, Document]]:
    for spec in CATALOGUE:
        for action, is_received in (("receive", True), ("send", False)):
            mine = [m for m in said if m.topic == spec.name and m.is_received is is_received]
            if mine:
                yield (
                    f"{action}-{spec.name}",
                    {
                        "action": action,
                        "channel": _at("channels", spec.name),
                        "messages": [_at("channels", spec.name, "messages", m.name) for m in mine],
                    },
                )


def _message(said: _Said) -> Document:
    (spec,) = (spec for spec in CATALOGUE if spec.name == said.topic)
    found: Document = {
        "name": said.name,
        "contentType": said.content_type,
        "payload": _at("components", "schemas", said.name),
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": spec.key},
                "bindingVersion": _KAFKA_BINDING,
            }
        },
    }
    if said.name in _HEADERS:
        named = {
            name: {"type": "string", "description": text}
            for name, text in _HEADERS[said.name].items()
        }
        found["headers"] = {"type": "object", "properties": named}
    return found


def _schemas() -> Document:
    _, components = msgspec.json.schema_components((*READ, *WRITTEN), ref_template=_REFERENCE)
    binary = {
        name: {"type": "string", "format": "binary", "description": text}
        for name, _, text in (_SLICE, *_BINARY.values())
    }
    return {
        name: {"schemaFormat": _FORMAT, "schema": schema}
        for name, schema in sorted({**components, **binary}.items())
    }


def _at(*path: str) -> dict[str, str]:
    return {"$ref": "/".join(("#", *path))}


def main() -> int:
    """Print the document."""
    sys.stdout.write(json.dumps(document(version("tradewind")), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
