"""Open orders count from the moment of approval until they fill or expire."""

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
