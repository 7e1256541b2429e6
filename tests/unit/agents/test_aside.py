"""Deciding without the log: on a copy, durable first, by the owner only, forgotten when told."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents import aside as asides
from agents.aside import Aside
from agents.risk import KeptBook
from streams.clock import monotonic_s
from streams.instructions import TargetIntent
from streams.transport import Outgoing
from tables.stores.errors import SpillFailed, SpillFull
from tables.stores.spill import Spill
from tables.views.problems import ProblemError
from tests.builders import letters
from tests.unit.agents.test_risk_targets import Asked


class Broker:
    """A producer whose records a test looks at."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def send_all(self, records: Sequence[Outgoing]) -> None:
        """Take records."""
        self.sent.extend(records)


class World:
    """A book, the one aside, and a producer."""

    def __init__(self, root: Path, spill: Spill, alone_until_s: float = math.inf) -> None:
        self.alone_until_s = alone_until_s
        self.log = Asked(root / "artifacts")
        self.log.warm()
        self.broker = Broker()
        self.aside = Aside(
            spill,
            lambda: self.broker,  # type: ignore[arg-type, return-value]  it sends, no more is asked
            "portfolio-events",
            self.log.epochs,
            lambda: self.alone_until_s,
        )

    @property
    def book(self) -> KeptBook:
        """The live book."""
        found = self.log.run.fold.look("main")  # type: ignore[attr-defined]  risk's own
        assert isinstance(found, KeptBook)
        return found

    def wish(self, number: int) -> TargetIntent:
        """Make a wish for a twentieth of equity."""
        fields: dict[str, Any] = json.loads(self.log.target(number).value or b"")
        fields.pop("record")
        return msgspec.convert(fields, TargetIntent)

    async def decide(self, number: int) -> dict[str, Any]:
        """Decide a wish aside."""
        value = await self.aside.decide(self.book, self.wish(number), {"request-id": "r"})
        said: dict[str, Any] = json.loads(value)
        return said


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a world whose worker is the only one."""
    async with Spill(tmp_path / "spill") as spill:
        yield World(tmp_path, spill)


async def test_decide_when_asked_twice_then_the_second_sees_the_first(world: World) -> None:
    """500 lots, then nothing left to want; the live book knows of neither."""
    first, second = await world.decide(1), await world.decide(2)
    assert [(d["action"], d["quantity"]) for d in (first, second)] == [("BUY", 500), ("HOLD", 0)]
    assert world.book.account.reservations.orders == []
    copy = world.aside.copy_of("main")
    assert copy is not None
    assert [order.lots for order in copy.account.reservations.orders] == [500]


async def test_decide_when_decided_then_it_is_durable_and_told_in_order(world: World) -> None:
    """What the log gets is the answer, with the request's headers; the fold says equal bytes."""
    answers = [await world.decide(number) for number in (1, 2)]
    await world.aside.tell()
    assert [json.loads(record.value)["decision"] for record in world.broker.sent] == answers
    assert {record.headers[0] for record in world.broker.sent} == {("request-id", b"r")}
    assert {record.key for record in world.broker.sent} == {b"main"}


async def test_settle_when_the_fold_has_taken_it_over_then_the_copy_is_let_go(
    world: World,
) -> None:
    """Who waits for that goes on then, and not before."""
    await world.decide(1)
    settling = asyncio.create_task(world.aside.settle(lambda _: world.book))
    waiting = asyncio.create_task(world.aside.settled("main"))
    await asyncio.sleep(0.3)
    assert (len(world.broker.sent), waiting.done()) == (1, False)
    (record,) = world.broker.sent
    fields = json.loads(record.value)
    world.log.give(world.log.say(fields.pop("record"), **fields))
    async with asyncio.timeout(5):
        await waiting
    assert world.aside.copy_of("main") is None
    settling.cancel()


async def test_decide_when_others_may_own_the_portfolio_then_is_refused(tmp_path: Path) -> None:
    """The group was not heard of for so long that another worker may decide before this one has."""
    async with Spill(tmp_path / "spill") as spill:
        world = World(tmp_path, spill, monotonic_s() + 0.5)
        assert not world.aside.can_decide
        with pytest.raises(ProblemError, match="503 BROKER_AWAY"):
            await world.decide(1)
        assert (spill.n_records, world.aside.copy_of("main")) == (0, None)


async def test_decide_when_the_disk_takes_too_long_then_nobody_is_told_that_it_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is durable another worker may own the portfolio, and have decided on it."""
    async with Spill(tmp_path / "spill") as spill:
        world = World(tmp_path, spill, monotonic_s() + 1.5)
        put = spill.put

        async def slow(outgoing: Outgoing) -> None:
            await put(outgoing)
            world.alone_until_s = monotonic_s() - 2.0

        monkeypatch.setattr(spill, "put", slow)
        with pytest.raises(ProblemError, match=r"504 KEPT_TOO_LATE.*2\.0 s.* may still happen"):
            await world.decide(1)
        assert spill.n_records == 1


async def test_settle_when_the_fold_does_not_come_to_it_then_nobody_waits_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All stands in the log before what is appended next: the copy goes, and it is said."""
    monkeypatch.setattr(asides, "_TAKEN_OVER_S", 0.3)
    await world.decide(1)
    settling = asyncio.create_task(world.aside.settle(lambda _: world.book))
    async with asyncio.timeout(5):
        await world.aside.settled("main")
    settling.cancel()
    assert (len(world.broker.sent), world.aside.copy_of("main")) == (1, None)
    assert "not all of 1 decisions aside are in its book" in caplog.text


