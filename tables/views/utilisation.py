"""How much of each limit an account uses, as its last snapshot tells; open orders are included."""

import math
from collections.abc import Callable
from typing import NamedTuple

from streams.records import AccountRisk, PortfolioSnapshot
from tables.views.number_text import percent_text


class Used(NamedTuple):
    """One limit: what of it is used, and both as people read them."""

    name: str
    share: float
    used: str
    limit: str


def utilisation(snapshot: PortfolioSnapshot) -> list[Used]:
    """Return the limits of an account that have a share; none if its snapshot tells of no risk.

    Gross and net are fractions of the equity at the start of the day, all others of that now.
    """
    risk = snapshot.risk
    if risk is None:
        return []
    day_open = float(risk.day_open_equity)
    of_day = float(snapshot.equity) / day_open if day_open > 0 else 0.0
    sector = max(risk.sectors.values(), default=0.0)
    fractions = (
        ("Largest position", risk.concentration, "max_asset_fraction"),
        ("Largest sector", sector, "max_sector_fraction"),
        ("Leverage", risk.leverage, "max_leverage"),
        ("Gross, of the day's first equity", risk.leverage * of_day, "max_gross_fraction"),
        ("Net, of the day's first equity", abs(risk.net_fraction) * of_day, "max_net_fraction"),
        ("Value at risk, one day", risk.var_fraction, "max_var_fraction"),
        ("Loss of the day", max(risk.daily_loss_fraction, 0.0), "max_daily_loss_fraction"),
    )
    told = [_used(risk, name, used, key, percent_text) for name, used, key in fractions]
    told.append(_used(risk, "Orders today", risk.orders_today, "max_orders_per_day", _whole))
    return [each for each in told if each is not None]


def asset_limit(snapshot: PortfolioSnapshot) -> float | None:
    """Return the limit of one symbol as a fraction of equity; None if the snapshot has none."""
    return None if snapshot.risk is None else _limit(snapshot.risk, "max_asset_fraction")


def _used(
    risk: AccountRisk, name: str, used: float, key: str, text: Callable[[float], str]
) -> Used | None:
    limit = _limit(risk, key)
    if limit is None or not math.isfinite(used):
        return None
    # Of a limit of nothing, nothing is all.
    share = used / limit if limit > 0 else (math.inf if used > 0 else 0.0)
    return Used(name, share, text(used), text(limit))


def _limit(risk: AccountRisk, key: str) -> float | None:
    value = risk.limits.get(key)
    return float(value) if isinstance(value, int | float) else None


def _whole(number: float) -> str:
    return f"{number:,.0f}"
