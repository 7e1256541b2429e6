"""Sizing: a target share of equity becomes whole lots to trade."""

import math

from models.risk.account import FRACTION_SCALE, Account, scaled


def lots_for(account: Account, symbol: str, fraction: float) -> int:
    """Return the whole lots, toward zero, that ``fraction`` of equity buys at the last price.

    A target that is not finite, an account without equity or a symbol without a price give 0.
    """
    unit = account.book.notional(symbol, 1)
    if unit <= 0 or account.equity <= 0 or not math.isfinite(fraction):
        return 0
    lots = abs(scaled(fraction)) * account.equity // (FRACTION_SCALE * unit)
    return lots if fraction >= 0 else -lots


def is_worth_trading(account: Account, symbol: str, lots: int, min_fraction: float) -> bool:
    """Tell whether a change of ``lots`` moves at least ``min_fraction`` of equity."""
    moved = abs(account.book.notional(symbol, lots)) * FRACTION_SCALE
    return lots != 0 and moved >= scaled(min_fraction) * account.equity
