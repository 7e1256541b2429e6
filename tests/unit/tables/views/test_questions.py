"""Features, regimes, models and health: what was said of the last bar, and how the process is."""

import logging
import math
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from models.features.catalogue import NAMES
from streams.timestamps import format_ns
from tables.stores.cached_row import CachedRow
from tests.builders import MIDNIGHT, MINUTE
from tests.unit.agents.test_risk import SYMBOLS
from tests.unit.tables.views.answering import Answering
from tests.unit.tables.views.conftest import Asking, Serve

ONE, TWO = SYMBOLS[0], SYMBOLS[1]


async def test_features_when_asked_then_are_those_of_the_last_bar(asking: Asking) -> None:
    """By name, with the bar's close and the pipeline's version; what warms up is named apart."""
    status, said, _ = await asking.ask(f"/api/v1/features/{ONE}/1min")
    book, _ = asking.desk.book("main")
    row = book.recent.newest(ONE, MIDNIGHT + MINUTE)
    assert row is not None
    told = dict(zip(NAMES, row.features.tolist(), strict=True))
    assert (status, said["bar_close"], said["version"]) == (
        200,
        format_ns(MIDNIGHT + MINUTE),
        "v1.0.0",
    )
    assert said["features"] == {name: v for name, v in told.items() if math.isfinite(v)}
    assert said["warming_up"] == [name for name, v in told.items() if not math.isfinite(v)]


async def test_features_when_a_new_bar_was_decided_then_an_old_one_is_never_served(
    asking: Asking,
) -> None:
    """The value carries its close: it is good for that bar alone."""
    await asking.ask(f"/api/v1/features/{ONE}/1min")
    asking.desk.bar(2)
    _, said, _ = await asking.ask(f"/api/v1/features/{ONE}/1min")
    assert said["bar_close"] == format_ns(MIDNIGHT + 2 * MINUTE)


async def test_features_when_asked_of_a_longer_bar_then_are_those_of_the_last_closed_one(
    asking: Asking,
) -> None:
    """Nothing before one has closed; then that one, and a newer one as soon as it has."""
    path = f"/api/v1/features/{ONE}/5min"
    status, said, _ = await asking.ask(path)
    assert (status, said["code"]) == (409, "NO_RECENT_BAR")
    for minute in (5, 10):
        close_ns = MIDNIGHT + minute * MINUTE
        numbers = (float(minute), math.nan, *([0.5] * (len(NAMES) - 2)))
        asking.desk.longer_rows[ONE, "5min"] = CachedRow(close_ns, numbers)
        status, said, _ = await asking.ask(path)
        assert (status, said["timeframe"], said["bar_close"]) == (200, "5min", format_ns(close_ns))
        assert said["features"][NAMES[0]] == minute
        assert said["warming_up"] == [NAMES[1]]


async def test_features_when_another_folds_the_symbol_then_it_is_asked(asking: Asking) -> None:
    """The owner of a symbol's bars is not that of the book."""
    asking.desk.elsewhere = "http://127.0.0.1:1"
    status, said, _ = await asking.ask(f"/api/v1/features/{ONE}/1hour")
    assert (status, said["code"]) == (503, "OWNER_AWAY")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/features/NOBODY/5min", 404, "UNKNOWN_SYMBOL"),
        (f"/api/v1/features/{ONE}/5min?portfolio=none", 404, "UNKNOWN_PORTFOLIO"),
        (f"/api/v1/features/{ONE}/1day", 404, "UNKNOWN_TIMEFRAME"),
        ("/api/v1/features/NOBODY/1min", 404, "UNKNOWN_SYMBOL"),
        (f"/api/v1/features/{ONE}/7min", 422, "NO_SUCH_TIMEFRAME"),
        (f"/api/v1/features/{ONE}/1min?symbol=X", 422, "UNKNOWN_FIELD"),
        (f"/api/v1/features/{ONE}/1min?portfolio=a&portfolio=b", 422, "GIVEN_TWICE"),
        (f"/api/v1/features/{ONE}", 404, "NO_SUCH_ADDRESS"),
        ("/regime/probabilities?symbol=NOBODY", 404, "UNKNOWN_SYMBOL"),
        ("/regime/probabilities?symbol=", 422, "BAD_FIELD"),
    ],
)
async def test_questions_when_wrong_then_say_what_was_expected(
    asking: Asking, path: str, status: int, code: str
) -> None:
    """A problem with a code, and a sentence for people."""
    found, said, _ = await asking.ask(path)
    assert (found, said["code"]) == (status, code)
    assert said["detail"]


