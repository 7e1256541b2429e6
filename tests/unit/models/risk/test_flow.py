"""The flow of orders by hand: windows close where they should."""

from models.risk.flow import MINUTE_NS, SECOND_NS, OrderFlow, Sent


def sent(at_ns: int, lots: int = 1, strategy: str = "s", symbol: str = "AAA") -> Sent:
    """Build an order that was sent."""
    return Sent(at_ns, strategy, symbol, lots, 0)


def test_flow_when_a_second_has_passed_then_no_longer_counts() -> None:
    """The second is half open: an order exactly one second old is out."""
    flow = OrderFlow()
    for at_ns in (0, 1, SECOND_NS - 1):
        flow.note(sent(at_ns))
    flow.forget(SECOND_NS - 1)
    assert flow.in_last_second() == 3
    flow.forget(SECOND_NS)
    assert flow.in_last_second() == 2
    assert flow.n_today == 3


def test_flow_when_the_same_is_repeated_then_counts_strategy_symbol_and_side() -> None:
    """Another strategy, symbol or side is another series; a minute later it is over."""
    flow = OrderFlow()
    for one in (sent(0), sent(0, 5), sent(0, -1), sent(0, strategy="t"), sent(0, symbol="BBB")):
        flow.note(one)
    assert flow.repeats("s", "AAA", is_buy=True) == 2
    assert flow.repeats("s", "AAA", is_buy=False) == 1
    flow.forget(MINUTE_NS)
    assert flow.repeats("s", "AAA", is_buy=True) == 0
    assert not flow.recent


def test_flow_when_equal_orders_come_then_remembers_the_last() -> None:
    """Symbol, signed lots and price make an order equal."""
    flow = OrderFlow()
    flow.note(sent(1))
    flow.note(sent(7))
    assert flow.last_equal_ns("AAA", 1, 0) == 7
    assert flow.last_equal_ns("AAA", 2, 0) is None
    flow.forget(1 + MINUTE_NS)
    assert flow.last_equal_ns("AAA", 1, 0) == 7
    flow.forget(7 + MINUTE_NS)
    assert flow.last_equal_ns("AAA", 1, 0) is None


def test_flow_when_made_from_what_was_kept_then_counts_the_same() -> None:
    """A restart neither forgets an order nor counts it twice."""
    flow = OrderFlow()
    for at_ns in (0, 5, 9):
        flow.note(sent(at_ns))
    again = OrderFlow(tuple(flow.recent), flow.n_today)
    for each in (flow, again):
        each.forget(9)
    assert again.recent == flow.recent
    assert (again.in_last_second(), again.n_today) == (flow.in_last_second(), 3)
    again.new_day()
    assert again.n_today == 0


def test_without_when_an_order_was_never_sent_then_the_newest_of_its_kind_goes() -> None:
    """What an older equal one left stays; of another kind nothing goes."""
    flow = OrderFlow()
    for one in (sent(1), sent(5, 2), sent(7)):
        flow.note(one)
    left = flow.without("s", "AAA", 1)
    assert (left.n_today, [one.at_ns for one in left.recent]) == (2, [1, 5])
    assert left.last_equal_ns("AAA", 1, 0) == 1
    assert flow.without("s", "AAA", -1) is flow
