"""What a story begins with: four symbols, two sectors, and limits drawn so that they bind."""

import random
from collections.abc import Mapping
from typing import Any

import msgspec

from models.risk.sessions import Sessions
from streams.epochs import AROUND_THE_CLOCK, Costs, Epoch, Instrument, Limits, Portfolio
from tests.builders import MIDNIGHT, MINUTE, homes
from tests.builders import epoch as epoch_of
from tests.simulation.judge import PORTFOLIO
from tests.simulation.shadow import PRICE, Terms

Draw = random.Random
SYMBOLS = tuple(homes(2, 2))
SECTORS = dict(zip(SYMBOLS, ("A", "A", "B", "B"), strict=True))
LOTS = dict(zip(SYMBOLS, ("1", "0.5", "1", "10"), strict=True))
CALENDAR = "HOURLY"
# Open for 40 minutes of each hour, for 40 days.
HOURS = Sessions(
    tuple(MIDNIGHT + hour * 60 * MINUTE for hour in range(24 * 40)),
    tuple(MIDNIGHT + (hour * 60 + 40) * MINUTE for hour in range(24 * 40)),
)
SHORTABLE = frozenset(SYMBOLS[1:3])


def setting(draw: Draw) -> dict[str, Any]:
    """Draw a portfolio: limits tight enough to bind, or so wide that others do."""
    wide = draw.choice((0, 0, 1))
    limits = {
        "max_asset_fraction": draw.choice((0.25, 0.25, 0.15, 100.0)),
        "max_sector_fraction": draw.choice((0.5, 0.3, 100.0)),
        "max_leverage": draw.choice((1.5, 0.7, 100.0)),
        "max_gross_fraction": draw.choice((1.5, 0.6, 100.0)),
        "max_net_fraction": draw.choice((1.0, 0.5, 100.0)),
        "max_order_fraction": draw.choice((0.1, 0.1, 0.3)),
        "max_order_lots": draw.choice((1_000_000, 900)),
        "price_collar_fraction": draw.choice((0.1, 0.02)),
        "stale_bars": draw.choice((3, 1)),
        "max_orders_per_second": draw.choice((100, 3)),
        "max_orders_per_day": draw.choice((10_000, 12)),
        "max_repeats_per_minute": draw.choice((10, 2)),
        "duplicate_window_ms": draw.choice((1_000, 0, 30_000)),
        "max_var_fraction": 100.0 if wide else draw.choice((0.4, 0.15)),
        "max_correlation": 1.0 if wide else draw.choice((0.8, 0.5)),
        "max_daily_loss_fraction": draw.choice((0.02, 0.1)),
        "allow_short": draw.choice((True, False)),
    }
    windows = {"correlation_bars": 6, "var_bars": 24, "var_min_bars": draw.choice((2, 5))}
    return {
        "limits": Limits(**limits, **windows),
        "venue": draw.choice(("paper", "external")),
        "on_breach": draw.choice(("refuse", "refuse", "reduce")),
        "costs": Costs(slippage_bps=draw.choice((0.0, 1.0)), fee_bps=draw.choice((0.0, 0.5, 3.25))),
        "order_expiry_bars": draw.choice((1, 3)),
    }


def document_of(portfolio: Mapping[str, Any], calendar_digest: str = "") -> Epoch:
    """Build a story's epoch; with a calendar the first symbol keeps its hours."""
    kept = {SYMBOLS[0]: CALENDAR} if calendar_digest else {}
    instruments = tuple(
        Instrument(
            id=s,
            sector=SECTORS[s],
            lot_size=LOTS[s],
            shortable=s in SHORTABLE,
            calendar=kept.get(s, AROUND_THE_CLOCK),
        )
        for s in SYMBOLS
    )
    return epoch_of(
        SYMBOLS,
        n_partitions=2,
        instruments=instruments,
        portfolios=(Portfolio(id=PORTFOLIO, sizing="plain", **portfolio),),
        calendars={CALENDAR: calendar_digest} if calendar_digest else {},
    )


def terms_of(document: Epoch) -> Terms:
    """Say to the judge what the epoch says to the fold."""
    (portfolio,) = document.portfolios
    return Terms(
        lot_e8={s: round(float(size) * PRICE) for s, size in LOTS.items()},
        sectors=SECTORS,
        shortable=SHORTABLE,
        limits=msgspec.structs.asdict(portfolio.limits),
        cash=int(portfolio.cash) * 10**16,
        bar_ns=MINUTE,
        slippage_bps=portfolio.costs.slippage_bps,
        fee_bps=portfolio.costs.fee_bps,
        expiry_bars=portfolio.order_expiry_bars,
        is_external=portfolio.venue == "external",
        reduces=portfolio.on_breach == "reduce",
        hours={SYMBOLS[0]: tuple(zip(*HOURS, strict=True))} if document.calendars else {},
    )
