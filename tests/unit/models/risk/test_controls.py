"""The table of controls: its order, its completeness, and what it says together."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.risk.account import Account
from models.risk.controls import CONTROLS, FAMILY_OF, check
from models.risk.limits import Order, RiskLimits
from models.risk.switches import Switch
from tests.oracles import FREE, account_of
from tests.unit.models.risk.test_losses import books

UP = [0.01, -0.02, 0.03, 0.01]


def test_controls_when_listed_then_stand_in_the_order_that_is_promised() -> None:
    """Kill switch, price, order, exposure, losses, admission: the first reason is the first."""
    assert [control.codes[0] for control in CONTROLS] == [
        "HALTED",
        "REDUCE_ONLY",
        "NO_PRICE",
        "PRICE_COLLAR",
        "MAX_ORDER_VALUE",
        "MAX_ORDER_QUANTITY",
        "ORDER_RATE",
        "ORDERS_PER_DAY",
        "REPEATED_ORDER",
        "DUPLICATE_ORDER",
        "MAX_ASSET_FRACTION",
        "MAX_SECTOR_FRACTION",
        "MAX_LEVERAGE",
        "MAX_GROSS_EXPOSURE",
        "MAX_NET_EXPOSURE",
        "MAX_VAR",
        "MAX_CORRELATION",
        "MAX_DAILY_LOSS",
        "RESTRICTED_SYMBOL",
        "MARKET_CLOSED",
        "SHORT_SALE",
    ]


def test_controls_when_read_then_name_their_codes_limits_and_reason() -> None:
    """Every code has one control, every key exists and is read, and every choice has its why."""
    codes = [code for control in CONTROLS for code in control.codes]
    assert len(codes) == len(set(codes)) == len(FAMILY_OF)
    keys = {key for control in CONTROLS for key in control.limits}
    assert keys == set(RiskLimits._fields) - {"min_trade_fraction"}
    for control in CONTROLS:
        assert control.because
        assert control.find.__doc__
        source = inspect.getsource(control.find)
        assert all(code in source for code in control.codes)


def everything_wrong() -> tuple[Account, Order]:
    """Build an account and an order that break all that can be broken at once."""
    limits = RiskLimits(
        correlation_bars=4,
        var_bars=4,
        var_min_bars=4,
        max_order_lots=1,
        max_orders_per_second=0,
        max_orders_per_day=0,
        max_repeats_per_minute=0,
        restricted=("AAA",),
    )
    account = account_of(
        {"AAA": 100.0, "BBB": 100.0},
        cash=-400,
        held={"BBB": 14},
        limits=limits,
        window=np.array([UP, UP]),
    )
    account.kept.day.open_equity *= 2
    account.kept.switches.throw("global", "", Switch("HALTED", "test", "ann", 0))
    return account, Order("AAA", 25, 2 * 10**10)


def test_check_when_many_controls_break_then_names_all_in_their_order() -> None:
    """Every broken limit is a reason, none hides another, and nothing is allowed."""
    account, order = everything_wrong()
    breaches, allowed = check(account, order)
    assert [b.code for b in breaches] == [
        "HALTED",
        "PRICE_COLLAR",
        "MAX_ORDER_VALUE",
        "MAX_ORDER_QUANTITY",
        "ORDER_RATE",
        "ORDERS_PER_DAY",
        "REPEATED_ORDER",
        "MAX_ASSET_FRACTION",
        "MAX_SECTOR_FRACTION",
        "MAX_LEVERAGE",
        "MAX_GROSS_EXPOSURE",
        "MAX_NET_EXPOSURE",
        "MAX_VAR",
        "MAX_CORRELATION",
        "MAX_DAILY_LOSS",
        "RESTRICTED_SYMBOL",
    ]
    assert allowed == 0


def test_check_when_asked_then_changes_nothing() -> None:
    """A question reserves nothing and leaves no trace."""
    account, order = everything_wrong()
    before = (account.book.cash, account.exposure.gross, account.scenarios.earned.tobytes())
    assert check(account, order) == check(account, order)
    assert before == (
        account.book.cash,
        account.exposure.gross,
        account.scenarios.earned.tobytes(),
    )
    assert account.reservations.orders == []
    assert account.kept.flow.n_today == 0


@pytest.mark.parametrize("held", [5, -5])
def test_check_when_all_limits_are_broken_then_a_reduction_still_passes(held: int) -> None:
    """Limits on risk never keep a position alive: only what is wrong with the order refuses it."""
    limits = FREE._replace(
        max_asset_fraction=1e-9,
        max_sector_fraction=1e-9,
        max_leverage=1e-9,
        max_gross_fraction=1e-9,
        max_net_fraction=1e-9,
        max_order_fraction=1e-9,
        max_orders_per_second=0,
        max_orders_per_day=0,
        max_repeats_per_minute=0,
        max_var_fraction=1e-9,
        var_min_bars=99,
        max_daily_loss_fraction=1e-9,
    )
    account = account_of({"AAA": 100.0}, held={"AAA": held}, limits=limits)
    account.kept.day.open_equity *= 2
    account.kept.switches.throw("portfolio", "", Switch("REDUCING", "test", "ann", 0))
    assert check(account, Order("AAA", -held)) == ([], 5)
    assert len(check(account, Order("AAA", held))[0]) == (12 if held > 0 else 13)


def test_check_when_a_limit_breaks_then_allowed_is_the_smallest_room() -> None:
    """Two lots keep the asset limit, nine the leverage: two are allowed, and two pass."""
    limits = FREE._replace(max_asset_fraction=0.25, max_leverage=0.95)
    account = account_of({"AAA": 100.0}, limits=limits)
    breaches, allowed = check(account, Order("AAA", 5))
    assert ([b.code for b in breaches], allowed) == (["MAX_ASSET_FRACTION"], 2)
    assert check(account, Order("AAA", 2)) == ([], 2)


@given(books(), st.sampled_from([1, -1]), st.integers(1, 500), st.integers(1, 500))
def test_check_when_controls_are_cleared_then_says_what_a_look_at_all_says(
    account: Account, side: int, lots: int, most: int
) -> None:
    """Clearing saves work and nothing else: the same reasons, the same allowed quantity."""
    account.limits = account.limits._replace(max_order_lots=most)
    order = Order("AAA", side * lots)
    found = [control.find(account, order) for control in CONTROLS]
    free = account.reducible(order)
    rooms = [
        one.room_lots if control.binds_reductions else max(one.room_lots, free)
        for one, control in zip(found, CONTROLS, strict=True)
    ]
    breaches = [one for one, room in zip(found, rooms, strict=True) if lots > room]
    assert check(account, order) == (breaches, min(rooms))
