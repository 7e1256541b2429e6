"""The wire form of what risk decided: decisions, executions and the account after a bar."""

import math
from typing import NamedTuple

from models.execution.fills import price_of
from models.portfolio.ledger import MONEY_SCALE, PRICE_SCALE
from models.risk.decide import AccountState, Executed, Verdict
from streams.epochs import SCALE_E8, Portfolio
from streams.ids import decision_id, execution_id
from streams.records import (
    Decision,
    Digests,
    Execution,
    Holding,
    PortfolioSnapshot,
    RegimeProbs,
    Rejection,
    RiskChecks,
    StrategyWeights,
)
from streams.timestamps import format_ns

CONTRACT = "decision-v1"

_POSITION = frozenset({"MAX_ASSET_FRACTION"})
_CONCENTRATION = frozenset({"MAX_ASSET_FRACTION", "MAX_LEVERAGE"})
_CORRELATION = frozenset({"MAX_CORRELATION", "CORRELATION_WARMUP"})
_THIRD = 1.0 / 3.0


class Slot(NamedTuple):
    """What all decisions of one portfolio and bar share."""

    portfolio: Portfolio
    timeframe: str
    close_ns: int
    epoch: int
    digests: Digests
    lot_sizes: dict[str, int]

    def quantity(self, symbol: str, lots: int) -> int | float:
        """Return lots as units of the instrument: whole where they are, else with 8 decimals."""
        units_e8 = lots * self.lot_sizes[symbol]
        whole, rest = divmod(units_e8, SCALE_E8)
        return units_e8 / SCALE_E8 if rest else whole


class Reasons(NamedTuple):
    """What the stages before risk said about a row: plain floats, in the columns' order."""

    names: tuple[str, ...]
    features: list[float]
    regime: list[float]
    weights: list[float]


def decision_event(slot: Slot, verdict: Verdict, reasons: Reasons) -> Decision:
    """Return the decision event of one row; features that still warm up (NaN) are left out."""
    row = verdict.row
    codes = {breach.code for breach in verdict.breaches}
    is_warm = not verdict.note
    bull, bear, sideways, entropy_bits = reasons.regime
    return Decision(
        timestamp=format_ns(slot.close_ns),
        decision_id=decision_id(slot.portfolio.id, slot.timeframe, slot.close_ns, row.symbol),
        portfolio=slot.portfolio.id,
        symbol=row.symbol,
        timeframe=slot.timeframe,
        action="BUY" if verdict.lots > 0 else "SELL" if verdict.lots < 0 else "HOLD",
        quantity=slot.quantity(row.symbol, abs(verdict.lots)),
        price=row.close,
        confidence=row.confidence if is_warm else 0.0,
        approved=verdict.approved,
        allowed_quantity=slot.quantity(row.symbol, verdict.allowed_lots),
        rejection_reasons=[
            Rejection(b.code, b.message, float(b.limit), _finite(b.actual))
            for b in verdict.breaches
        ],
        regime_probs=RegimeProbs(bull, bear, sideways),
        entropy_bits=entropy_bits,
        strategy_weights=StrategyWeights(*reasons.weights),
        target_fraction=row.target_fraction if is_warm else 0.0,
        features={
            n: v for n, v in zip(reasons.names, reasons.features, strict=True) if math.isfinite(v)
        },
        risk_checks=RiskChecks(
            position_limit_ok=codes.isdisjoint(_POSITION),
            concentration_ok=codes.isdisjoint(_CONCENTRATION),
            correlation_ok=codes.isdisjoint(_CORRELATION),
        ),
        note=verdict.note,
        epoch=slot.epoch,
        digests=slot.digests,
    )


def _finite(value: float) -> float | None:
    """Return a value as JSON can say it: a share of no equity is none."""
    return float(value) if math.isfinite(value) else None


def void_event(slot: Slot, symbol: str, reason: str) -> Decision:
    """Return the refused decision of a symbol whose slice could not be used."""
    return Decision(
        timestamp=format_ns(slot.close_ns),
        decision_id=decision_id(slot.portfolio.id, slot.timeframe, slot.close_ns, symbol),
        portfolio=slot.portfolio.id,
        symbol=symbol,
        timeframe=slot.timeframe,
        action="HOLD",
        quantity=0,
        price=0.0,
        confidence=0.0,
        approved=False,
        allowed_quantity=0,
        rejection_reasons=[Rejection("INPUT_VOID", f"the slice could not be used: {reason}")],
        regime_probs=RegimeProbs(_THIRD, _THIRD, _THIRD),
        entropy_bits=math.log2(3),
        strategy_weights=StrategyWeights(_THIRD, _THIRD, _THIRD),
        target_fraction=0.0,
        features={},
        risk_checks=RiskChecks(
            position_limit_ok=False, concentration_ok=False, correlation_ok=False
        ),
        note="INPUT_VOID",
        epoch=slot.epoch,
        digests=slot.digests,
    )


def execution_event(slot: Slot, executed: Executed) -> Execution:
    """Return the event of a paper fill or of an order that expired unfilled."""
    order, fill = executed
    of = decision_id(slot.portfolio.id, slot.timeframe, order.placed_close_ns, order.symbol)
    kind = "expire" if fill is None else "fill"
    return Execution(
        execution_id=execution_id(of, kind, slot.close_ns),
        decision_id=of,
        portfolio=slot.portfolio.id,
        symbol=order.symbol,
        kind="expire" if fill is None else "fill",
        side="BUY" if order.lots > 0 else "SELL",
        quantity=slot.quantity(order.symbol, abs(order.lots)),
        price=0.0 if fill is None else price_of(fill),
        fee=0.0 if fill is None else fill.fee / MONEY_SCALE,
        currency=slot.portfolio.currency,
        ts_event=format_ns(slot.close_ns),
        venue=slot.portfolio.venue,
    )


def snapshot_event(slot: Slot, state: AccountState) -> PortfolioSnapshot:
    """Return the account after a bar; flat symbols without open orders are left out."""
    book, reservations = state.book, state.reservations
    equity = book.equity()
    holdings = [
        Holding(
            symbol=symbol,
            quantity=slot.quantity(symbol, position.lots),
            open_quantity=slot.quantity(symbol, reservations.lots(symbol)),
            price=money_text(position.price_e8 * PRICE_SCALE),
            notional=money_text(book.notional(symbol, position.lots)),
            equity_fraction=book.notional(symbol, position.lots) / equity if equity > 0 else 0.0,
        )
        for symbol, position in sorted(book.positions.items())
        if position.lots or reservations.lots(symbol)
    ]
    return PortfolioSnapshot(
        timestamp=format_ns(slot.close_ns),
        portfolio=slot.portfolio.id,
        currency=slot.portfolio.currency,
        cash=money_text(book.cash),
        equity=money_text(equity),
        gross=money_text(book.gross()),
        realised=money_text(book.realised),
        fees=money_text(book.fees),
        holdings=holdings,
    )


def money_text(money: int) -> str:
    """Return money (1e-16 units) as exact decimal text.

    Examples
    --------
    >>> money_text(-12_500_000_000_000_000)
    '-1.25'
    """
    whole, rest = divmod(abs(money), MONEY_SCALE)
    sign = "-" if money < 0 else ""
    decimals = f"{rest:016d}".rstrip("0")
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"
