"""The page of a market: geometry against values by hand, what is kept, what is said, how heavy."""

import math
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.records import Decision, RegimeProbs, Rejection
from streams.timestamps import format_ns
from tables.views.decision_row import DecisionRow, row_of
from tables.views.market_chart import market_chart, stacked_areas
from tables.views.market_history import Market, MarketHistory
from tables.views.pages import About, Pages
from tables.views.query import QueryError, parse_market
from tables.views.run_memory import RunMemory
from tables.views.site import site
from tests.unit.tables.views.played import TOO_MUCH, TOPIC, PlayedLog, decision, record, refused

# 2026-01-02T00:00:00Z, from which minutes are counted.
_MIDNIGHT_NS = 1_767_312_000_000_000_000
_MINUTE_NS = 60_000_000_000
_PAGE_BYTES = 300_000


def at(minute: int, one: Decision | None = None, **changed: Any) -> Decision:  # noqa: ANN401  fields of a decision
    """Return a decision about a minute."""
    timestamp = format_ns(_MIDNIGHT_NS + minute * _MINUTE_NS)
    base = one or decision(minute + 1)
    return msgspec.structs.replace(base, timestamp=timestamp, **changed)


def row(minute: int, one: Decision | None = None, **changed: Any) -> DecisionRow:  # noqa: ANN401  fields of a decision
    """Return a line about a minute."""
    said = at(minute, one, **changed)
    return row_of(said, record(TOPIC, said, minute))


def test_chart_when_there_are_three_bars_then_price_and_marks_lie_where_they_should() -> None:
    """Prices 100, 300, 200 in a box of 960 x 240: the highest at the top, the middle half-way."""
    rows = [
        row(1, price=100.0),
        row(2, refused(2), price=300.0, action="SELL"),
        row(9, price=200.0, action="HOLD", quantity=0.0),
    ]
    chart = market_chart(rows)
    assert chart.line == "0.0,240.0 480.0,0.0 960.0,120.0"
    assert [(mark.kind, mark.x, mark.y) for mark in chart.marks] == [
        ("bought", 0.0, 240.0),
        ("refused", 480.0, 0.0),
    ]
    assert chart.holds == [(960.0, 120.0)]
    assert (chart.lowest, chart.highest, chart.n_bars) == (100.0, 300.0, 3)
    assert chart.marks[1].text == (
        "2026-01-02 00:02:00 SELL 120 at 300.000, refused: MAX_ASSET_FRACTION"
    )


def test_chart_when_an_order_has_many_reasons_then_the_text_says_how_many_more() -> None:
    """A line of text is a line; the page of the decision has all."""
    reasons = [Rejection(f"R{n}", "", None, None) for n in range(5)]
    (mark,) = market_chart([row(1, refused(1, *reasons))]).marks
    assert mark.text.endswith("refused: R0, R1, R2 and 2 more")
    assert (mark.x, mark.y) == (480.0, 120.0)


def test_chart_when_an_order_came_from_outside_then_it_tells_nothing_of_price_or_regime() -> None:
    """Its probabilities are equal because nobody was asked."""
    rows = [row(1, price=100.0), row(2, price=140.0, action="SELL", intent_id="i-1")]
    chart = market_chart(rows)
    assert chart.line == "0.0,240.0"
    assert [mark.kind for mark in chart.marks] == ["bought", "sold"]
    assert chart.regimes[0].points.count(" ") == 1


def test_chart_when_a_price_is_no_number_then_the_line_leaves_it_out() -> None:
    """A bar that cannot be drawn moves no other."""
    chart = market_chart([row(1, price=1.0), row(2, price=math.nan), row(3, price=2.0)])
    assert chart.line == "0.0,240.0 960.0,0.0"
    assert [mark.y for mark in chart.marks] == [240.0, 240.0, 0.0]


def test_areas_when_kinds_share_a_place_then_they_stand_on_each_other_and_fill_it() -> None:
    """Shares of 1/4, 1/4 and 1/2 in a height of 40: edges at 30 and 20."""
    areas = stacked_areas((0.0,), [(0.25, 0.25, 0.5)], 40.0)
    assert [area.points for area in areas] == [
        "0.0,30.0 0.0,40.0",
        "0.0,20.0 0.0,30.0",
        "0.0,0.0 0.0,20.0",
    ]


def test_areas_when_shares_are_none_or_missing_then_nothing_is_divided_by_zero() -> None:
    """NaN takes no room, and a place without any share stays empty."""
    assert stacked_areas((), [], 40.0) == []
    areas = stacked_areas((0.0,), [(math.nan, -1.0)], 40.0)
    assert [area.points for area in areas] == ["0.0,40.0 0.0,40.0", "0.0,40.0 0.0,40.0"]