async def test_settle_when_the_broker_is_away_between_two_looks_then_the_copy_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It counts from the telling, not from the start: the next wish sees the 500 lots of this."""
    monkeypatch.setattr(asides, "_TAKEN_OVER_S", 0.5)
    settling = asyncio.create_task(world.aside.settle(lambda _: world.book))
    await asyncio.sleep(0.7)
    first = await world.decide(1)
    await asyncio.sleep(0.25)
    assert (len(world.broker.sent), caplog.text.count("not all of")) == (1, 0)
    second = await world.decide(2)
    settling.cancel()
    assert [(d["action"], d["quantity"]) for d in (first, second)] == [("BUY", 500), ("HOLD", 0)]


async def test_decided_when_it_is_told_days_later_then_it_is_in_the_book_all_the_same(
    world: World,
) -> None:
    """It was answered: its worker died, and came back behind what the book remembers ids for."""
    said = await world.decide(1)
    await world.aside.tell()
    (record,) = world.broker.sent
    memory = world.book.account.kept.memory
    memory.forget(memory.day + 3, lambda _: False)
    fields = json.loads(record.value)
    log = world.log
    for _ in range(2):
        assert letters(log.give(log.say(fields["record"], **without(fields)))) == []
    orders = world.book.account.reservations.orders
    assert [(order.order_id, order.lots) for order in orders] == [(said["decision_id"], 500)]


def without(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a record's fields but its name."""
    return {name: value for name, value in fields.items() if name != "record"}


async def test_decide_when_nothing_more_can_be_kept_then_says_so_and_goes_on(
    tmp_path: Path,
) -> None:
    """The limit of the disk's folder is an answer, not a loss."""
    async with Spill(tmp_path / "spill", segment_bytes=4_096, limit_bytes=8_192) as spill:
        world = World(tmp_path, spill)
        full = None
        while full is None:
            try:
                await world.decide(spill.n_records)
            except ProblemError as error:
                full = error
        answered = spill.n_records
        assert (full.status, full.code, answered > 0) == (503, "BUFFER_FULL", True)
        await world.aside.tell()
        assert len(world.broker.sent) == answered
        assert (await world.decide(answered))["intent_id"] == f"k{answered}"


@pytest.mark.parametrize(("trouble", "code"), [(SpillFull, "FULL"), (SpillFailed, "FAILED")])
async def test_decide_when_an_order_could_not_be_kept_then_it_is_wanted_again(
    world: World, monkeypatch: pytest.MonkeyPatch, trouble: type[Exception], code: str
) -> None:
    """The copy takes its reservation back; the same key has the decision that is kept later."""

    async def fails(*_given: object) -> None:
        raise trouble("no room")

    with monkeypatch.context() as patched:
        patched.setattr(Spill, "put", fails)
        for _ in range(3):
            with pytest.raises(ProblemError, match=f"503 BUFFER_{code}"):
                await world.decide(1)
    assert (await world.decide(1))["quantity"] == 500
    copy = world.aside.copy_of("main")
    assert copy is not None
    assert (copy.account.kept.flow.n_today, copy.account.kept.flow.in_last_second()) == (1, 1)


async def test_settle_when_the_disk_failed_then_the_portfolio_waits_for_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No such record will reach the log, so the copy goes as soon as the broker answers."""

    async def fails(*_given: object) -> None:
        raise SpillFailed("EIO")

    with monkeypatch.context() as patched:
        patched.setattr(Spill, "put", fails)
        with pytest.raises(ProblemError, match="503 BUFFER_FAILED"):
            await world.decide(1)
    settling = asyncio.create_task(world.aside.settle(lambda _: world.book))
    async with asyncio.timeout(5):
        await world.aside.settled("main")
    settling.cancel()
    assert (world.aside.copy_of("main"), world.broker.sent) == (None, [])


async def test_decide_when_the_key_was_decided_aside_then_is_a_conflict(world: World) -> None:
    """The desk remembers answers; what it no longer has is not decided again."""
    await world.decide(1)
    with pytest.raises(ProblemError, match="409 DECIDED_BEFORE"):
        await world.decide(1)


async def test_watched_when_the_broker_takes_long_then_is_away_for_those_behind(
    world: World,
) -> None:
    """Only while it takes long."""
    with world.aside.watched():
        assert not world.aside.is_away
        await asyncio.sleep(0.6)
        assert world.aside.is_away
    assert not world.aside.is_away
    with world.aside.watched():
        await asyncio.sleep(0)
    assert not world.aside.is_away
