"""Why a decision was made, on the page: every state that the trail and the database can be in."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from models.features.catalogue import NAMES
from streams.explanation import Explanation, SpecialistShare
from tables.audit_rows import AuditRow
from tables.explanations import NO_BARS, explanation
from tables.stores.audit_reader import AuditReader
from tables.stores.errors import StoreUnavailable
from tables.views import reasons
from tables.views.behind import Behind
from tables.views.pages import About, Pages
from tables.views.reasons import Reasons, Why
from tables.views.run_memory import RunMemory
from tables.views.site import site
from tests.unit.tables.views.played import (
    LEVERAGED,
    TOPIC,
    WRITTEN_MS,
    PlayedLog,
    decision,
    decision_id,
    record,
    refused,
)

_WARM = dict.fromkeys(NAMES, 0.5)


class PlayedTrail:
    """A trail in memory: the row of one decision, and whatever is stored of it."""

    def __init__(self, value: bytes | None, stored: Explanation | None = None) -> None:
        self.value = value
        self.stored = stored
        self.trouble: Exception | None = None
        self.takes_s = 0.0

    async def row(self, given: str) -> AuditRow | None:
        """Return the row, if it is there."""
        await asyncio.sleep(self.takes_s)
        if self.trouble is not None:
            raise self.trouble
        if self.value is None:
            return None
        now = datetime(2026, 1, 2, tzinfo=UTC)
        of = ("stack-1", "run-1", 0, 0, 0, now, b"main", "[]", self.value, bytes(32))
        return AuditRow(*of, decision_id=UUID(given))

    async def explanation(self, _id: str) -> Explanation | None:
        """Return what is stored."""
        return self.stored

    async def past(self, _row: AuditRow) -> Any:  # noqa: ANN401  bars
        """Know no bars."""
        return NO_BARS

    async def proof(self, _row: AuditRow) -> None:
        """Have no head yet."""


def told(number: int = 1) -> Explanation:
    """Return an explanation of log odds 0.5 = 0.1 + 0.6 - 0.2, made by hand."""
    controls = explanation(decision(number), "order", None, NO_BARS)
    attention = [0.0] * 13 + [0.5, 0.2, 0.3]
    return msgspec.structs.replace(
        controls,
        explained="model",
        detail="",
        logit=0.5,
        base_logit=0.1,
        intercept=0.0,
        probability_up=0.6225,
        residual=2e-16,
        is_additive=True,
        confidence_difference=0.0,
        families={"momentum": 0.6, "past_bars": -0.2},
        features={"rsi_14": 0.25},
        specialists={"bull": SpecialistShare(0.62, 0.5, 0.8, 0.4, attention)},
    )


async def found(trail: PlayedTrail | None, home: Path, **changed: object) -> Why:
    """Return the reasons of a decision whose record is that of the trail."""
    one = decision(1, **changed)
    reader: Any = trail
    return await Reasons(reader, home).of(one, record(TOPIC, one))


def value_of(**changed: object) -> bytes:
    """Return the bytes of a decision."""
    return msgspec.json.encode(decision(1, **changed))


async def test_reasons_when_there_is_no_database_then_both_say_so(tmp_path: Path) -> None:
    """A stack without the role forensics shows what the event itself says."""
    why = await found(None, tmp_path, features=_WARM)
    assert why.badge.state == "not checked"
    assert "no database" in why.badge.detail
    assert (why.explanation.explained, why.explanation.detail) == ("controls", why.badge.detail)


async def test_reasons_when_features_were_warming_up_then_that_is_why_it_is_not_explained(
    tmp_path: Path,
) -> None:
    """No database could have explained what no model was asked."""
    why = await found(None, tmp_path)
    assert "warming up" in why.explanation.detail


@pytest.mark.parametrize(
    ("age_s", "state", "said"),
    [(3, "pending", "does not have it yet"), (600, "not checked", "10 minutes after Kafka")],
)
async def test_reasons_when_the_trail_has_no_row_then_it_is_pending_for_two_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: int, state: str, said: str
) -> None:
    """The trail follows the log; one that does not is not called on its way."""
    now_ns = (WRITTEN_MS + age_s * 1_000) * 1_000_000
    monkeypatch.setattr(reasons, "wall_ns", lambda: now_ns)
    why = await found(PlayedTrail(None), tmp_path, features=_WARM)
    assert why.badge.state == state
    assert said in why.explanation.detail


async def test_reasons_when_the_database_is_away_then_the_page_says_so_and_not_where_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A state with a name, not an error of the page; the address is for the log."""
    trail = PlayedTrail(None)
    trail.trouble = StoreUnavailable("PostgreSQL at 127.0.0.1:5 does not answer")
    why = await found(trail, tmp_path, features=_WARM)
    assert why.badge.state == "not checked"
    assert "the database does not answer" in why.badge.detail
    assert "127.0.0.1:5" not in why.badge.detail
    assert "127.0.0.1:5" in caplog.text


