"""The second fold: what the account must have been, from published events alone.

Nothing here shares code with the ledger or the controls. Arithmetic is ``fractions.Fraction``, so
it is exact without their units. It reads decisions, executions and snapshots as consumers do: a
whole run with :func:`verify`, a live one bar by bar with :func:`broken_limits`.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple


class SeenDecision(NamedTuple):
    """A decision as published: its slot, its id, a hash of its bytes, and what it says.

    ``is_slot`` is False for a decision about an order intent, which fills no slot of a bar.
    """

    close_ns: int
    symbol: str
    decision_id: str
    value_hash: bytes
    action: str
    quantity: float
    approved: bool
    price: float
    is_slot: bool = True


class SeenExecution(NamedTuple):
    """An execution as published; ``decision_id`` names the order it ends."""

    close_ns: int
    execution_id: str
    decision_id: str
    symbol: str
    kind: str
    side: str
    quantity: float
    price: float
    fee: float


class SeenSnapshot(NamedTuple):
    """An account as published after a bar; equity is exact text."""

    close_ns: int
    equity: str


class SeenHolding(NamedTuple):
    """A symbol of a published account; open orders are netted, the price is exact text."""

    symbol: str
    quantity: float
    open_quantity: float
    price: str
    sector: str


class SeenAccount(NamedTuple):
    """An account as published after a bar, with its open orders and the limits in force."""

    equity: str
    day_open_equity: str
    holdings: tuple[SeenHolding, ...]
    limits: Mapping[str, Any]


class Terms(NamedTuple):
    """What a consumer knows of a portfolio: its cash, as decimal text, and its limits.

    Without ``sectors`` (by symbol) the limit of a sector is not checked.
    """

    cash: str
    max_asset_fraction: float
    max_leverage: float
    max_sector_fraction: float = 1.0
    sectors: Mapping[str, str] = MappingProxyType({})


class Findings(NamedTuple):
    """What the verification found; all counts but the first are defects, 0 is good."""

    n_decisions: int
    n_repeats: int
    conflicting_ids: int
    missing_slots: int
    surplus_slots: int
    limits_broken: int
    equity_differs: int
    orders_unknown: int

    def holds(self) -> bool:
        """Tell whether nothing is wrong and something was checked."""
        return self.n_decisions > 0 and not any(self[2:])


def verify(
    slots: set[tuple[int, str]],
    decisions: Iterable[SeenDecision],
    executions: Iterable[SeenExecution],
    snapshots: Iterable[SeenSnapshot],
    terms: Terms,
) -> Findings:
    """Check one portfolio: slots, ids, limits at every decision, equity after every bar.

    ``slots`` are (bar close, symbol) of every row that the bars stage closed.
    """
    unique, n_repeats, conflicts = _unique(decisions)
    slotted = [d for d in unique if d.is_slot]
    decided = {(d.close_ns, d.symbol) for d in slotted}
    account = _Account(terms)
    account.fold(unique, executions, {s.close_ns: s.equity for s in snapshots})
    return Findings(
        n_decisions=len(unique),
        n_repeats=n_repeats,
        conflicting_ids=conflicts,
        missing_slots=len(slots - decided),
        surplus_slots=len(decided - slots) + len(slotted) - len(decided),
        limits_broken=account.limits_broken,
        equity_differs=account.equity_differs,
        orders_unknown=account.orders_unknown,
    )


def _unique(decisions: Iterable[SeenDecision]) -> tuple[list[SeenDecision], int, int]:
    first: dict[str, SeenDecision] = {}
    n_repeats = conflicts = 0
    for decision in decisions:
        known = first.setdefault(decision.decision_id, decision)
        if known is not decision:
            n_repeats += 1
            conflicts += known.value_hash != decision.value_hash
    return list(first.values()), n_repeats, conflicts


class _Account:
    """Cash, positions and open orders, folded bar by bar."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.cash = Fraction(terms.cash)
        self.held: dict[str, Fraction] = {}
        self.prices: dict[str, Fraction] = {}
        self.open: dict[str, SeenDecision] = {}
        self.limits_broken = self.equity_differs = self.orders_unknown = 0

    def fold(
        self,
        decisions: list[SeenDecision],
        executions: Iterable[SeenExecution],
        equities: dict[int, str],
    ) -> None:
        """Fold all bars in time order: executions, then prices, then decisions."""
        ended: dict[int, dict[str, SeenExecution]] = {}
        for execution in executions:
            ended.setdefault(execution.close_ns, {})[execution.execution_id] = execution
        decided: dict[int, list[SeenDecision]] = {}
        for decision in decisions:
            decided.setdefault(decision.close_ns, []).append(decision)
        for close_ns in sorted(ended.keys() | decided.keys()):
            self._bar(list(ended.get(close_ns, {}).values()), decided.get(close_ns, []))
            # What happens between bars is seen in the account of the next one.
            is_bar = any(decision.is_slot for decision in decided.get(close_ns, []))
            said = equities.get(close_ns)
            if is_bar and (said is None or Fraction(said) != self.equity()):
                self.equity_differs += 1

    def _bar(self, ended: list[SeenExecution], decided: list[SeenDecision]) -> None:
        for execution in ended:
            self._execute(execution)
        self.prices |= {d.symbol: _exact(d.price) for d in decided if d.price > 0}
        for decision in decided:
            self._order(decision)

    def _execute(self, execution: SeenExecution) -> None:
        order = self.open.pop(execution.decision_id, None)
        if order is None or order.quantity != execution.quantity:
            self.orders_unknown += 1
        if execution.kind != "fill":
            return
        sign = 1 if execution.side == "BUY" else -1
        symbol = execution.symbol
        quantity = _exact(execution.quantity)
        self.held[symbol] = self.held.get(symbol, Fraction(0)) + sign * quantity
        self.cash -= sign * quantity * _exact(execution.price) + _exact(execution.fee)

    def _order(self, decision: SeenDecision) -> None:
        if not decision.approved or decision.quantity == 0:
            return
        self.open[decision.decision_id] = decision
        if decision.action == "BUY" and self._breaks(decision.symbol):
            self.limits_broken += 1
        if decision.action == "SELL" and self.held.get(decision.symbol, 0) < _exact(
            decision.quantity
        ):
            self.limits_broken += 1

    def _breaks(self, symbol: str) -> bool:
        exposed = dict(self.held)
        for order in self.open.values():
            if order.action == "BUY":
                held = exposed.get(order.symbol, Fraction(0))
                exposed[order.symbol] = held + _exact(order.quantity)
        values = {s: abs(self._value(s, quantity)) for s, quantity in exposed.items()}
        equity = self.equity()
        asset_limit = _exact(self.terms.max_asset_fraction) * equity
        gross_limit = _exact(self.terms.max_leverage) * equity
        return (
            values[symbol] > asset_limit
            or sum(values.values()) > gross_limit
            or self._sector(symbol, values) > _exact(self.terms.max_sector_fraction) * equity
        )

    def _sector(self, symbol: str, values: dict[str, Fraction]) -> Fraction:
        sectors = self.terms.sectors
        if not sectors:
            return Fraction(0)
        mine = (v for s, v in values.items() if sectors.get(s) == sectors.get(symbol))
        return sum(mine, Fraction(0))

    def equity(self) -> Fraction:
        """Return cash plus positions at their last prices."""
        return self.cash + sum(self._value(s, quantity) for s, quantity in self.held.items())

    def _value(self, symbol: str, quantity: Fraction) -> Fraction:
        return quantity * self.prices.get(symbol, Fraction(0))


