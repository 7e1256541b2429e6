"""What a book shows: from the moment at which it is found, at each record and bar."""

from streams import metrics
from streams.records import PortfolioSnapshot

_STATES = {"ACTIVE": 0, "REDUCING": 1, "HALTED": 2}

# What an account can be surprised by. Counters are there before they count: a first event that
# is the first sample, too, is seen by nobody.
ALERTS = ("BAD_INPUT", "BOOK_MISMATCH", "ORDER_MISMATCH", "OVER_FILL", "UNKNOWN_ORDER")


def begin(partition: int, snapshot: PortfolioSnapshot) -> None:
    """Show an account that was just opened, or found again after a restart."""
    name = snapshot.portfolio
    metrics.RISK_VIOLATIONS.labels(name)
    for code in ALERTS:
        metrics.RISK_ALERTS.labels(name, code)
    show(partition, snapshot)


def show_state(partition: int, portfolio: str, state: str) -> None:
    """Show whether a portfolio may trade."""
    metrics.ACCOUNT_STATE.labels(portfolio, partition).set(_STATES[state])


def show(partition: int, snapshot: PortfolioSnapshot) -> None:
    """Show an account; before its first bar there is little to say of its risk."""
    name, risk = snapshot.portfolio, snapshot.risk
    place = (name, partition)
    metrics.EQUITY.labels(*place).set(float(snapshot.equity))
    if risk is None:
        return
    show_state(partition, name, risk.state)
    metrics.VAR_FRACTION.labels(*place, "historical").set(risk.var_historical_fraction)
    metrics.VAR_FRACTION.labels(*place, "normal").set(risk.var_normal_fraction)
    metrics.DAILY_LOSS_FRACTION.labels(*place).set(risk.daily_loss_fraction)
    metrics.DRAWDOWN_FRACTION.labels(*place).set(risk.drawdown_fraction)
    metrics.LEVERAGE.labels(*place).set(risk.leverage)
    metrics.CONCENTRATION.labels(*place).set(risk.concentration)
