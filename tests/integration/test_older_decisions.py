"""The list of decisions from memory and SQL: one list, whatever the memory has let go."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from streams.explanation import Explanation
from streams.questions import (
    DecisionLine,
    DecisionsAnswer,
    ForensicsLine,
    ForensicsPage,
    OfDecisions,
    OfForensics,
)
from streams.records import Decision
from tables.archive import RunKey
from tables.audit_chain import AuditChain, Tip
from tables.explanations import explanation_rows
from tables.stores.audit_reader import AuditReader
from tables.stores.audit_store import AuditStore
from tables.stores.decision_log import LogRecord
from tables.stores.row_store import RowStore
from tables.stores.servers.postgres import PostgresServer
from tables.views import older_decisions
from tables.views.auth import Caller
from tables.views.decision_index import DecisionIndex
from tables.views.decisions import decision_endpoints
from tables.views.forensics_list import forensics_list_endpoint
from tables.views.problems import ProblemError
from tables.views.routes import Call, Nothing
from tables.views.run_memory import RunMemory
from tests.trails import key, record
from tests.unit.tables.views.played import TOPIC, PlayedLog, decision, decision_id, refused
from tests.unit.tables.views.played import record as kafka_record

pytestmark = pytest.mark.postgres

OF = RunKey("listed-1f2e3d4c", "r1")
EVERYBODY = Caller("me", "j", "trader", ("*",), 0)
N_BARS = 30


def told() -> list[LogRecord]:
    """Return 30 bars of two partitions: three symbols each, wishes in between, one sent again.

    Two wishes of a bar differ by nanoseconds, which SQL does not keep, and against the order of
    their partitions.
    """
    events: tuple[list[Decision], list[Decision]] = ([], [])
    number = 0
    for bar in range(N_BARS):
        for partition, portfolio in enumerate(("main", "other")):
            for symbol in ("A", "B", "C"):
                number += 1
                made = refused if number % 5 == 0 else decision
                at = f"2026-01-{1 + bar // 10:02d}T{bar % 10:02d}:00:00Z"
                events[partition].append(
                    made(number, symbol=symbol, portfolio=portfolio, timestamp=at)
                )
            number += 1
            at = f"2026-01-{1 + bar // 10:02d}T{bar % 10:02d}:30:00.00000{300 + partition}Z"
            events[partition].append(decision(number, portfolio=portfolio, timestamp=at))
        events[0].append(events[0][-4])
    return [
        kafka_record(TOPIC, event, offset, partition=partition)
        for partition, of in enumerate(events)
        for offset, event in enumerate(of)
    ]


@pytest.fixture(scope="module")
def records() -> list[LogRecord]:
    """Give the log."""
    return told()


@pytest.fixture
async def reader(postgres: PostgresServer, records: list[LogRecord]) -> AuditReader:
    """Give the trail of the log, in SQL."""
    async with AuditStore(postgres, OF) as store:
        if (await store.tip(0)).head is None:
            for partition in (0, 1):
                chain = AuditChain(OF, partition, Tip(), key().sign)
                of = [one for one in records if one.partition == partition]
                taken = [
                    chain.take(record(one.offset, one.value, partition=partition)) for one in of
                ]
                rows = [one.row for one in taken if one is not None and one.row is not None]
                head = chain.seal()
                heads = [one.head for one in taken if one is not None and one.head is not None]
                await store.put(rows, heads if head is None else [*heads, head])
    return AuditReader(postgres, OF)


class Asking:
    """A process that has read some records and keeps some of their lines."""

    def __init__(
        self, records: Sequence[LogRecord], reader: AuditReader | None, rows_max: int = 1_000
    ) -> None:
        memory = RunMemory("r1.")
        memory.decisions = DecisionIndex(rows_max=rows_max)
        for one in records:
            memory.take(one)
        self.listed, self.one = decision_endpoints(memory, PlayedLog(records), reader)
        self.n_pages = 0

    async def page(self, asked: OfDecisions, caller: Caller = EVERYBODY) -> DecisionsAnswer:
        """Ask for a page."""
        reply = await self.listed.handler(Call(caller, asked, {}, {}, 0.0, ""))
        assert isinstance(reply.body, DecisionsAnswer)
        return reply.body

    async def walk(self, caller: Caller = EVERYBODY, **asked: Any) -> list[DecisionLine]:  # noqa: ANN401  a filter
        """Return all pages as one list."""
        lines: list[DecisionLine] = []
        before = None
        while self.n_pages == 0 or before is not None:
            said = await self.page(OfDecisions(before=before, limit=17, **asked), caller)
            assert said.complete_since is None
            lines += said.decisions
            before = said.next
            self.n_pages += 1
        return lines


_FILTERS: list[dict[str, Any]] = [
    {},
    {"symbol": "B"},
    {"verdict": "refused"},
    {"reason": "MAX_ASSET_FRACTION", "portfolio": "other"},
    {"action": "BUY", "verdict": "approved"},
    {"portfolio": "nobody"},
]


@pytest.mark.parametrize("asked", _FILTERS)
@pytest.mark.parametrize(
    ("rows_max", "lost"), [(40, 0), (1, 0), (1_000, 21)], ids=["full", "one", "late"]
)
async def test_list_when_memory_lacks_the_older_then_is_the_same_as_if_it_had_all(
    reader: AuditReader,
    records: list[LogRecord],
    asked: dict[str, Any],
    rows_max: int,
    lost: int,
) -> None:
    """No gap, no repetition, the same bytes: also where one partition's log begins later."""
    wanted = await Asking(records, None).walk(**asked)
    late = [one for one in records if one.partition == 0 or one.offset >= lost]
    found = await Asking(late, reader, rows_max).walk(**asked)
    assert msgspec.json.encode(found) == msgspec.json.encode(wanted)
    assert len({one.decision_id for one in found}) == len(found)


