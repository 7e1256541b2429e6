"""Problems as the API tells them: RFC 9457 (2023) JSON, with the field, its value and what fits."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from streams.errors import FieldError
from streams.questions import Problem, Wrong

CONTENT_TYPE = "application/problem+json"

_JSON = msgspec.json.Encoder()
_LONGEST_VALUE = 200

_TITLES = {
    400: "The request is no JSON",
    401: "Who are you?",
    403: "Not allowed",
    404: "Not found",
    405: "Not with this method",
    409: "In conflict with what is known",
    413: "Too large",
    415: "Only JSON",
    421: "Not served under this name",
    422: "A field has a value that cannot be used",
    429: "Too many requests",
    500: "An error of ours",
    502: "The owner of the portfolio gave no answer",
    503: "Not now",
    504: "Not in time",
}


class ProblemError(Exception):
    """Raised by whoever cannot answer; the endpoint makes a response of it.

    Parameters
    ----------
    status, code, detail
        HTTP status, a code for programs, and what is the case and what to do, for people.
    errors
        The fields that are to blame.
    headers
        Headers of the answer, such as ``Retry-After``.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: tuple[Wrong, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})

    def response(self, request_id: str) -> web.Response:
        """Return the answer."""
        problem = Problem(
            # No page describes a code yet that says more than the detail does (RFC 9457, 4.2.1).
            type="about:blank",
            title=_TITLES.get(self.status, "Problem"),
            status=self.status,
            detail=_encodable(self.detail),
            code=self.code,
            request_id=request_id,
            errors=[_told(one) for one in self.errors],
        )
        return web.Response(
            status=self.status,
            body=_JSON.encode(problem),
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )


def _told(one: Wrong) -> Wrong:
    value = _encodable(one.value) if isinstance(one.value, str) else one.value
    return Wrong(_encodable(one.field), value, _encodable(one.expected))


def _encodable(text: str) -> str:
    """Return a text that UTF-8 has bytes for: a caller's can hold halves of pairs and raw bytes."""
    return text.encode(errors="backslashreplace").decode()


def wrong(code: str, field: str, value: object, expected: str) -> ProblemError:
    """Return the problem of one field: 422."""
    shown = value if isinstance(value, bool | int | float | type(None)) else _short(value)
    detail = f"{field} was {_short(value)}; expected {expected}"
    return ProblemError(422, code, detail, (Wrong(field, shown, expected),))


def wrong_field(error: FieldError) -> ProblemError:
    """Return the problem of a record's field that could not be used: 422."""
    return wrong(error.reason, error.field, error.value, error.expected)


def unknown(code: str, field: str, value: str, expected: str) -> ProblemError:
    """Return the problem of a name that stands for nothing: 404."""
    detail = f"there is no {field} {_short(value)!r}; expected {expected}"
    return ProblemError(404, code, detail, (Wrong(field, _short(value), expected),))


def not_ready(code: str, detail: str, *, retry_s: int = 1) -> ProblemError:
    """Return the problem of something that will be there later: 503."""
    return ProblemError(503, code, detail, headers={"Retry-After": str(retry_s)})


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
