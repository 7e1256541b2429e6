"""Risk-parity weights of an epoch's portfolios, from the models, within each portfolio's caps."""

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from models.caps import capped, over
from models.errors import HistoryTooShort, NotFinite
from models.history import BarHistory, next_returns
from streams.epochs import Epoch, Instrument, Portfolio


def parity_of(history: BarHistory) -> dict[str, float]:
    """Return risk-parity weights of the bars fitted on, uncapped; none where they cannot tell."""
    from models.allocation import risk_parity  # noqa: PLC0415  heavy

    try:
        return risk_parity(history.symbols, next_returns(history)).weights
    except (HistoryTooShort, NotFinite):
        return {}


def spread(portfolios: tuple[Portfolio, ...], metadata: dict[str, Any]) -> tuple[Portfolio, ...]:
    """Give portfolios that size by risk parity the weights that came with the models.

    Weights that the settings name stay. A portfolio with a universe of its own gets its symbols'
    share of the whole; with a symbol that the weights do not know it goes without. No symbol gets
    more than the portfolio's ``max_asset_fraction``, where the weights can keep it.
    """
    weights: dict[str, float] = metadata.get("risk_parity", {})
    return tuple(_spread(portfolio, weights) for portfolio in portfolios)


def _spread(portfolio: Portfolio, weights: dict[str, float]) -> Portfolio:
    universe = portfolio.universe or tuple(sorted(weights))
    total = math.fsum(weights.get(symbol, 0.0) for symbol in sorted(universe))
    given = portfolio.risk_parity or portfolio.sizing == "plain"
    if given or total <= 0.0 or not set(universe) <= weights.keys():
        return portfolio
    shares = {symbol: weights[symbol] / total for symbol in sorted(universe)}
    within = capped(shares, portfolio.limits.max_asset_fraction)
    return msgspec.structs.replace(portfolio, risk_parity=within)


def remarks(epoch: Epoch) -> Iterator[str]:
    """Say which portfolios go without weights, or have weights above their own limits."""
    # Who shares the sector that nobody named has not said that they move together.
    unnamed = Instrument(id="").sector
    sectors = {each.id: each.sector for each in epoch.instruments if each.sector != unnamed}
    for portfolio in epoch.portfolios:
        if portfolio.sizing == "plain":
            continue
        limits, weights = portfolio.limits, portfolio.risk_parity
        if not weights:
            yield (
                f"Portfolio {portfolio.id} is sized by risk parity, and the models have no weights "
                "for all of its symbols: its targets go as proposed."
            )
        found = over(weights, limits.max_asset_fraction, sectors, limits.max_sector_fraction)
        if found:
            told = ", ".join(f"{name} {share:.3f} > {most:g}" for name, share, most in found)
            yield (
                f"Portfolio {portfolio.id}: risk parity gives shares above its limits on one asset "
                f"or sector: {told}. The controls refuse what is above; raise the limit, or widen "
                "the universe."
            )
