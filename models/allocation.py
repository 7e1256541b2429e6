"""Hierarchical risk parity: how a budget is spread over assets that move together.

Assets are clustered by correlation, and each split of the tree gives less to the side that moves
more (Lopez de Prado, 2016, "Building diversified portfolios that outperform out of sample"). The
computation is skfolio's; what it may give one asset or sector is checked afterwards.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from skfolio import RiskMeasure
from skfolio.optimization import HierarchicalRiskParity

from models.arrays import Floats
from models.caps import over
from models.errors import HistoryTooShort, NotFinite

LEAST_BARS = 60
"""Fewer returns than this say nothing about how assets move together."""

MOST_BARS = 504
"""Older returns than this say little about how they move now: two years of days."""


class Allocation(NamedTuple):
    """Weights by symbol that sum to one, and the caps that they do not keep.

    A cap that no weights can keep (two assets, a quarter each) is named here and left to the
    controls, which refuse what is above it.
    """

    weights: dict[str, float]
    over: tuple[str, ...]


def risk_parity(
    symbols: tuple[str, ...],
    returns: Floats,
    *,
    max_asset: float = 1.0,
    sectors: Mapping[str, str] | None = None,
    max_sector: float = 1.0,
) -> Allocation:
    """Return hierarchical risk parity weights.

    Parameters
    ----------
    symbols : tuple of str
        In the order of the second axis.
    returns : (n_bars, n_symbols)
        Fractions; bars in which any symbol has NaN are left out, and only the newest are used.
    max_asset, max_sector : float
        Largest share of one asset, given to the optimiser where weights can keep it, and of one
        sector.
    sectors : mapping, optional
        Sector by symbol; those without one are a sector of their own each.

    Raises
    ------
    HistoryTooShort
        If fewer than 60 bars have returns of all symbols.
    NotFinite
        If a symbol never moved: parity of nothing is no weight.

    Examples
    --------
    >>> moves = np.tile([[0.01, 0.02], [-0.01, 0.02], [0.01, -0.02], [-0.01, -0.02]], (20, 1))
    >>> found = risk_parity(("AAA", "BBB"), moves)
    >>> {symbol: round(weight, 6) for symbol, weight in found.weights.items()}
    {'AAA': 0.8, 'BBB': 0.2}
    """
    whole = returns[np.isfinite(returns).all(axis=1)][-MOST_BARS:]
    if len(whole) < LEAST_BARS:
        raise HistoryTooShort(
            f"{len(whole)} bars have returns of all {len(symbols)} symbols; "
            f"expected {LEAST_BARS} at least"
        )
    still = [s for s, column in zip(symbols, whole.T, strict=True) if np.ptp(column) == 0.0]
    if still:
        raise NotFinite(f"{still[0]} never moved in {len(whole)} bars; leave it out")
    weights = _weights(whole, max_asset)
    named = dict(zip(symbols, weights, strict=True))
    above = over(named, max_asset, sectors or {}, max_sector)
    return Allocation(named, tuple(name for name, _, _ in above))


def _weights(returns: Floats, max_asset: float) -> list[float]:
    n_assets = returns.shape[1]
    if n_assets == 1:
        return [1.0]
    most = max_asset if max_asset * n_assets > 1.0 else 1.0
    model = HierarchicalRiskParity(risk_measure=RiskMeasure.VARIANCE, max_weights=most)
    model.fit(returns)
    found = [max(float(weight), 0.0) for weight in model.weights_]
    total = math.fsum(found)
    return [weight / total for weight in found]