async def test_list_when_a_caller_has_one_portfolio_then_sql_tells_of_no_other(
    reader: AuditReader, records: list[LogRecord]
) -> None:
    """What memory would not show, SQL does not either, and its event neither."""
    caller = EVERYBODY._replace(portfolios=("other",))
    found = await Asking(records, reader, 1).walk(caller)
    assert {one.portfolio for one in found} == {"other"}
    assert len(found) == 4 * N_BARS
    asking = Asking(records[-1:], reader)
    mine, theirs = (
        Call(caller, Nothing(), {"decision_id": decision_id(number)}, {}, 0.0, "")
        for number in (5, 1)
    )
    event = next(one for one in records if decision_id(5).encode() in (one.value or b""))
    assert (await asking.one.handler(mine)).body == event.value
    with pytest.raises(ProblemError) as raised:
        await asking.one.handler(theirs)
    assert raised.value.status == 404


async def test_list_when_few_pass_then_pages_are_short_and_go_on(
    reader: AuditReader, records: list[LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request looks at a bounded number of rows."""
    monkeypatch.setattr(older_decisions, "MOST_READ", 10)
    wanted = await Asking(records, None).walk(reason="MAX_ASSET_FRACTION")
    asking = Asking(records, reader, 1)
    assert await asking.walk(reason="MAX_ASSET_FRACTION") == wanted
    assert asking.n_pages > 4 * len(wanted) / 17


async def test_list_when_sql_is_away_or_behind_then_it_says_so(
    reader: AuditReader, records: list[LogRecord], postgres: PostgresServer
) -> None:
    """Known lines are told, then 503; without a database, or behind, from when on it is whole."""
    away = replace(postgres, url="postgresql://u:secret@127.0.0.1:1/db")
    asking = Asking(records, AuditReader(away, OF), 10)
    first = await asking.page(OfDecisions(limit=50))
    assert (len(first.decisions), first.complete_since) == (10, None)
    with pytest.raises(ProblemError) as raised:
        await asking.page(OfDecisions(before=first.next))
    assert (raised.value.status, raised.value.code) == (503, "DATABASE_AWAY")
    assert raised.value.headers["Retry-After"] == "5"
    assert "127.0.0.1" not in raised.value.detail
    alone = await Asking(records, None, 10).page(OfDecisions())
    assert (len(alone.decisions), alone.next) == (10, None)
    assert alone.complete_since is not None
    more = [
        kafka_record(TOPIC, decision(900 + n, timestamp=f"2026-02-01T00:{n:02d}:00Z"), 500 + n)
        for n in range(12)
    ]
    behind = await Asking([*records, *more], reader, 10).page(OfDecisions(limit=20))
    assert behind.complete_since == "2026-02-01T00:01:00Z"
    assert len(behind.decisions) == 20


# Numbers of decisions, and how they are explained.
_EXPLAINED: dict[int, dict[str, Any]] = {
    1: {"why": "order", "explained": "model", "is_additive": True},
    2: {"why": "order", "explained": "controls"},
    5: {"why": "refusal", "explained": "model", "is_additive": False},
}


async def _trail(
    reader: AuditReader,
    records: list[LogRecord],
    postgres: PostgresServer,
    caller: Caller = EVERYBODY,
    **asked: Any,  # noqa: ANN401  a filter
) -> list[ForensicsLine]:
    """Return all pages of the trail's list, three of its rows being explained."""
    values = [msgspec.json.decode(one.value or b"", type=Decision) for one in records]
    async with RowStore(postgres) as store:
        for number, told_of in _EXPLAINED.items():
            made = next(one for one in values if one.decision_id == decision_id(number))
            said = Explanation(
                **{name: getattr(made, name) for name in _NAMES},
                models="",
                refused_by=[],
                **told_of,
            )
            await store.put(explanation_rows(OF, msgspec.json.encode(said)))
    memory = RunMemory("r1.")
    for one in records:
        memory.take(one)
    bound = forensics_list_endpoint(memory.decisions, reader)
    lines: list[ForensicsLine] = []
    question: OfForensics | None = OfForensics(limit=17, **asked)
    while question is not None:
        reply = await bound.handler(Call(caller, question, {}, {}, 0.0, ""))
        assert isinstance(reply.body, ForensicsPage)
        lines += reply.body.forensics
        before = reply.body.next
        question = None if before is None else msgspec.structs.replace(question, before=before)
    return lines


_NAMES = ("decision_id", "portfolio", "symbol", "timeframe", "timestamp")


async def test_trail_when_listed_then_has_the_lines_of_the_list_with_row_and_explanation(
    reader: AuditReader, records: list[LogRecord], postgres: PostgresServer
) -> None:
    """The same lines in the same order; three are explained, the rest is not, and all is signed."""
    wanted = await Asking(records, None).walk()
    found = await _trail(reader, records, postgres)
    assert [one.decision_id for one in found] == [one.decision_id for one in wanted]
    assert all(one.is_signed and one.row == one.offset for one in found)
    told_of = {
        one.decision_id: {
            "why": one.why,
            "explained": one.explained,
            "is_additive": one.is_additive,
        }
        for one in found
    }
    for number in range(1, 9):
        expected = {"why": None, "explained": "none", "is_additive": None}
        assert told_of[decision_id(number)] == expected | _EXPLAINED.get(number, {})


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({"explained": "model"}, {1, 5}),
        ({"why": "order"}, {1, 2}),
        ({"why": "refusal", "verdict": "refused"}, {5}),
        ({"explained": "none", "until": "2026-01-01T00:00:00Z"}, {3, 6, 7}),
        ({"until": "2025-12-31T00:00:00Z"}, set()),
        ({"since": "2026-01-03T09:30:00Z", "until": "2199-01-01T00:00:00Z"}, {236, 240}),
    ],
)
async def test_trail_when_filtered_then_has_those_alone(
    reader: AuditReader,
    records: list[LogRecord],
    postgres: PostgresServer,
    asked: dict[str, Any],
    numbers: set[int],
) -> None:
    """By how they were explained and for what, and by the close of their bar."""
    found = await _trail(reader, records, postgres, **asked)
    assert {one.decision_id for one in found} == {decision_id(number) for number in numbers}


async def test_trail_when_a_caller_has_one_portfolio_then_nothing_else_is_listed(
    reader: AuditReader, records: list[LogRecord], postgres: PostgresServer
) -> None:
    """Nobody's else, whatever he asks for."""
    caller = EVERYBODY._replace(portfolios=("other",))
    assert {one.portfolio for one in await _trail(reader, records, postgres, caller)} == {"other"}
    assert await _trail(reader, records, postgres, caller, portfolio="main") == []
