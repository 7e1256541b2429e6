"""The API as a document: OpenAPI 3.1, made from the routes and the records they take and give."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from streams.questions import Problem
from streams.timestamps import TIMEFRAMES_NS
from tables.views.call_limits import PER_MINUTE
from tables.views.examples import REFUSED, Example, examples
from tables.views.routes import Nothing, Route

_REFERENCE = "#/components/schemas/{name}"
_ALWAYS = (422, 500, 503, 504)
_JSON, _PROBLEM = "application/json", "application/problem+json"

_ANSWERS = {
    200: "The answer.",
    202: "Not all is there yet; `Retry-After` or `status_url` says how to ask again.",
    503: "Not ready: the same answer, with the parts that are to blame.",
}
_PROBLEMS = {
    400: "The body is no JSON.",
    401: "No token, or one that is not accepted.",
    403: "The token's role or portfolios do not allow it.",
    404: "There is no such thing.",
    409: "It contradicts what is known, such as a key that was used for another request.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A field has a value that cannot be used; `errors` names it.",
    429: "More requests a minute than the caller may send; `Retry-After` says when to go on.",
    500: "An error of ours.",
    503: "Not ready, or a part that is needed is away; `Retry-After` says when to try again.",
    504: "No answer in time. It can be asked again, a POST with the same idempotency key.",
}
_HEADER_PARAMETERS = {
    "Request-Timeout-Ms": {
        "description": "How long the caller waits; 2000 if it is not said.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 30_000},
    },
    "X-Request-Id": {
        "description": "Goes through logs and Kafka headers, if it has 1 to 64 printable "
        "characters; otherwise one is made.",
        "schema": {"type": "string"},
    },
}
_TEXT, _SECONDS = {"type": "string"}, {"type": "integer", "minimum": 0}
_HEADERS = {
    "X-Request-Id": {"description": "Finds the request in the logs.", "schema": _TEXT},
    "RateLimit-Policy": {
        "description": "The limit that counts: its name, requests `q` in a window of `w` seconds.",
        "schema": _TEXT,
    },
    "RateLimit": {
        "description": "How many requests remain, `r`, until the window is over in `t` seconds.",
        "schema": _TEXT,
    },
    "Idempotency-Key": {"description": "The key of the request.", "schema": _TEXT},
    "Retry-After": {"description": "When to ask again, in seconds.", "schema": _SECONDS},
    "Location": {"description": "Where it is, if it is somewhere.", "schema": _TEXT},
    "WWW-Authenticate": {"description": "Bearer.", "schema": _TEXT},
}
# By status; every answer has the first, and what is limited or has a key says so on success.
_HEADERS_OF = {
    202: ("Retry-After", "Location"),
    401: ("WWW-Authenticate",),
    409: ("Location",),
    429: ("Retry-After", "RateLimit-Policy", "RateLimit"),
    503: ("Retry-After",),
}
_NAME = {"type": "string", "minLength": 1, "maxLength": 64}
_PATH_SCHEMAS = {
    "decision_id": {
        "type": "string",
        "format": "uuid",
        "pattern": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
    },
    "timeframe": {"type": "string", "enum": list(TIMEFRAMES_NS)},
}
_KEY_PARAMETER = {
    "Idempotency-Key": {
        "description": "Two requests with one key are one; made and returned if absent.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]+$"},
    }
}


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """Return the document of some routes."""
    kinds = [Problem, *(kind for route in routes for kind in (route.asked, route.answer))]
    _, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    components.pop(Nothing.__name__, None)
    paths: dict[str, dict[str, Any]] = {}
    shown = examples()
    for route in routes:
        said = _operation(route, shown[route.name])
        paths.setdefault(route.path, {})[route.method.lower()] = said
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tradewind",
            "version": version,
            "description": "Decisions, risk, features and regimes of a Tradewind worker. What is "
            "no HTTP, such as a header of more than 8,190 bytes, is answered 400 without a body "
            "of ours.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "externalDocs": {
            "description": "The topics on Kafka, as AsyncAPI 3.0",
            "url": "/api/v1/asyncapi.json",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": _HEADERS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _operation(route: Route, shown: Example) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": _description(route),
        "parameters": list(_parameters(route, shown)),
        "responses": _responses(route, shown),
        "x-roles": list(route.roles),
    }
    if not route.roles:
        said["security"] = []
    if route.method == "POST":
        content = {_JSON: {"schema": _reference(route.asked), "example": shown.body}}
        said["requestBody"] = {"required": True, "content": content}
    return said


def _description(route: Route) -> str:
    if route.limited is None:
        return route.description
    n = PER_MINUTE[route.limited]
    return f"{route.description} At most {n:,} requests a minute and caller."


def _parameters(route: Route, shown: Example) -> Iterable[dict[str, Any]]:
    for name in route.variables:
        schema = _PATH_SCHEMAS.get(name, _NAME)
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": schema,
            **_example(shown, name),
        }
    if route.method == "GET":
        described = msgspec.json.schema(route.asked)["$defs"][route.asked.__name__]
        for name, field in described.get("properties", {}).items():
            required = name in described.get("required", ())
            plain = {key: value for key, value in field.items() if key != "default"}
            yield {
                "name": name,
                "in": "query",
                "required": required,
                "schema": plain,
                **_example(shown, name),
            }
    headers = _HEADER_PARAMETERS | (_KEY_PARAMETER if route.method == "POST" else {})
    for name, said in headers.items():
        yield {"name": name, "in": "header", "required": False, **said}


def _example(shown: Example, name: str) -> dict[str, Any]:
    return {"example": shown.given[name]} if name in shown.given else {}


def _responses(route: Route, shown: Example) -> dict[str, Any]:
    content = {_JSON: {"schema": _reference(route.answer), "example": shown.answer}}
    codes = {*_ALWAYS, *route.codes}
    if route.roles:
        codes |= {401, 403}
    if route.limited:
        codes.add(429)
    if route.method == "POST":
        codes |= {400, 413, 415}
    problem = {_PROBLEM: {"schema": _reference(Problem)}}
    told: dict[str, Any] = {
        str(code): {"description": _ANSWERS[code], "content": content} for code in route.statuses
    }
    for code in sorted(codes):
        # Health answers 503 with its own record, and a process that is busy with a problem.
        said = told.get(str(code), {"description": _PROBLEMS[code], "content": {}})
        told[str(code)] = said | {"content": said["content"] | problem}
    refused = {"schema": _reference(Problem), "example": REFUSED}
    told[str(REFUSED["status"])]["content"][_PROBLEM] = refused
    return {code: answer | {"headers": _headers(route, int(code))} for code, answer in told.items()}


def _headers(route: Route, code: int) -> dict[str, Any]:
    names = ["X-Request-Id", *_HEADERS_OF.get(code, ())]
    if code in route.statuses and route.limited:
        names += ["RateLimit-Policy", "RateLimit"]
    if code in route.statuses and route.method == "POST":
        names.append("Idempotency-Key")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _reference(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=kind.__name__)}
