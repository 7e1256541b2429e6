"""Caps on weights: kept where they can be, and named where they are not."""

import math
from collections.abc import Mapping

_SLACK = 1e-9


def capped(weights: Mapping[str, float], most: float) -> dict[str, float]:
    """Take what a weight has above a cap, and give it to the rest in their proportion.

    Parameters
    ----------
    weights : mapping
        By symbol, none below zero, sum 1.
    most : float
        Cap on each.

    Returns
    -------
    dict
        Sum 1, in the same order; the weights as they are where no weights keep the cap: too few
        symbols, or too few with a weight.

    Examples
    --------
    >>> capped({"A": 0.5, "B": 0.3, "C": 0.2}, 0.4)
    {'A': 0.4, 'B': 0.36, 'C': 0.24}
    >>> capped({"A": 0.7, "B": 0.3}, 0.4)
    {'A': 0.7, 'B': 0.3}
    """
    if most * sum(weight > 0.0 for weight in weights.values()) < 1.0 - _SLACK:
        return dict(weights)
    full: set[str] = set()
    while True:
        free = math.fsum(w for symbol, w in weights.items() if symbol not in full)
        scale = (1.0 - most * len(full)) / free if free > 0.0 else 0.0
        above = {s for s, w in weights.items() if s not in full and w * scale > most + _SLACK}
        if not above:
            return {s: most if s in full else w * scale for s, w in weights.items()}
        full |= above


def over(
    weights: Mapping[str, float],
    max_asset: float,
    sectors: Mapping[str, str],
    max_sector: float,
) -> list[tuple[str, float, float]]:
    """List the assets and sectors above their caps, assets first, each in order.

    Parameters
    ----------
    weights : mapping
        By symbol.
    max_asset, max_sector : float
    sectors : mapping
        Sector by symbol; those without one are a sector of their own each.

    Returns
    -------
    list of (name, share, cap)

    Examples
    --------
    >>> over({"A": 0.5, "B": 0.3, "C": 0.2}, 0.4, {"B": "tech", "C": "tech"}, 0.45)
    [('A', 0.5, 0.4), ('tech', 0.5, 0.45)]
    """
    by_sector: dict[str, list[float]] = {}
    for symbol, weight in weights.items():
        by_sector.setdefault(sectors.get(symbol, symbol), []).append(weight)
    shares = {name: math.fsum(parts) for name, parts in by_sector.items() if name not in weights}
    return [
        *((name, w, max_asset) for name, w in sorted(weights.items()) if w > max_asset + _SLACK),
        *((name, w, max_sector) for name, w in sorted(shares.items()) if w > max_sector + _SLACK),
    ]
