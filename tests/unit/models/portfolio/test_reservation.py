"""Open orders count from the moment of approval until they fill or expire."""

import pytest

from models.errors import ModelError
from models.portfolio.reservation import OpenOrder, Reservations


def test_reservations_when_orders_are_open_then_count_each_side() -> None:
    """Buys and sells are worst cases of their own; their sum is what both would leave."""
    open_orders = Reservations()
    for symbol, lots in (("AAA", 10), ("AAA", -4), ("BBB", 7), ("AAA", 1)):
        open_orders.reserve(OpenOrder(symbol, lots, 60))
    assert open_orders.buying("AAA") == 11
    assert open_orders.selling("AAA") == 4
    assert open_orders.lots("AAA") == 7
    assert (open_orders.lots("CCC"), open_orders.buying("CCC"), open_orders.selling("CCC")) == (
        0,
        0,
        0,
    )


def test_release_when_an_order_ends_then_only_it_goes() -> None:
    """Orders keep the order of approval, and equal orders are released one by one."""
    orders = [OpenOrder("AAA", 1, 60), OpenOrder("AAA", 1, 60), OpenOrder("AAA", 2, 120)]
    open_orders = Reservations(list(orders))
    open_orders.release(orders[0])
    assert open_orders.orders == orders[1:]
    assert open_orders.lots("AAA") == 3


def test_fill_when_part_of_an_order_trades_then_the_rest_stays_open() -> None:
    """Three of five leave two; the last two, or more, end it."""
    order = OpenOrder("AAA", -5, 60, order_id="d")
    open_orders = Reservations([order])
    open_orders.fill(order, -3)
    assert (open_orders.selling("AAA"), order.lots) == (2, -2)
    assert open_orders.find("d") is order
    open_orders.fill(order, -9)
    assert (open_orders.selling("AAA"), open_orders.find("d"), open_orders.orders) == (0, None, [])


def test_amend_when_more_or_less_is_left_then_the_side_is_counted_so() -> None:
    """From five to seven to one; nothing, or the other side, ends the order."""
    order = OpenOrder("AAA", -5, 60, order_id="d")
    open_orders = Reservations([order])
    for left in (-7, -1):
        open_orders.amend(order, left)
        assert (open_orders.selling("AAA"), order.lots) == (-left, left)
    open_orders.amend(order, 2)
    assert (open_orders.selling("AAA"), open_orders.buying("AAA"), open_orders.orders) == (0, 0, [])


def test_reserve_when_an_id_is_open_already_then_refuses() -> None:
    """One decision is one order."""
    open_orders = Reservations([OpenOrder("AAA", 1, 60, order_id="d")])
    with pytest.raises(ModelError, match="open already"):
        open_orders.reserve(OpenOrder("BBB", 2, 60, order_id="d"))
    assert open_orders.lots("BBB") == 0
