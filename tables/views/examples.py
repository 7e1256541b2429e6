"""Examples of the published document: requests that a demo answers as they are, and its answers.

They are a file, ``examples.json``, by the name of the route: ``given`` are path and query, ``body``
is the body, ``answer`` what came back, with long lists cut short. The page to try the API is filled
in with them.
"""

from collections.abc import Mapping
from importlib import resources
from typing import Any

import msgspec


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of one endpoint, and what it answers."""

    answer: dict[str, Any]
    given: dict[str, Any] = {}
    body: dict[str, Any] | None = None


def examples() -> Mapping[str, Example]:
    """Return the examples by the name of their route."""
    raw = resources.files("tables.views").joinpath("examples.json").read_bytes()
    return msgspec.json.decode(raw, type=dict[str, Example])


REFUSED = {
    "type": "about:blank",
    "title": "A field has a value that cannot be used",
    "status": 422,
    "detail": "quantity was -1; expected `float` > 0.0",
    "code": "BAD_FIELD",
    "request_id": "r-1",
    "errors": [{"field": "quantity", "value": -1, "expected": "`float` > 0.0"}],
}
"""What every problem looks like."""
