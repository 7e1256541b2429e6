"""Bodies and query strings become records, or a problem that names the field.

msgspec checks types and bounds by the record's own annotations, from which the published document
is made too, so neither can say what the other does not.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from streams.errors import RecordError
from streams.questions import Wrong
from streams.timestamps import parse_ns
from tables.views.problems import ProblemError, wrong

# A request is a handful of fields; what is larger is none.
MOST_BYTES = 16_384

_AT = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_NAMED = re.compile(r"field `([^`]*)`")

# What msgspec says of a number that no float can hold, whatever the field's own bounds are.
_OUT_OF_RANGE = "Number out of range"
_SIGNS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}

Body = TypeVar("Body", bound=msgspec.Struct)


def read_body(raw: bytes, kind: type[Body]) -> Body:
    """Read a JSON body.

    Raises
    ------
    ProblemError
        400 if it is no JSON, 422 if a field is missing, unknown or has a value that cannot be.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise _field_problem(str(error), _plain(raw), kind) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(400, "NOT_JSON", f"the body is no JSON: {error}") from error


def read_query(given: Iterable[tuple[str, str]], kind: type[Body]) -> Body:
    """Read a query string; numbers come as text. It raises as :func:`read_body`."""
    found: dict[str, str] = {}
    for name, value in given:
        if name in found:
            raise wrong("GIVEN_TWICE", name, value, "each parameter once")
        found[name] = value
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _field_problem(str(error), found, kind) from error


def _field_problem(said: str, plain: object, kind: type[msgspec.Struct]) -> ProblemError:
    """Make a problem of msgspec's sentence, which ends with where it happened."""
    expected, field = said, ""
    if at := _AT.search(said):
        expected, field = said[: at.start()], at.group(1)
    value = _value_at(plain, field)
    if named := _NAMED.search(expected):
        # Missing or unknown: the sentence names the field, the place is that of its owner.
        name = f"{field}.{named.group(1)}" if field else named.group(1)
        is_missing = "missing" in expected
        fits = "a value" if is_missing else "no such field"
        code = "MISSING_FIELD" if is_missing else "UNKNOWN_FIELD"
        detail = f"{name} is {'missing' if is_missing else 'no field of this request'}"
        given = None if is_missing else _value_at(plain, name)
        return ProblemError(422, code, detail, (Wrong(name, _shown(given), fits),))
    if expected.startswith("Invalid enum"):
        expected = f"one of {', '.join(_choices(kind, field))}"
    elif expected == _OUT_OF_RANGE:
        expected = _bounds(kind, field)
    return wrong("BAD_FIELD", field or "body", value, expected.removeprefix("Expected "))


def _bounds(kind: type[msgspec.Struct], field: str) -> str:
    """Say between what a number has to be, by its annotation."""
    said = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"].get(field, {})
    kinds = said.get("anyOf", [said])
    told = [
        f"{sign} {bound[name]:,g}"
        for bound in kinds
        for name, sign in _SIGNS.items()
        if name in bound
    ]
    return f"a number {' and '.join(told)}".rstrip()


def _choices(kind: type[msgspec.Struct], field: str) -> Iterator[str]:
    """Yield the texts that a field may have, in the order of its annotation."""
    waiting = [get_type_hints(kind)[field]]
    while waiting:
        choice = waiting.pop(0)
        if isinstance(choice, str):
            yield choice
        waiting[:0] = get_args(choice)


def _plain(raw: bytes) -> object:
    try:
        return json.loads(raw, parse_float=_number)
    except (ValueError, RecursionError):
        return None


def _number(text: str) -> float | str:
    """Return a number as it can be told again: one that no float can hold as the text it was."""
    return value if math.isfinite(value := float(text)) else text


def _value_at(plain: object, path: str) -> Any:  # noqa: ANN401  whatever was sent
    value = plain
    for name in filter(None, path.split(".")):
        value = value.get(name) if isinstance(value, dict) else None
    return _shown(value)


def _shown(value: object) -> Any:  # noqa: ANN401  whatever was sent
    """Return a value as a problem can show it: what is no scalar as text."""
    return value if isinstance(value, str | bool | int | float | type(None)) else repr(value)[:200]


def asked_ns(field: str, text: str | None) -> int | None:
    """Return a time of a request in nanoseconds since 1970; None if none was given.

    Raises
    ------
    ProblemError
        422 ``BAD_TIMESTAMP`` if it is no time, or has no zone.
    """
    if text is None:
        return None
    try:
        return parse_ns(text)
    except RecordError as error:
        raise wrong("BAD_TIMESTAMP", field, text, "RFC 3339 with its zone") from error
