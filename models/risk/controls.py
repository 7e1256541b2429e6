"""The table of controls: each says how many lots it has room for and what the order would reach.

In this order, always: the first named reason is the first that broke. An order that only takes a
position back passes the controls that limit risk, because refusing it would keep the risk; it does
not pass those that ask whether the order itself is right. ``rule`` names what a firm that sends
orders must have: RTS 6 is Commission Delegated Regulation (EU) 2017/589, 15c3-5 is 17 CFR
240.15c3-5 (2010).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from models.risk.account import Account
from models.risk.admission import halted, market_hours, reducing, restricted, short_sale
from models.risk.concentration import (
    asset_fraction,
    gross_exposure,
    leverage,
    net_exposure,
    sector_fraction,
)
from models.risk.limits import UNBOUNDED_LOTS, Finding, Order
from models.risk.losses import book_correlation, daily_loss, keeps_value_at_risk, value_at_risk
from models.risk.orders import (
    duplicate,
    order_quantity,
    order_rate,
    order_value,
    orders_per_day,
    repeats,
)
from models.risk.prices import collar, known_price

Family = Literal["position", "concentration", "correlation", "order", "admission"]


class Control(NamedTuple):
    """One control: what it finds, and everything that a document says about it.

    Attributes
    ----------
    find
        The control.
    codes
        What it may be called in a reason.
    limits
        Keys of :class:`~models.risk.limits.RiskLimits` that it reads.
    family
        Which verdict of a decision's ``risk_checks`` it belongs to.
    binds_reductions
        Whether an order that only takes a position back must pass it, too.
    because
        Why it must, or need not.
    rule
        Where it is asked for.
    clears
        Tells sooner than ``find`` that there is room for so many lots, or leaves it open.
    """

    find: Callable[[Account, Order], Finding]
    codes: tuple[str, ...]
    limits: tuple[str, ...]
    family: Family
    binds_reductions: bool
    because: str
    rule: str
    clears: Callable[[Account, Order, int], bool] | None = None


_RISK = "refusing a reduction would keep the risk"
_COUNTED = "reductions are counted, but they end by themselves: at flat"
_ORDER = "a wrong order is wrong in either direction"

CONTROLS = (
    Control(
        find=halted,
        codes=("HALTED",),
        limits=(),
        family="admission",
        binds_reductions=True,
        because="halted is halted",
        rule="RTS 6 art. 12",
    ),
    Control(
        find=reducing,
        codes=("REDUCE_ONLY",),
        limits=("max_bad_input_fraction",),
        family="admission",
        binds_reductions=False,
        because=_RISK,
        rule="RTS 6 art. 12",
    ),
    Control(
        find=known_price,
        codes=("NO_PRICE", "STALE_PRICE"),
        limits=("stale_bars",),
        family="order",
        binds_reductions=True,
        because="without a price nothing can be said about any order",
        rule="RTS 6 art. 15(1)(a)",
    ),
    Control(
        find=collar,
        codes=("PRICE_COLLAR",),
        limits=("price_collar_fraction",),
        family="order",
        binds_reductions=True,
        because=_ORDER,
        rule="RTS 6 art. 15(1)(a); 15c3-5(c)(1)(ii)",
    ),
    Control(
        find=order_value,
        codes=("MAX_ORDER_VALUE",),
        limits=("max_order_fraction",),
        family="order",
        binds_reductions=False,
        because="it is bounded by what is held, and without equity one must get out",
        rule="RTS 6 art. 15(1)(b); 15c3-5(c)(1)(ii)",
    ),
    Control(
        find=order_quantity,
        codes=("MAX_ORDER_QUANTITY",),
        limits=("max_order_lots",),
        family="order",
        binds_reductions=True,
        because="a slip of the hand; a larger position is left in steps",
        rule="RTS 6 art. 15(1)(c); 15c3-5(c)(1)(ii)",
    ),
    Control(
        find=order_rate,
        codes=("ORDER_RATE",),
        limits=("max_orders_per_second",),
        family="order",
        binds_reductions=False,
        because=_COUNTED,
        rule="RTS 6 art. 15(1)(d)",
    ),
    Control(
        find=orders_per_day,
        codes=("ORDERS_PER_DAY",),
        limits=("max_orders_per_day",),
        family="order",
        binds_reductions=False,
        because=_COUNTED,
        rule="RTS 6 art. 15(1)(d)",
    ),
    Control(
        find=repeats,
        codes=("REPEATED_ORDER",),
        limits=("max_repeats_per_minute",),
        family="order",
        binds_reductions=False,
        because=_COUNTED,
        rule="RTS 6 art. 15(3)",
    ),
    Control(
        find=duplicate,
        codes=("DUPLICATE_ORDER",),
        limits=("duplicate_window_ms",),
        family="order",
        binds_reductions=True,
        because=_ORDER,
        rule="15c3-5(c)(1)(ii)",
    ),
    Control(
        find=asset_fraction,
        codes=("MAX_ASSET_FRACTION",),
        limits=("max_asset_fraction",),
        family="position",
        binds_reductions=False,
        because=_RISK,
        rule="15c3-5(c)(1)(i)",
    ),
    Control(
        find=sector_fraction,
        codes=("MAX_SECTOR_FRACTION",),
        limits=("max_sector_fraction",),
        family="concentration",
        binds_reductions=False,
        because=_RISK,
        rule="15c3-5(c)(1)(i)",
    ),
    Control(
        find=leverage,
        codes=("MAX_LEVERAGE",),
        limits=("max_leverage",),
        family="concentration",
        binds_reductions=False,
        because=_RISK,
        rule="15c3-5(c)(1)(i); RTS 6 art. 15(4)",
    ),
    Control(
        find=gross_exposure,
        codes=("MAX_GROSS_EXPOSURE",),
        limits=("max_gross_fraction",),
        family="concentration",
        binds_reductions=False,
        because=_RISK,
        rule="15c3-5(c)(1)(i); RTS 6 art. 15(4)",
    ),
    Control(
        find=net_exposure,
        codes=("MAX_NET_EXPOSURE",),
        limits=("max_net_fraction",),
        family="concentration",
        binds_reductions=False,
        because=_RISK,
        rule="15c3-5(c)(1)(i); RTS 6 art. 15(4)",
    ),
    Control(
        find=value_at_risk,
        codes=("MAX_VAR", "VAR_WARMUP"),
        limits=("max_var_fraction", "var_bars", "var_min_bars"),
        family="concentration",
        binds_reductions=False,
        because=_RISK,
        rule="15c3-5(c)(1)(i)",
        clears=keeps_value_at_risk,
    ),
    Control(
        find=book_correlation,
        codes=("MAX_CORRELATION", "CORRELATION_WARMUP"),
        limits=("max_correlation", "correlation_bars"),
        family="correlation",
        binds_reductions=False,
        because=_RISK,
        rule="",
    ),
    Control(
        find=daily_loss,
        codes=("MAX_DAILY_LOSS",),
        limits=("max_daily_loss_fraction",),
        family="admission",
        binds_reductions=False,
        because=_RISK,
        rule="15c3-5(c)(1)(i)",
    ),
    Control(
        find=restricted,
        codes=("RESTRICTED_SYMBOL",),
        limits=("restricted",),
        family="admission",
        binds_reductions=True,
        because="who may not deal in it may not sell it either",
        rule="15c3-5(c)(2)(ii)",
    ),
    Control(
        find=market_hours,
        codes=("MARKET_CLOSED",),
        limits=(),
        family="admission",
        binds_reductions=True,
        because="there is nobody to trade with",
        rule="15c3-5(c)(2)(i)",
    ),
    Control(
        find=short_sale,
        codes=("SHORT_SALE",),
        limits=("allow_short",),
        family="position",
        binds_reductions=False,
        because="what takes a position back sells nothing short",
        rule="15c3-5(c)(2)(i)",
    ),
)

FAMILY_OF = {code: control.family for control in CONTROLS for code in control.codes}


Asked = tuple[Control, Finding]


def check(
    account: Account, order: Order, asked: list[Asked] | None = None
) -> tuple[list[Finding], int]:
    """Return the controls that an order breaks, and the largest order of its kind that breaks none.

    The order is not changed and reserves nothing. The quantity returned passes, one lot more does
    not; it is 0 where no quantity passes. Where there is no price nothing else can be measured, and
    that is the only reason. With a list for ``asked`` every control is asked, those too that cannot
    decide anything, and what it found is appended.
    """
    lots, free = abs(order.lots), account.reducible(order)
    breaches, allowed = [], UNBOUNDED_LOTS
    for control in CONTROLS:
        # Room beyond the order and beyond what others leave decides nothing.
        most = max(lots, allowed)
        if asked is None and control.clears is not None and control.clears(account, order, most):
            continue
        found = control.find(account, order)
        if asked is not None:
            asked.append((control, found))
        room = found.room_lots if control.binds_reductions else max(found.room_lots, free)
        allowed = min(allowed, room)
        if lots > room:
            breaches.append(found)
            if found.code == "NO_PRICE":
                break
    return breaches, _not_just_sent(account, order, allowed)


def _not_just_sent(account: Account, order: Order, allowed: int) -> int:
    """Return the most lots up to ``allowed`` that are no duplicate of an order just sent."""
    side = 1 if order.lots > 0 else -1
    while allowed and not duplicate(account, order._replace(lots=side * allowed)).room_lots:
        allowed -= 1
    return allowed