def broken_limits(account: SeenAccount, symbol: str, action: str) -> tuple[str, ...]:
    """Name the limits that an account is beyond behind an approved order of its bar.

    An order is published with the account that it led to, so what it widened must be within the
    limits there. What a price alone has moved is no breach: of an order that takes a position back
    only a short sale is asked. Buys and sells that are open in one symbol at once are seen netted,
    which can hide a breach and never makes one.

    Parameters
    ----------
    account
        As published after the bar.
    symbol, action
        Of the order.
    """
    held = {h.symbol: _exact(h.quantity) for h in account.holdings}
    after = {h.symbol: held[h.symbol] + _exact(h.open_quantity) for h in account.holdings}
    broken = []
    is_short = after.get(symbol, Fraction(0)) < 0
    if action == "SELL" and is_short and not account.limits["allow_short"]:
        broken.append("SHORT_SALE")
    before = held.get(symbol, Fraction(0))
    if before >= 0 if action == "BUY" else before <= 0:
        broken.extend(_exceeded(account, symbol, held, after))
    return tuple(broken)


def _exceeded(
    account: SeenAccount, symbol: str, held: dict[str, Fraction], after: dict[str, Fraction]
) -> Iterable[str]:
    values = {
        h.symbol: max(abs(held[h.symbol]), abs(after[h.symbol])) * Fraction(h.price)
        for h in account.holdings
    }
    sectors = {h.symbol: h.sector for h in account.holdings}
    mine = sum((v for s, v in values.items() if sectors[s] == sectors.get(symbol)), Fraction(0))
    gross = sum(values.values(), Fraction(0))
    equity, day_open = (
        max(Fraction(text), Fraction(0)) for text in (account.equity, account.day_open_equity)
    )
    for name, value, capital in (
        ("max_asset_fraction", values.get(symbol, Fraction(0)), equity),
        ("max_sector_fraction", mine, equity),
        ("max_leverage", gross, equity),
        ("max_gross_fraction", gross, day_open),
    ):
        if value > _exact(account.limits[name], decimals=9) * capital:
            yield name.upper()


def _exact(value: float, decimals: int = 8) -> Fraction:
    """Return the decimal number that was printed: quantities count in 1e-8, limits in 1e-9."""
    return Fraction(round(Fraction(repr(value)) * 10**decimals), 10**decimals)
