"""The list of the audit trail, as far as no database is needed: tests/integration has the rest."""

from typing import Any, cast

import pytest

from streams.questions import OfForensics
from tables.stores.audit_reader import AuditReader
from tables.stores.errors import StoreUnavailable
from tables.views.auth import Caller
from tables.views.decision_index import DecisionIndex
from tables.views.forensics_list import forensics_list_endpoint
from tables.views.problems import ProblemError
from tables.views.routes import Call


class Away:
    """A trail whose database does not answer."""

    async def newest_first(self, *_: object) -> Any:  # noqa: ANN401  it never yields
        """Fail."""
        raise StoreUnavailable("PostgreSQL does not answer")
        yield


@pytest.mark.parametrize(
    ("asked", "reader", "said"),
    [
        ({}, None, (503, "NO_DATABASE")),
        ({}, Away(), (503, "DATABASE_AWAY")),
        ({"since": "yesterday"}, Away(), (422, "BAD_TIMESTAMP")),
        ({"until": "2026-01-01"}, Away(), (422, "BAD_TIMESTAMP")),
    ],
)
async def test_list_when_it_cannot_be_read_then_says_why(
    asked: dict[str, str], reader: Away | None, said: tuple[int, str]
) -> None:
    """What was asked is looked at first."""
    bound = forensics_list_endpoint(DecisionIndex(), cast("AuditReader | None", reader))
    caller = Caller("me", "j", "trader", ("*",), 0)
    with pytest.raises(ProblemError) as raised:
        await bound.handler(Call(caller, OfForensics(**asked), {}, {}, 0.0, ""))
    assert (raised.value.status, raised.value.code) == said