async def test_regime_when_all_are_asked_then_the_mean_is_of_the_rows(asking: Asking) -> None:
    """Sums of one, in each row and in the mean."""
    status, said, _ = await asking.ask("/regime/probabilities")
    assert (status, [row["symbol"] for row in said["rows"]]) == (200, sorted(SYMBOLS))
    for told in (said, *said["rows"]):
        assert told["bull"] + told["bear"] + told["sideways"] == pytest.approx(1, abs=1e-9)
    mean = sum(row["bull"] for row in said["rows"]) / len(said["rows"])
    assert said["bull"] == pytest.approx(mean, abs=1e-15)


async def test_regime_when_a_symbol_is_asked_then_is_its_row(asking: Asking) -> None:
    """One row, and the top of the answer is it."""
    _, said, _ = await asking.ask(f"/regime/probabilities?symbol={TWO}")
    (row,) = said["rows"]
    assert row["symbol"] == TWO
    names = ("bull", "bear", "sideways", "entropy_bits", "bar_close")
    assert [said[name] for name in names] == [row[name] for name in names]


async def test_models_when_listed_then_each_set_says_where_it_comes_from(asking: Asking) -> None:
    """One epoch decides, so there is one set."""
    status, said, _ = await asking.ask("/api/v1/models")
    (model,) = said["models"]
    book, _ = asking.desk.book("main")
    assert (status, model["epoch_digest"]) == (200, book.epoch_digest)
    assert (model["timeframe"], model["seed"], model["metrics"]) == ("1min", 1, {"rank_ic": 0.01})
    fitted_on = (model["first_close"], model["last_close"])
    assert fitted_on == ("1990-01-03T00:00:00Z", "2017-12-30T00:00:00.5Z")


async def test_models_when_another_has_the_book_then_it_is_told_here_all_the_same(
    asking: Asking,
) -> None:
    """All books change their epoch at one bar, so whoever has seen it knows."""
    _, here, _ = await asking.ask("/api/v1/models")
    asking.desk.elsewhere = "http://127.0.0.1:1"
    status, said, _ = await asking.ask("/api/v1/models")
    assert (status, said) == (200, here)


_OF_AN_EPOCH = (
    "/api/v1/models",
    f"/api/v1/features/{ONE}/1min?portfolio=main",
    f"/api/v1/features/{ONE}/1min",
    "/risk/portfolio",
    "/regime/probabilities",
)


@pytest.mark.parametrize("path", _OF_AN_EPOCH)
async def test_questions_when_no_bar_has_come_then_another_is_asked_or_they_can_come_again(
    serve: Serve, tmp_path: Path, path: str
) -> None:
    """A worker that has just joined knows no epoch; nothing and something look alike to nobody."""
    asking = await serve(Answering(tmp_path / "artifacts"))
    status, said, answer = await asking.ask(path)
    assert (status, answer.headers["Retry-After"]) == (503, "1")
    assert said["code"] == "NO_EPOCH"

    async def owner(request: web.Request) -> web.Response:
        return web.json_response({"asked": request.path_qs})

    app = web.Application()
    app.router.add_get("/{rest:.*}", owner)
    async with TestServer(app) as server:
        asking.desk.elsewhere = str(server.make_url(""))
        status, said, _ = await asking.ask(path)
    assert (status, said) == (200, {"asked": path})


async def test_features_when_no_bar_has_come_then_a_wrong_timeframe_is_still_said(
    serve: Serve, tmp_path: Path
) -> None:
    """It is wrong everywhere."""
    asking = await serve(Answering(tmp_path / "artifacts"))
    status, said, _ = await asking.ask(f"/api/v1/features/{ONE}/7min")
    assert (status, said["code"]) == (422, "NO_SUCH_TIMEFRAME")


async def test_health_when_a_needed_part_is_away_then_is_not_ready(
    asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    """Everybody may ask; Redis is not needed, the broker is. The log says each change once."""
    caplog.set_level(logging.INFO, "tradewind.health")
    answer = await asking.client.get("/api/v1/health")
    said = await answer.json()
    assert (answer.status, said["live"], said["ready"]) == (200, True, True)
    assert {part["name"]: part["is_well"] for part in said["parts"]} == {
        "broker": True,
        "redis": False,
    }
    asking.desk.trouble = "3 sends wait for it"
    for _ in range(2):
        answer = await asking.client.get("/api/v1/health")
        said = await answer.json()
        assert (answer.status, said["ready"]) == (503, False)
        assert said["parts"][0]["detail"] == "3 sends wait for it"
    said_of = [one.getMessage() for one in caplog.records if one.name == "tradewind.health"]
    assert said_of == ["ready: yes", "ready: no, broker: 3 sends wait for it"]
