"""Reasons over HTTP: pending, unknown, and nobody else's, from a trail that is played."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from streams.questions import ForensicsAnswer
from streams.records import Decision
from tables.audit_rows import AuditRow
from tables.stores.audit_reader import AuditReader
from tables.stores.errors import StoreBusy, StoreUnavailable
from tables.views.auth import Caller
from tables.views.forensics import forensics_endpoints
from tables.views.problems import ProblemError
from tables.views.routes import Call, Nothing, Reply
from tables.views.run_memory import RunMemory
from tests.unit.tables.views.played import TOPIC, PlayedLog, decision, decision_id, record

_NOW = datetime(2026, 1, 2, 21, tzinfo=UTC)

Told = Decision | Exception | bytes | None


class Trail:
    """A trail that has one decision, or is away; reasons are asked of it by mistake only."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.n_reasons = 0

    async def row(self, _decision_id: str) -> AuditRow | None:
        """Return the row."""
        if isinstance(self._told, Exception):
            raise self._told
        if self._told is None:
            return None
        value = self._told if isinstance(self._told, bytes) else msgspec.json.encode(self._told)
        of = ("s", "r1", 0, 0, 0, _NOW, b"main", "[]", value, bytes(32))
        return AuditRow(*of, portfolio=msgspec.json.decode(value)["portfolio"])

    async def explanation(self, _decision_id: str) -> None:
        """Count that reasons were asked for."""
        self.n_reasons += 1
        raise AssertionError("reasons were made for somebody who may not see them")


def asking(told: Told, log: PlayedLog, folder: Path) -> Callable[[int], Any]:
    """Return what asks for the reasons of a decision, as a trader of the portfolio ``main``."""
    memory = RunMemory("r1.")
    for one in log.records.values():
        memory.take(one)
    reader = cast("AuditReader", Trail(told))
    (bound,) = forensics_endpoints(memory, log, reader, folder)
    caller = Caller("me", "j", "trader", ("main",), 0)

    async def ask(number: int) -> Reply:
        path = {"decision_id": decision_id(number)}
        return await bound.handler(Call(caller, Nothing(), path, {}, 0.0, ""))

    return ask


async def test_forensics_when_the_trail_is_behind_then_is_pending(tmp_path: Path) -> None:
    """202 for a decision of the log that SQL does not have yet."""
    reply = await asking(None, PlayedLog([record(TOPIC, decision(1))]), tmp_path)(1)
    assert (reply.status, reply.headers["Retry-After"]) == (202, "1")
    assert isinstance(reply.body, ForensicsAnswer)
    assert reply.body.decision is None


@pytest.mark.parametrize("told", [None, decision(1, portfolio="theirs")])
async def test_forensics_when_it_is_another_portfolio_then_is_unknown(
    tmp_path: Path, told: Told
) -> None:
    """The same 404 as for no decision, pending or not, before any reason is made."""
    log = PlayedLog([record(TOPIC, decision(1, portfolio="theirs"))])
    for number in (1, 2):
        with pytest.raises(ProblemError) as raised:
            await asking(told, log, tmp_path)(number)
        problem = raised.value
        assert (problem.status, problem.code) == (404, "UNKNOWN_DECISION")
        assert [(one.field, one.value) for one in problem.errors] == [
            ("decision_id", decision_id(number))
        ]


@pytest.mark.parametrize(
    ("portfolio", "said"),
    [("main", (409, "NOT_A_DECISION")), ("theirs", (404, "UNKNOWN_DECISION"))],
)
async def test_forensics_when_the_row_is_no_decision_then_says_so_to_whom_it_belongs(
    tmp_path: Path, portfolio: str, said: tuple[int, str]
) -> None:
    """The trail keeps whatever names a decision; a row with nothing else has no reasons."""
    fields = msgspec.json.decode(msgspec.json.encode(decision(1, portfolio=portfolio)))
    bare = msgspec.json.encode({name: fields[name] for name in ("decision_id", "portfolio")})
    late = msgspec.json.encode(fields | {"timestamp": "soon"})
    for value, why in ((bare, "row 0 of partition 0, offset 0"), (late, "soon")):
        with pytest.raises(ProblemError) as raised:
            await asking(value, PlayedLog(), tmp_path)(1)
        problem = raised.value
        assert (problem.status, problem.code) == said
        assert (why in problem.detail) is (portfolio == "main")


async def test_forensics_when_database_or_broker_are_away_then_is_not_ready(
    tmp_path: Path,
) -> None:
    """Nobody is told that there is no decision while that cannot be known."""
    log = PlayedLog()
    log.is_away = True
    for told, code in ((StoreUnavailable("away"), "DATABASE_AWAY"), (None, "BROKER_AWAY")):
        with pytest.raises(ProblemError, match=f"503 {code}"):
            await asking(told, log, tmp_path)(1)


@pytest.mark.parametrize(
    ("told", "code", "retry_s"),
    [
        (StoreUnavailable("PostgreSQL at db.internal:5432 does not answer"), "DATABASE_AWAY", "5"),
        (StoreBusy("4 are in use; ask again in a moment"), "DATABASE_BUSY", "2"),
    ],
)
async def test_forensics_when_the_database_gives_nothing_then_says_what_to_do_and_not_where_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, told: Exception, code: str, retry_s: str
) -> None:
    """Callers learn when to ask again; the address is in the log of whoever runs it."""
    with pytest.raises(ProblemError) as raised:
        await asking(told, PlayedLog(), tmp_path)(1)
    problem = raised.value
    assert (problem.status, problem.code) == (503, code)
    assert problem.headers["Retry-After"] == retry_s
    assert "ask again" in problem.detail
    assert "db.internal" not in problem.detail
    assert ("db.internal" in caplog.text) is (code == "DATABASE_AWAY")
