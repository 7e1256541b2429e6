"""What the API is: one record per endpoint, from which the document and the server are made."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from streams.instructions import Role
from tables.views.auth import Caller

Method = Literal["GET", "POST"]
Limited = Literal["predict", "risk", "features", "admin"]

EVERYBODY: tuple[Role, ...] = ("trader", "researcher", "admin")


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body or query string that has no fields."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a handler sees it: checked, and by whom.

    Parameters
    ----------
    caller
        Who calls.
    asked
        The body, or the query string of a GET, as the route's record.
    path
        The variable parts of the address.
    headers
        What goes along with whatever follows from the request.
    started_s
        When it came, by the monotonic clock.
    key
        The idempotency key; made if the caller sent none.
    """

    caller: Caller
    asked: Any
    path: Mapping[str, str]
    headers: Mapping[str, str]
    started_s: float
    key: str


class Reply(NamedTuple):
    """A handler's answer: a record, or JSON that is written already."""

    body: msgspec.Struct | bytes
    status: int = 200
    headers: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint.

    Parameters
    ----------
    method, path
        Where it is; variable parts in braces.
    name, summary, description
        Its id in the document, a line and some more for people.
    asked
        Record of the body, or of the query string of a GET.
    answer
        Record of the answer.
    roles
        Who may call; nobody has to say who he is where there is none.
    limited
        Which limit counts it.
    codes
        Statuses of problems besides those that follow from the above.
    statuses
        Statuses of the answer: 202 while it is not all there yet, 503 while it is not well.
    """

    method: Method
    path: str
    name: str
    summary: str
    description: str
    asked: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    roles: tuple[Role, ...] = EVERYBODY
    limited: Limited | None = None
    codes: tuple[int, ...] = field(default=())
    statuses: tuple[int, ...] = (200,)

    @property
    def variables(self) -> tuple[str, ...]:
        """The variable parts of the address, in order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


Handler = Callable[[Call], Awaitable[Reply]]
# The address of the process that answers; empty if it is this one.
Owner = Callable[[Call], str]


def here(_call: Call) -> str:
    """Say that every process can answer."""
    return ""


class Bound(NamedTuple):
    """A route in this process: what answers it, and who owns what it is about."""

    route: Route
    handler: Handler
    owner: Owner = here