async def test_reasons_when_the_database_takes_too_long_then_the_page_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person sees the decision, and that the rest did not come."""
    monkeypatch.setattr(reasons, "_PATIENCE_S", 0.01)
    trail = PlayedTrail(value_of())
    trail.takes_s = 5.0
    why = await found(trail, tmp_path, features=_WARM)
    assert why.badge.state == "not checked"
    assert "reload" in why.badge.detail


async def test_reasons_when_an_explanation_is_stored_then_it_is_the_one(tmp_path: Path) -> None:
    """Nothing is computed again for a reader."""
    why = await found(PlayedTrail(value_of(), told()), tmp_path)
    assert why.explanation == told()
    assert why.badge.state == "no head yet"


async def test_reasons_when_the_models_are_not_there_then_it_says_which(tmp_path: Path) -> None:
    """What cannot be explained now is told from what never will be."""
    why = await found(PlayedTrail(value_of(features=_WARM)), tmp_path, features=_WARM)
    assert "models modemodemode are not in the artifacts folder" in why.explanation.detail


async def test_reasons_when_the_file_of_the_models_is_damaged_then_it_says_so(
    tmp_path: Path,
) -> None:
    """A wrong digest explains nothing, and the page still stands."""
    digest = "ab" * 32
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / f"{digest}.safetensors").write_bytes(b"damaged")
    digests = msgspec.structs.replace(decision().digests, models=digest)
    changed: dict[str, object] = {"features": _WARM, "digests": digests}
    why = await found(PlayedTrail(value_of(**changed)), tmp_path, **changed)
    assert "must have the digest" in why.explanation.detail


async def opened(reader: AuditReader | None, home: Path, *decisions: Any) -> TestClient[Any, Any]:  # noqa: ANN401  decisions
    """Serve a site that has the decisions."""
    memory, log = RunMemory("r1."), PlayedLog()
    for at, each in enumerate(decisions):
        one = record(TOPIC, each, at)
        memory.take(one)
        log.records[TOPIC, 0, at] = one
    pages = Pages(About("r1"), memory, log, Behind("", reader, home))
    client: TestClient[Any, Any] = TestClient(TestServer(site(pages, "127.0.0.1")))
    await client.start_server()
    return client


async def test_decision_page_when_it_is_explained_then_waterfall_and_attention_are_drawn(
    tmp_path: Path,
) -> None:
    """0.1 to 0.7 to 0.5 in a box of 360: the first part fills it, the second is a third of it."""
    trail: Any = PlayedTrail(value_of(), told())
    client = await opened(trail, tmp_path, decision(1))
    try:
        async with client.get(f"/decisions/{decision_id(1)}") as answer:
            text = await answer.text()
    finally:
        await client.close()
    for said in (
        'class="step up" width="360.0"',
        '<rect x="0.0" y="2" width="360.0" height="10"/>',
        '<rect x="240.0" y="2" width="120.0" height="10"/>',
        "+0.6000",
        "-0.2000",
        "They add up, to within 2.0e-16",
        "the decision's to the last bit",
        "62.25",
        "2 bars ago, 50",
        "Audit trail: no head yet",
        "rsi_14",
    ):
        assert said in text.replace("&#39;", "'")


async def test_decision_page_when_it_does_not_add_up_then_it_says_by_how_much(
    tmp_path: Path,
) -> None:
    """A wrong explanation is not shown as a right one."""
    wrong = msgspec.structs.replace(
        told(), residual=0.02, is_additive=False, confidence_difference=-1e-5
    )
    trail: Any = PlayedTrail(value_of(), wrong)
    client = await opened(trail, tmp_path, decision(1))
    try:
        async with client.get(f"/decisions/{decision_id(1)}") as answer:
            text = await answer.text()
    finally:
        await client.close()
    assert "They miss the model by 2.0e-02" in text
    assert "by 1.0e-05" in text


async def test_decision_page_when_it_was_refused_then_it_says_by_how_much_and_what_passes(
    tmp_path: Path,
) -> None:
    """1.62 - 1.5 = 0.12 too much; 80 of 120 pass, 40 less."""
    nothing = msgspec.structs.replace(refused(2, LEVERAGED), allowed_quantity=0.0)
    client = await opened(None, tmp_path, refused(1, LEVERAGED), nothing)
    try:
        async with client.get(f"/decisions/{decision_id(1)}") as answer:
            text = await answer.text()
        async with client.get(f"/decisions/{decision_id(2)}") as answer:
            none = await answer.text()
        async with client.get(f"/decisions/{decision_id(1)}/event") as answer:
            assert answer.content_type == "application/json"
            assert await answer.read() == msgspec.json.encode(refused(1, LEVERAGED))
    finally:
        await client.close()
    for said in ('<td class="num">0.12</td>', "<strong>BUY 80</strong>, -40 units"):
        assert said in text
    assert "<strong>Not explained:</strong> features were warming up" in text
    assert "The nearest order that passes: none." in none