def test_history_when_a_bar_comes_late_then_it_stands_in_order_and_the_oldest_goes() -> None:
    """Partitions are read one after the other at the start."""
    history = MarketHistory(bars_max=2)
    for minute in (3, 1, 2):
        history.add(row(minute))
    kept = history.rows(Market("AAPL", "main"))
    assert [(one.key.close_ns - _MIDNIGHT_NS) // _MINUTE_NS for one in kept] == [2, 3]


def test_history_when_there_are_too_many_markets_then_the_rest_is_counted_within_a_bound() -> None:
    """Invented names fill nothing."""
    history = MarketHistory(markets_max=2)
    for minute, symbol in enumerate(("B", "A", "C", "D", "E", "C")):
        history.add(row(minute, symbol=symbol))
    assert history.markets() == [Market("A", "main"), Market("B", "main")]
    assert history.rows(Market("C", "main")) == []
    assert len(history.left_out) == 2


def test_parse_market_when_another_filter_is_given_then_it_is_refused() -> None:
    """A filter that does nothing would mislead."""
    assert parse_market([("symbol", "A"), ("portfolio", "")]) == ("A", "")
    with pytest.raises(QueryError, match="symbol and portfolio alone"):
        parse_market([("action", "BUY")])


class Stage:
    """A site and its memory."""

    def __init__(self) -> None:
        self.memory = RunMemory("r1.")
        self.app = site(Pages(About("r1"), self.memory, PlayedLog()), "127.0.0.1")
        self.n_written = 0

    def write(self, *decisions: Decision) -> None:
        """Let the memory have decisions."""
        for one in decisions:
            self.memory.take(record(TOPIC, one, self.n_written))
            self.n_written += 1


@pytest.fixture
def stage() -> Stage:
    """Set up a site on which nothing has happened."""
    return Stage()


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[TestClient[Any, Any]]:
    """Serve it."""
    async with TestClient(TestServer(stage.app)) as opened:
        yield opened


async def body(client: TestClient[Any, Any], path: str, status: int = 200) -> str:
    """Return a page."""
    async with client.get(path) as answer:
        assert answer.status == status
        return (await answer.text()).replace("&#39;", "'")


async def test_market_page_when_nothing_was_decided_then_it_says_so(
    client: TestClient[Any, Any],
) -> None:
    """An empty page is no dead end."""
    assert "No decision yet" in await body(client, "/market")


async def test_market_page_when_no_symbol_is_named_then_the_newest_one_is_shown(
    stage: Stage, client: TestClient[Any, Any]
) -> None:
    """And what is named is found, with every order as a link, in the chart and in the table."""
    stage.write(at(1), at(2, refused(3, TOO_MUCH), symbol="XOM"))
    text = await body(client, "/market")
    assert "<option selected>XOM</option>" in text
    assert 'class="mark refused"' in text
    assert "refused: MAX_ASSET_FRACTION" in text
    text = await body(client, "/market?symbol=AAPL&portfolio=main")
    assert 'class="mark bought"' in text
    assert "62 · 13 · 25" in text
    assert "There are" not in text
    assert "Nothing was decided" in await body(client, "/market?symbol=AAPL&portfolio=other", 404)
    assert "Nothing was decided" in await body(client, "/market?symbol=KO", 404)
    assert "symbol and portfolio alone" in await body(client, "/market?action=BUY", 400)


async def test_market_page_when_names_hold_html_then_it_is_escaped(
    stage: Stage, client: TestClient[Any, Any]
) -> None:
    """In attributes of the drawing too."""
    hostile = '"><script>alert(1)</script>'
    stage.write(at(1, refused(2, Rejection(hostile, hostile, 1.0, 2.0)), symbol=hostile))
    text = await body(client, "/market")
    assert "<script>alert" not in text
    assert 'aria-label=""' not in text
    assert "&lt;script&gt;alert(1)" in text


async def test_market_page_when_it_is_full_then_it_stays_light(
    stage: Stage, client: TestClient[Any, Any]
) -> None:
    """200 bars, each a refused order with reasons: below 300 kB with all that it loads."""
    regime = RegimeProbs(0.123456, 0.654321, 0.222223)
    stage.write(
        *(
            at(n, refused(n + 1, TOO_MUCH, TOO_MUCH), price=100.0 + n % 7, regime_probs=regime)
            for n in range(250)
        )
    )
    text = await body(client, "/market")
    style = await body(client, "/page.css")
    assert text.count('class="mark refused"') == 200
    assert len(text.encode()) + len(style.encode()) <= _PAGE_BYTES


async def test_market_page_when_markets_are_left_out_then_it_says_how_many(
    stage: Stage, client: TestClient[Any, Any]
) -> None:
    """What is not drawn is not hidden."""
    stage.memory.markets = MarketHistory(markets_max=1)
    stage.write(at(1), at(2, symbol="XOM"))
    assert "1 more symbol is decided about and not drawn" in await body(client, "/market")
