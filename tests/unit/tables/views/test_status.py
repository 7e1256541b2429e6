"""How each part is, which models decide, and how much of each limit is used."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import CookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from streams.errors import RecordError
from streams.records import AccountRisk, Decision
from tables.stores.artifacts import Artifacts
from tables.stores.errors import StoreUnavailable
from tables.views import status_page
from tables.views.account_history import PORTFOLIOS_MAX
from tables.views.behind import Behind
from tables.views.decision_row import row_of
from tables.views.pages import About, Pages
from tables.views.run_memory import RunMemory
from tables.views.served_models import SETS_MAX, ModelsInUse
from tables.views.site import site
from tables.views.status_page import database_part, worker_parts
from tables.views.utilisation import asset_limit, utilisation
from tests.builders import models as some_models
from tests.unit.tables.views.played import (
    SNAPSHOTS,
    TOPIC,
    PlayedLog,
    decision,
    record,
    snapshot,
)
from tests.unit.tables.views.test_entrance import Guarded

_AT = "2026-01-02T21:00:00Z"
_RISK = AccountRisk(
    state="REDUCING",
    switches={"portfolio main": "REDUCING by ops: drill"},
    day_open_equity="500000",
    peak_equity="1000000",
    daily_loss_fraction=-1.0,
    drawdown_fraction=0.0,
    leverage=0.9,
    net_fraction=-0.3,
    concentration=0.3,
    sectors={"Tech": 0.4, "Energy": 0.1},
    var_fraction=0.01,
    var_historical_fraction=0.01,
    var_normal_fraction=0.009,
    var_bars=250,
    open_orders=1,
    orders_today=50,
    limits={
        "max_asset_fraction": 0.25,
        "max_sector_fraction": 0.5,
        "max_leverage": 1.5,
        "max_gross_fraction": 1.5,
        "max_net_fraction": 0.0,
        "max_var_fraction": 0.02,
        "max_daily_loss_fraction": 0.02,
        "max_orders_per_day": 10_000,
    },
)


def account(**changed: Any) -> Any:  # noqa: ANN401  fields of the risk
    """Return a snapshot of an equity of a million that tells of its risk."""
    risk = msgspec.structs.replace(_RISK, **changed)
    return msgspec.structs.replace(snapshot(_AT, "1000000"), risk=risk)


def test_utilisation_when_the_account_tells_of_risk_then_each_share_is_used_over_limit() -> None:
    """By hand; the day opened at half of the equity, so gross and net count twice."""
    shares = {each.name: each.share for each in utilisation(account())}
    assert shares == {
        "Largest position": pytest.approx(1.2),
        "Largest sector": pytest.approx(0.8),
        "Leverage": pytest.approx(0.6),
        "Gross, of the day's first equity": pytest.approx(1.2),
        "Net, of the day's first equity": math.inf,
        "Value at risk, one day": pytest.approx(0.5),
        "Loss of the day": 0.0,
        "Orders today": pytest.approx(0.005),
    }
    assert asset_limit(account()) == 0.25


def test_utilisation_when_limits_or_risk_are_missing_then_nothing_is_invented() -> None:
    """A snapshot of another version has other fields."""
    assert utilisation(snapshot(_AT, "1000000")) == []
    assert asset_limit(snapshot(_AT, "1000000")) is None
    partly = account(limits={"max_leverage": 0.0, "restricted": ["XOM"]}, leverage=0.0)
    assert [(each.name, each.share) for each in utilisation(partly)] == [("Leverage", 0.0)]
    assert not utilisation(account(leverage=math.nan, limits={"max_leverage": 1.0}))
    day_of_nothing = account(day_open_equity="0", limits={"max_gross_fraction": 1.0})
    assert [each.share for each in utilisation(day_of_nothing)] == [0.0]


def test_snapshot_when_the_money_of_its_risk_is_no_money_then_it_is_unreadable() -> None:
    """Else the page of the portfolio would fail."""
    memory = RunMemory("r1.")
    with pytest.raises(RecordError, match="money was 'much'"):
        memory.accounts.add(msgspec.json.encode(account(day_open_equity="much")))


def said(number: int, **changed: Any) -> Decision:  # noqa: ANN401  fields of a decision
    """Return a decision about a minute of its number."""
    return decision(number, timestamp=f"2026-01-02T21:{number:02d}:00Z", **changed)


def taken(*decisions: Decision) -> ModelsInUse:
    """Return what is known after some decisions."""
    models = ModelsInUse()
    for at, each in enumerate(decisions):
        models.add(each, row_of(each, record(TOPIC, each, at)))
    return models


def test_models_when_an_epoch_changes_then_both_sets_are_kept_with_their_stretch() -> None:
    """The last that decided comes first."""
    first, second = taken(said(1), said(3), said(2), said(4, epoch=4)).sets()[::-1]
    minute_ns = 60_000_000_000
    assert (first.epoch, first.n_decisions) == (3, 3)
    assert first.last_close_ns - first.first_close_ns == 2 * minute_ns
    assert (second.epoch, second.n_decisions) == (4, 1)


def test_models_when_there_are_many_then_memory_has_a_bound() -> None:
    """Old sets go, and portfolios that somebody invented are not taken."""
    kept = taken(*(said(n, epoch=n) for n in range(SETS_MAX + 3))).sets()
    assert [each.epoch for each in kept] == list(range(SETS_MAX + 2, 2, -1))
    many = (said(1, portfolio=f"p{n}") for n in range(PORTFOLIOS_MAX + 1))
    assert len(taken(*many).sets()) == PORTFOLIOS_MAX


class PlayedDatabase:
    """A database that answers, or does not."""

    def __init__(self, trouble: Exception | None = None, takes_s: float = 0.0) -> None:
        self.trouble = trouble
        self.takes_s = takes_s

    async def ask(self) -> None:
        """Answer."""
        await asyncio.sleep(self.takes_s)
        if self.trouble is not None:
            raise self.trouble


async def test_database_when_asked_then_every_state_has_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None, well, away, and silent."""
    monkeypatch.setattr(status_page, "_PATIENCE_S", 0.05)
    databases: tuple[Any, ...] = (
        None,
        PlayedDatabase(),
        PlayedDatabase(StoreUnavailable("PostgreSQL is away")),
        PlayedDatabase(takes_s=5.0),
    )
    parts = [await database_part(each) for each in databases]
    assert [part.is_well for part in parts] == [False, True, False, False]
    reasons = ("none is known here", "answers", "does not answer", "no answer within")
    assert all(text in part.detail for text, part in zip(reasons, parts, strict=True))


