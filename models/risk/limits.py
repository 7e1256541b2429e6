"""Limits and verdicts: what a control may say."""

from typing import NamedTuple


class RiskLimits(NamedTuple):
    """Limits of one portfolio; fractions of equity, correlation in [0, 1], windows in bars."""

    max_asset_fraction: float
    max_leverage: float
    max_correlation: float
    correlation_bars: int
    min_trade_fraction: float


class Finding(NamedTuple):
    """What a control found: its limit, the value the order would reach, and its room in lots."""

    code: str
    message: str
    limit: float
    actual: float
    room_lots: int


# Room of a control that does not bind; more lots than any account can hold.
UNBOUNDED_LOTS = 2**62
