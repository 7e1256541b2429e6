"""Controls: each says how many lots it has room for, and what the order asked for would reach.

An order that only reduces a position passes every exposure control. All arithmetic of exposure is
exact; a limit counts open orders as if they had filled.
"""

import math

from models.risk.account import FRACTION_SCALE, Account, scaled
from models.risk.correlation import correlation
from models.risk.limits import UNBOUNDED_LOTS, Finding

# A symbol that misses some bars of the window can still be judged; one that misses more cannot.
SEEN_SHARE = 0.75


def asset_fraction(account: Account, symbol: str, lots: int) -> Finding:
    """Keep one asset, open orders included, below its share of equity."""
    unit = account.book.notional(symbol, 1)
    limit = scaled(account.limits.max_asset_fraction) * max(account.equity, 0)
    held = account.exposed[symbol]
    actual = account.of_equity((held + lots) * unit)
    return Finding(
        "MAX_ASSET_FRACTION",
        f"{symbol} would be {actual:.4f} of equity; the limit is "
        f"{account.limits.max_asset_fraction}",
        account.limits.max_asset_fraction,
        actual,
        max(limit // (FRACTION_SCALE * unit) - held, 0),
    )


def leverage(account: Account, symbol: str, lots: int) -> Finding:
    """Keep the gross exposure, open orders included, below the leverage limit times equity."""
    unit = account.book.notional(symbol, 1)
    limit = scaled(account.limits.max_leverage) * max(account.equity, 0)
    actual = account.of_equity(account.gross + lots * unit)
    return Finding(
        "MAX_LEVERAGE",
        f"gross exposure would be {actual:.4f} of equity; the limit is "
        f"{account.limits.max_leverage}",
        account.limits.max_leverage,
        actual,
        max((limit - account.gross * FRACTION_SCALE) // (FRACTION_SCALE * unit), 0),
    )


def book_correlation(account: Account, symbol: str, lots: int) -> Finding:
    """Refuse new risk that moves with the rest of the book, or whose history cannot tell."""
    del lots  # a correlation is the same for any quantity
    limit, n_bars = account.limits.max_correlation, account.limits.correlation_bars
    if account.is_alone(symbol):
        return Finding("MAX_CORRELATION", "nothing else is held", limit, 0.0, UNBOUNDED_LOTS)
    at = account.index[symbol]
    seen = int(account.seen[at])
    n_needed = math.ceil(n_bars * SEEN_SHARE)
    if seen < n_needed:
        return Finding(
            "CORRELATION_WARMUP",
            f"{symbol} has {seen} returns in {n_bars} bars; expected {n_needed} at least",
            n_needed,
            seen,
            0,
        )
    actual = correlation(account.returns[at], account.rest_returns(symbol))
    return Finding(
        "MAX_CORRELATION",
        f"{symbol} correlates {actual:.4f} with the rest of the book over {n_bars} bars; "
        f"the limit is {limit}",
        limit,
        actual,
        UNBOUNDED_LOTS if actual <= limit else 0,
    )


# In this order, always: the first named reason is the first that broke.
CONTROLS = (asset_fraction, leverage, book_correlation)


def check_buy(account: Account, symbol: str, lots: int) -> tuple[list[Finding], int]:
    """Return the controls that a buy of ``lots`` breaks, and the largest buy that breaks none."""
    findings = [control(account, symbol, lots) for control in CONTROLS]
    breaches = [finding for finding in findings if lots > finding.room_lots]
    return breaches, min(finding.room_lots for finding in findings)
