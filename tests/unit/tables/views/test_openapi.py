"""The document: valid, whole, and true of the answers."""

from typing import Any
from urllib.parse import urlencode

import pytest
from jsonschema import Draft202012Validator

from tables.views.api import ROUTES
from tables.views.examples import examples
from tables.views.openapi import document
from tables.views.routes import Route
from tests.unit.agents.test_risk import SYMBOLS
from tests.unit.tables.views.conftest import Asking

SAID = document(ROUTES, "1.2.3")
BODIES = {
    "checkRisk": {"symbol": SYMBOLS[0], "side": "SELL", "quantity": 1},
    "predict": {"symbol": SYMBOLS[0]},
}


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Give a validator of a schema of the document."""
    return Draft202012Validator({**schema, "components": SAID["components"]})


def test_document_when_made_then_every_route_is_in_it_with_its_roles() -> None:
    """Path, method and id; who need not say who he is stands out."""
    found = {
        said["operationId"]: (path, method.upper(), said["x-roles"], said.get("security"))
        for path, methods in SAID["paths"].items()
        for method, said in methods.items()
    }
    expected = {
        route.name: (route.path, route.method, list(route.roles), None if route.roles else [])
        for route in ROUTES
    }
    assert found == expected
    assert (SAID["openapi"], SAID["info"]["version"]) == ("3.1.0", "1.2.3")


def test_document_when_read_then_every_reference_leads_somewhere() -> None:
    """Nothing is named that is not there, and no schema is there that is not valid."""
    schemas, headers = SAID["components"]["schemas"], SAID["components"]["headers"]

    def references(part: object) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [one for value in part.values() for one in references(value)]
        if isinstance(part, list):
            return [one for value in part for one in references(value)]
        return []

    assert {name.rpartition("/")[2] for name in references(SAID)} <= {*schemas, *headers}
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("route", ROUTES[:7], ids=lambda route: route.name)
async def test_document_when_an_endpoint_answers_then_it_is_what_was_promised(
    asking: Asking, route: Route
) -> None:
    """The real answers against the schemas; a problem against its own."""
    path = route.path.format(symbol=SYMBOLS[0], timeframe="1min")
    status, said, _ = await asking.ask(path, BODIES.get(route.name))
    promised = SAID["paths"][route.path][route.method.lower()]["responses"]
    assert status == 200
    validator(promised["200"]["content"]["application/json"]["schema"]).validate(said)
    status, said, _ = await asking.ask(f"{path}?nothing=1", BODIES.get(route.name))
    if route.method == "GET":
        assert status == 422
        schema = promised["422"]["content"]["application/problem+json"]["schema"]
        validator(schema).validate(said)


async def test_document_when_asked_for_then_is_served_to_everybody(asking: Asking) -> None:
    """It says nothing that is secret."""
    answer = await asking.client.get("/api/v1/openapi.json")
    assert answer.status == 200
    assert set((await answer.json())["paths"]) == set(SAID["paths"])
    answer = await asking.client.get("/api/v1/asyncapi.json")
    assert answer.status == 200
    assert (await answer.json())["asyncapi"] == "3.0.0"


def operations() -> list[tuple[str, dict[str, Any]]]:
    """Return the operations of the document with their ids."""
    return [
        (said["operationId"], said)
        for methods in SAID["paths"].values()
        for said in methods.values()
    ]


@pytest.mark.parametrize(("name", "said"), operations())
def test_example_when_shown_then_is_what_the_schema_promises(
    name: str, said: dict[str, Any]
) -> None:
    """Every endpoint shows an answer, every POST a body, every path its parts."""
    shown = []
    for answer in said["responses"].values():
        for content in answer["content"].values():
            if "example" in content:
                validator(content["schema"]).validate(content["example"])
                shown.append(content["example"])
    assert len(shown) >= 2, name  # one of its own, and a problem
    if "requestBody" in said:
        content = said["requestBody"]["content"]["application/json"]
        validator(content["schema"]).validate(content["example"])
    for parameter in said["parameters"]:
        if parameter["in"] == "path":
            assert "example" in parameter, name
        if "example" in parameter:
            validator(parameter["schema"]).validate(parameter["example"])


@pytest.mark.parametrize("route", ROUTES[:7], ids=lambda route: route.name)
async def test_example_when_sent_as_it_is_then_is_answered(asking: Asking, route: Route) -> None:
    """What the page to try the API is filled in with; the symbols of a test are others."""
    shown = examples()[route.name]
    here = {"symbol": SYMBOLS[0], "timeframe": "1min"}
    given = {name: here.get(name, value) for name, value in shown.given.items()}
    body = shown.body and {name: here.get(name, value) for name, value in shown.body.items()}
    query = {name: v for name, v in given.items() if name not in route.variables}
    path = f"{route.path.format(**given)}?{urlencode(query)}"
    status, _, _ = await asking.ask(path, body)
    assert status == 200


async def test_documents_when_read_then_each_names_the_other(asking: Asking) -> None:
    """OpenAPI for questions, AsyncAPI for topics; the page to try links both."""
    there = {}
    for path in ("openapi.json", "asyncapi.json", "docs"):
        there[path] = await (await asking.client.get(f"/api/v1/{path}")).text()
    assert "/api/v1/asyncapi.json" in there["openapi.json"]
    assert "/api/v1/openapi.json" in there["asyncapi.json"]
    assert "/api/v1/docs" in there["asyncapi.json"]
    for path in ("openapi.json", "asyncapi.json"):
        assert f'href="/api/v1/{path}"' in there["docs"]


async def test_headers_when_an_endpoint_answers_then_are_those_that_were_promised(
    asking: Asking,
) -> None:
    """Said for success, and for what says when to come back."""
    promised = SAID["paths"]["/risk/check"]["post"]["responses"]
    status, _, answer = await asking.ask("/risk/check", BODIES["checkRisk"])
    assert status == 200
    assert all(name in answer.headers for name in promised["200"]["headers"])
    assert set(promised["429"]["headers"]) == {
        "X-Request-Id",
        "Retry-After",
        "RateLimit-Policy",
        "RateLimit",
    }
    assert "RateLimit" not in SAID["paths"]["/api/v1/health"]["get"]["responses"]["200"]["headers"]
