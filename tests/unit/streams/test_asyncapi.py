"""The document of the topics: valid, whole, and true of what is on them."""

import json
import re
import warnings
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from streams import asyncapi
from streams.asyncapi import document, main
from streams.schemas import READ, WRITTEN
from streams.topics import CATALOGUE
from tests.unit.tables.views.played import decision

SAID = document("1.2.3")


def found(reference: str) -> Any:  # noqa: ANN401  any part of the document
    """Follow a reference."""
    part: Any = SAID
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    return part


def references(part: object) -> list[str]:
    """Return all references below a part."""
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [one for value in part.values() for one in references(value)]
    if isinstance(part, list):
        return [one for value in part for one in references(value)]
    return []


def test_document_when_checked_by_a_model_of_the_specification_then_is_valid() -> None:
    """AsyncAPI 3.0 as another library reads it: every object, key and field."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own fields' names
        from asyncapi3 import AsyncAPI3  # noqa: PLC0415  it warns when it is imported
    assert AsyncAPI3.model_validate(SAID).asyncapi == "3.0.0"


def test_document_when_read_then_every_reference_leads_somewhere() -> None:
    """Channels, messages and schemas that are named are there, and every schema is one."""
    assert all(found(each) is not None for each in references(SAID))
    for name, said in SAID["components"]["schemas"].items():
        assert said["schemaFormat"].endswith("draft-2020-12"), name
        Draft202012Validator.check_schema(said["schema"])


def test_document_when_compared_then_has_every_topic_with_its_settings() -> None:
    """The catalogue is what the broker is told; the document says the same."""
    assert list(SAID["channels"]) == [spec.name for spec in CATALOGUE]
    for spec in CATALOGUE:
        channel = SAID["channels"][spec.name]
        told = channel["bindings"]["kafka"]["topicConfiguration"]
        assert told["retention.ms"] == spec.retention_ms
        assert channel["messages"], spec.name


def test_document_when_compared_then_every_record_is_on_a_topic_and_goes_the_right_way() -> None:
    """What others write is received, what we write is sent, each on its own topic."""
    ways: dict[str, set[str]] = {"receive": set(), "send": set()}
    for name, operation in SAID["operations"].items():
        topic = operation["channel"]["$ref"].rpartition("/")[2]
        assert name == f"{operation['action']}-{topic}"
        for message in operation["messages"]:
            path = message["$ref"].split("/")
            assert path[:3] == ["#", "channels", topic]
            ways[operation["action"]].add(path[-1])
    records = {each.__name__ for each in (*READ, *WRITTEN)}
    assert ways["receive"] | ways["send"] == records | {"Slice", "DeadLetter"}
    # A decided intent stands among what the book reads, and Tradewind alone writes it.
    assert ways["receive"] == {each.__name__ for each in READ} - {"DecidedIntent"}


@pytest.mark.parametrize(("price", "is_valid"), [(271.35, True), ("dear", False)])
def test_document_when_a_decision_is_held_against_it_then_says_what_the_record_says(
    price: object, *, is_valid: bool
) -> None:
    """A real event fits its schema by way of channel, message and payload; a wrong one does not."""
    message = found(SAID["channels"]["trading-decisions"]["messages"]["Decision"]["$ref"])
    schema = found(message["payload"]["$ref"])["schema"]
    event = {**msgspec.to_builtins(decision(1, symbol="AAPL")), "price": price}
    validator = Draft202012Validator({**schema, "components": SAID["components"]})
    assert validator.is_valid(event) is is_valid
    assert set(message["headers"]["properties"]) == {"origin-ns", "request-id", "traceparent"}


def test_keys_when_made_then_are_those_that_the_specification_allows() -> None:
    """Letters, digits, hyphens and underscores (AsyncAPI 3.0, components)."""
    for part in ("messages", "schemas"):
        assert all(re.fullmatch(r"[A-Za-z0-9_-]+", key) for key in SAID["components"][part])


def test_main_when_run_then_prints_the_document(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For generators of code in other languages."""
    monkeypatch.setattr(asyncapi, "version", lambda _name: "1.2.3")
    assert main() == 0
    assert json.loads(capsys.readouterr().out) == SAID
