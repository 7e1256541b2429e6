"""Approved orders held once more against the limits: by published records alone.

An order and the account that it led to come by two topics and are paired by portfolio and close;
whichever comes first waits. Orders that people send between two bars led to no published account of
their own: of them only what they say of themselves is checked.
"""

from collections import OrderedDict
from typing import NamedTuple

from models.verification import SeenAccount, SeenHolding, broken_limits
from streams.records import Decision, PortfolioSnapshot
from streams.timestamps import parse_ns

# Bars of one portfolio whose accounts, or orders, wait for the others where those are read behind.
_MOST_WAITING = 256


class Broken(NamedTuple):
    """An approved order that is beyond limits, by name, and the models that wanted it."""

    decision_id: str
    portfolio: str
    models: str
    limits: tuple[str, ...]


class _Standing:
    """What is known of one portfolio: accounts by close, and orders that wait for theirs."""

    def __init__(self) -> None:
        self.accounts: OrderedDict[int, SeenAccount] = OrderedDict()
        self.orders: dict[int, list[Decision]] = {}

    def forget_before(self, close_ns: int) -> None:
        """Let accounts go that nobody asks for: a portfolio's decisions come in order."""
        while self.accounts and next(iter(self.accounts)) < close_ns:
            self.accounts.popitem(last=False)


class Recheck:
    """The orders of one run; what is kept has a bound.

    Attributes
    ----------
    n_unchecked : int
        Orders whose account was gone, or before the first that was read.

    Examples
    --------
    >>> Recheck().is_settled
    True
    """

    def __init__(self) -> None:
        self.n_unchecked = 0
        self._known: dict[str, _Standing] = {}

    @property
    def is_settled(self) -> bool:
        """Whether no order waits for its account."""
        return not any(standing.orders for standing in self._known.values())

    def take_decision(self, decision: Decision) -> list[Broken]:
        """Take a decision, and return it if it is known already to be beyond a limit."""
        standing, at_ns = self._of(decision.portfolio), parse_ns(decision.timestamp)
        standing.forget_before(at_ns)
        if not decision.approved or decision.action == "HOLD":
            return []
        if decision.quantity > decision.allowed_quantity:
            return [_broken(decision, ("MORE_THAN_ALLOWED",))]
        if decision.intent_id:
            return []
        account = standing.accounts.get(at_ns)
        if account is None:
            standing.orders.setdefault(at_ns, []).append(decision)
            if len(standing.orders) > _MOST_WAITING:
                self.n_unchecked += len(standing.orders.pop(min(standing.orders)))
            return []
        return _held_against(account, [decision])

    def take_snapshot(self, snapshot: PortfolioSnapshot) -> list[Broken]:
        """Take the account behind a bar, and return the orders of that bar beyond a limit."""
        standing, at_ns = self._of(snapshot.portfolio), parse_ns(snapshot.timestamp)
        orders = standing.orders.pop(at_ns, [])
        # Accounts come in order as well: that of an older order comes no more.
        for when in [when for when in standing.orders if when < at_ns]:
            self.n_unchecked += len(standing.orders.pop(when))
        account = _seen(snapshot)
        if account is None:
            self.n_unchecked += len(orders)
            return []
        standing.accounts[at_ns] = account
        if len(standing.accounts) > _MOST_WAITING:
            standing.accounts.popitem(last=False)
        return _held_against(account, orders)

    def _of(self, portfolio: str) -> _Standing:
        return self._known.setdefault(portfolio, _Standing())


def _seen(snapshot: PortfolioSnapshot) -> SeenAccount | None:
    """Return an account as it is held against; one of an old version does not say its limits."""
    if snapshot.risk is None:
        return None
    holdings = (
        SeenHolding(h.symbol, h.quantity, h.open_quantity, h.price, h.sector)
        for h in snapshot.holdings
    )
    risk = snapshot.risk
    return SeenAccount(snapshot.equity, risk.day_open_equity, tuple(holdings), risk.limits)


def _held_against(account: SeenAccount, orders: list[Decision]) -> list[Broken]:
    found = []
    for order in orders:
        limits = broken_limits(account, order.symbol, order.action)
        if limits:
            found.append(_broken(order, limits))
    return found


def _broken(decision: Decision, limits: tuple[str, ...]) -> Broken:
    return Broken(decision.decision_id, decision.portfolio, decision.digests.models, limits)
