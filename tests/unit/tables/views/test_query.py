"""The query string: what it finds, and what it refuses by name."""

import pytest

from tables.views.decision_row import RowKey, row_of
from tables.views.query import DecisionQuery, QueryError, parse_query
from tests.unit.tables.views.played import LEVERAGED, TOO_MUCH, TOPIC, decision, record, refused

_EVENTS = {
    "bought": decision(1, symbol="AAPL"),
    "sold": decision(2, symbol="AAPL", action="SELL"),
    "refused": refused(3, TOO_MUCH, LEVERAGED, symbol="XOM"),
    "held": decision(4, symbol="XOM", action="HOLD", quantity=0, portfolio="other"),
}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["bought", "sold", "refused", "held"]),
        ({"symbol": "AAPL"}, ["bought", "sold"]),
        ({"action": "BUY"}, ["bought", "refused"]),
        ({"verdict": "approved"}, ["bought", "sold"]),
        ({"verdict": "hold"}, ["held"]),
        ({"reason": "MAX_LEVERAGE"}, ["refused"]),
        ({"portfolio": "other"}, ["held"]),
        ({"symbol": "XOM", "action": "BUY"}, ["refused"]),
        ({"symbol": "xom"}, []),
        ({"symbol": "", "verdict": ""}, ["bought", "sold", "refused", "held"]),
    ],
    ids=str,
)
def test_wants_when_filters_are_given_then_all_of_them_must_hold(
    asked: dict[str, str], found: list[str]
) -> None:
    """Filters compare whole values; empty ones, which forms send, ask for everything."""
    query = parse_query(list(asked.items()))
    rows = {name: row_of(event, record(TOPIC, event)) for name, event in _EVENTS.items()}
    assert [name for name, row in rows.items() if query.wants(row)] == found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([("action", "SHORT")], "action was 'SHORT'; expected one of BUY, SELL, HOLD"),
        ([("verdict", "ok")], "verdict was 'ok'; expected one of approved, refused, hold, warming"),
        ([("symbol", "A" * 65)], "expected 1 to 64 characters"),
        ([("symbol", "A\nB")], "expected 1 to 64 characters"),
        ([("reason", "<b>")], "expected a code of capital letters"),
        ([("before", "yesterday")], "before was 'yesterday'; expected the cursor"),
        ([("live", "yes")], "live was 'yes'; expected one of 0, 1"),
        ([("symbl", "AAPL")], "symbl was 'AAPL'; expected one of the parameters symbol, action"),
        ([("action", "BUY"), ("action", "SELL")], "action was 'SELL'; expected each parameter on"),
    ],
    ids=str,
)
def test_parse_query_when_a_value_cannot_be_then_it_says_what_can(
    given: list[tuple[str, str]], message: str
) -> None:
    """A mistyped filter is never taken for no filter."""
    with pytest.raises(QueryError) as refusal:
        parse_query(given)
    assert message in str(refusal.value)


def test_link_when_filters_and_a_cursor_are_set_then_parsing_it_gives_them_back() -> None:
    """A link leads to where its page was."""
    query = DecisionQuery(symbol="BRK B", verdict="warming up")
    link = query.link(before=RowKey(60, -1, -42), live=True)
    assert link == "/?symbol=BRK+B&verdict=warming+up&before=60-1-42&live=1"
    again = parse_query(
        [("symbol", "BRK B"), ("verdict", "warming up"), ("before", "60-1-42"), ("live", "1")]
    )
    assert (again.before, again.live) == (RowKey(60, -1, -42), True)
    assert query.filters() == {"symbol": "BRK B", "verdict": "warming up"}
    assert DecisionQuery().link() == "/"