@pytest.fixture
async def worker() -> AsyncIterator[str]:
    """Serve a worker's health: ready at /a, not ready at /b, nonsense at /c."""

    async def health(request: web.Request) -> web.Response:
        if request.path.startswith("/c"):
            return web.Response(body=b"<html>")
        ready = request.path.startswith("/a")
        book = {"name": "books", "is_well": ready, "is_needed": True, "detail": "no bar yet"}
        said = {"live": True, "ready": ready, "parts": [book]}
        return web.json_response(said, status=200 if ready else 503)

    app = web.Application()
    app.router.add_get("/{kind}/api/v1/health", health)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_worker_when_asked_then_its_own_parts_are_passed_on(worker: str) -> None:
    """Not ready is an answer, nonsense and silence are not."""
    (ready, book) = await worker_parts(f"{worker}a/")
    assert (ready.is_well, ready.detail, book.name) == (True, "ready", "books")
    (waits, book) = await worker_parts(f"{worker}b")
    assert (waits.is_well, book.detail) == (False, "no bar yet")
    for url in (f"{worker}c", "http://127.0.0.1:1"):
        (away,) = await worker_parts(url)
        assert not away.is_well
        assert url in away.detail
    (unknown,) = await worker_parts("")
    assert (unknown.is_well, unknown.is_needed) == (False, False)


async def opened(home: Path, *decisions: Decision) -> TestClient[Any, Any]:
    """Serve a site whose stack is a folder."""
    memory = RunMemory("r1.")
    for at, each in enumerate(decisions):
        memory.take(record(TOPIC, each, at))
    memory.take(record(SNAPSHOTS, account()))
    pages = Pages(About("r1"), memory, PlayedLog(), Behind("", None, home))
    client: TestClient[Any, Any] = TestClient(TestServer(site(pages, "127.0.0.1")))
    await client.start_server()
    return client


async def body(client: TestClient[Any, Any], path: str) -> str:
    """Return a page, and close its server."""
    async with client, client.get(path) as answer:
        assert answer.status == 200
        return (await answer.text()).replace("&#39;", "'")


async def test_status_page_when_opened_then_parts_and_models_stand_there(tmp_path: Path) -> None:
    """Models whose file is there say what they were fitted on, others what is the matter."""
    kept = some_models()
    metadata = {
        "symbols": ["AAA", "BBB"],
        "first_close_ns": 1_767_387_600_000_000_000,
        "last_close_ns": 1_767_387_660_000_000_000,
        "code": "abcdef0123456789",
        "metrics": {"held_back": {"rank_ic": 0.031, "name": "x"}, "validation": {"rank_ic": 0.5}},
    }
    digest = Artifacts(tmp_path / "artifacts").put_models(kept._replace(metadata=metadata))
    digests = msgspec.structs.replace(decision().digests, models=digest)
    lost = msgspec.structs.replace(decision().digests, models="ab" * 32)
    client = await opened(
        tmp_path, said(1, digests=digests), said(2, digests=lost, portfolio="other")
    )
    text = await body(client, "/status")
    for expected in (
        "follows the log of the run",
        "its address is not known here",
        "none is known here",
        digest,
        "2 symbols, 2026-01-02 21:00:00 to 2026-01-02 21:01:00",
        "abcdef012345<",
        "rank ic 0.031",
        f"✕ no safetensors artefact {'ab' * 32}",
    ):
        assert expected in text


async def test_status_page_when_nothing_was_decided_then_it_says_so(tmp_path: Path) -> None:
    """A new stack has a page too."""
    assert "No decision yet" in await body(await opened(tmp_path), "/status")


async def test_portfolio_page_when_limits_are_told_then_their_use_stands_there(
    tmp_path: Path,
) -> None:
    """What is above its limit is said in words, and so is who stopped the portfolio."""
    text = await body(await opened(tmp_path), "/portfolio")
    for expected in (
        "REDUCING by ops: drill",
        "Largest sector",
        "✕ above",
        "80\N{NO-BREAK SPACE}%",
        "120\N{NO-BREAK SPACE}%",
    ):
        assert expected in text


async def test_status_page_when_a_token_is_of_one_portfolio_then_others_are_not_named(
    tmp_path: Path,
) -> None:
    """Neither their models nor the books that a worker holds."""
    guarded = Guarded(tmp_path)
    async with TestClient(TestServer(guarded.app), cookie_jar=CookieJar(unsafe=True)) as client:
        guarded.client = client
        await guarded.sign_in(guarded.token(("main",))[0])
        text = await guarded.text("/status")
    assert "main" in text
    for secret in ("other", "dead letters", "worker"):
        assert secret not in text
