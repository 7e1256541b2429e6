"""The wire form of what risk decided: decisions, executions and the account after a bar."""

import math
from typing import Literal, NamedTuple, cast

import msgspec

from models.execution.fills import price_of
from models.features.catalogue import NAMES
from models.portfolio.ledger import MONEY_SCALE, PRICE_SCALE
from models.risk.account import Account
from models.risk.controls import FAMILY_OF
from models.risk.decide import Executed, Outcome, Verdict
from models.risk.losses import AtRisk
from models.risk.switches import Switch
from streams.dead_letters import Headers
from streams.epochs import SCALE_E8, Portfolio
from streams.ids import decision_id, execution_id, venue_execution_id
from streams.instructions import OrderIntent, TargetIntent
from streams.records import (
    AccountRisk,
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
from streams.slices import Slice
from streams.timestamps import format_ns
from tables.instructions import Judged

CONTRACT = "decision-v1"

# A position that is too large is a concentration as well.
_CONCENTRATION = frozenset({"position", "concentration"})
_THIRD = 1.0 / 3.0
_NOTHING_OK = RiskChecks(position_limit_ok=False, concentration_ok=False, correlation_ok=False)
_ALL_OK = RiskChecks(position_limit_ok=True, concentration_ok=True, correlation_ok=True)

# All features of a row, by name. It becomes the bytes that a dict would, and is made in a tenth of
# the time; whoever reads a decision gets a dict.
_AllFeatures = msgspec.defstruct("_AllFeatures", [(name, float) for name in NAMES], frozen=True)


class Slot(NamedTuple):
    """What all decisions of one portfolio and bar share.

    ``challenged`` are the symbols for which the models ``challenger`` decide.
    """

    portfolio: Portfolio
    timeframe: str
    close_ns: int
    epoch: int
    digests: Digests
    lot_sizes: dict[str, int]
    challenger: str = ""
    challenged: frozenset[str] = frozenset()

    def digests_of(self, symbol: str) -> Digests:
        """Return the digests of a symbol's decision, with the models that decided for it."""
        if symbol not in self.challenged:
            return self.digests
        return msgspec.structs.replace(self.digests, models=self.challenger)

    def quantity(self, symbol: str, lots: int) -> int | float:
        """Return lots as units of the instrument: whole where they are, else with 8 decimals."""
        if lots == 0:
            return 0
        units_e8 = lots * self.lot_sizes[symbol]
        whole, rest = divmod(units_e8, SCALE_E8)
        return units_e8 / SCALE_E8 if rest else whole


class Told(NamedTuple):
    """What a book says about one bar or record, before it is bytes.

    Attributes
    ----------
    slot : Slot
    account : Account
        As it is behind the bar or record; it goes on changing.
    outcome : Outcome
    decisions : list of Decision
    headers : Headers
    slices : tuple of Slice
        Those of the bar, in order of partition and chunk; none if a record said it.
    """

    slot: Slot
    account: Account
    outcome: Outcome
    decisions: list[Decision]
    headers: Headers
    slices: tuple[Slice, ...] = ()


class Reasons(NamedTuple):
    """What the stages before risk said about a row: plain floats, in the columns' order."""

    features: list[float]
    regime: list[float]
    weights: list[float]


def decision_event(slot: Slot, verdict: Verdict, reasons: Reasons) -> Decision:
    """Return the decision event of one row; features that still warm up (NaN) are left out."""
    row = verdict.row
    is_warm = verdict.note != "WARMING_UP"
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
        rejection_reasons=_rejections(verdict),
        regime_probs=RegimeProbs(bull, bear, sideways),
        entropy_bits=entropy_bits,
        strategy_weights=StrategyWeights(*reasons.weights),
        target_fraction=row.target_fraction if is_warm else 0.0,
        features=_finite(reasons.features),
        risk_checks=_checks(verdict),
        note=verdict.note,
        epoch=slot.epoch,
        digests=slot.digests_of(row.symbol),
    )


def _finite(features: list[float]) -> dict[str, float]:
    # Of a row that is warm all are finite, and then their sum is, too.
    if math.isfinite(sum(features)):
        return cast(dict[str, float], _AllFeatures(*features))
    named = zip(NAMES, features, strict=True)
    return {name: value for name, value in named if math.isfinite(value)}


def intent_event(slot: Slot, judged: Judged) -> Decision:
    """Return the decision event of an intent under the id that follows from its key."""
    intent = judged.intent
    if isinstance(intent, OrderIntent):
        return _order_event(slot, intent, judged)
    event = decision_event(slot, judged.verdict, _reasons(intent))
    return msgspec.structs.replace(
        event, decision_id=judged.decision_id, intent_id=intent.intent_id
    )


def _reasons(intent: TargetIntent) -> Reasons:
    features = [math.nan if value is None else float(value) for value in intent.features]
    return Reasons(features, [*map(float, intent.regime)], [*map(float, intent.weights)])


def _order_event(slot: Slot, intent: OrderIntent, judged: Judged) -> Decision:
    """Return the event of an order that somebody wants; what no bar said is left empty or equal."""
    verdict = judged.verdict
    return Decision(
        timestamp=format_ns(slot.close_ns),
        decision_id=judged.decision_id,
        portfolio=slot.portfolio.id,
        symbol=intent.symbol,
        timeframe=slot.timeframe,
        action=intent.side,
        quantity=slot.quantity(intent.symbol, abs(verdict.lots)),
        price=verdict.row.close,
        confidence=0.0,
        approved=verdict.approved,
        allowed_quantity=slot.quantity(intent.symbol, verdict.allowed_lots),
        rejection_reasons=_rejections(verdict),
        regime_probs=RegimeProbs(_THIRD, _THIRD, _THIRD),
        entropy_bits=math.log2(3),
        strategy_weights=StrategyWeights(_THIRD, _THIRD, _THIRD),
        target_fraction=0.0,
        features={},
        risk_checks=_checks(verdict),
        note=verdict.note,
        epoch=slot.epoch,
        digests=slot.digests,
        intent_id=intent.intent_id,
    )


def _rejections(verdict: Verdict) -> list[Rejection]:
    if verdict.note == "NOT_CHECKED":
        return [Rejection("NOT_CHECKED", "risk was not asked, as the request said")]
    return [Rejection(b.code, b.message, float(b.limit), _said(b.actual)) for b in verdict.breaches]


def _checks(verdict: Verdict) -> RiskChecks:
    if verdict.note == "NOT_CHECKED":
        return _NOTHING_OK
    if not verdict.breaches:
        return _ALL_OK
    families = {FAMILY_OF[breach.code] for breach in verdict.breaches}
    return RiskChecks(
        position_limit_ok="position" not in families,
        concentration_ok=families.isdisjoint(_CONCENTRATION),
        correlation_ok="correlation" not in families,
    )


def _said(value: float) -> float | None:
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
        risk_checks=_NOTHING_OK,
        note="INPUT_VOID",
        epoch=slot.epoch,
        digests=slot.digests_of(symbol),
    )


def execution_event(slot: Slot, executed: Executed) -> Execution:
    """Return the event of a fill, or of an order that ended unfilled; its order names the decision.

    What a venue said is published under an id of its own, so that a correction's two parts differ.
    """
    order, fill = executed.order, executed.fill
    kind: Literal["fill", "expire"] = "expire" if fill is None else "fill"
    published = execution_id(order.order_id, kind, slot.close_ns)
    venue_id = executed.venue_id.removeprefix("execution:")
    if venue_id:
        part = "undone" if executed.is_undoing else ""
        published = venue_execution_id(slot.portfolio.id, venue_id, part)
    return Execution(
        execution_id=published,
        decision_id=order.order_id,
        portfolio=slot.portfolio.id,
        symbol=order.symbol,
        kind=kind,
        side="BUY" if executed.lots > 0 else "SELL",
        quantity=slot.quantity(order.symbol, abs(executed.lots)),
        price=0.0 if fill is None else price_of(fill),
        fee=0.0 if fill is None else fill.fee / MONEY_SCALE,
        currency=slot.portfolio.currency,
        ts_event=format_ns(slot.close_ns),
        venue=slot.portfolio.venue,
        venue_kind=executed.venue_kind,
        venue_execution_id=venue_id,
    )


def snapshot_event(slot: Slot, account: Account) -> PortfolioSnapshot:
    """Return the account after a bar; flat symbols without open orders are left out."""
    book, reservations = account.book, account.reservations
    holdings = [
        _holding(slot, account, symbol)
        for symbol, position in sorted(book.positions.items())
        if position.lots or reservations.buying(symbol) or reservations.selling(symbol)
    ]
    cost = sum(position.cost for position in book.positions.values())
    return PortfolioSnapshot(
        timestamp=format_ns(slot.close_ns),
        portfolio=slot.portfolio.id,
        currency=slot.portfolio.currency,
        cash=money_text(book.cash),
        equity=money_text(account.equity),
        gross=money_text(book.gross()),
        realised=money_text(book.realised),
        fees=money_text(book.fees),
        holdings=holdings,
        unrealised=money_text(account.exposure.held - cost),
        risk=_risk(account),
        venue=slot.portfolio.venue,
    )


def _holding(slot: Slot, account: Account, symbol: str) -> Holding:
    book, equity = account.book, account.equity
    position, value = book.position(symbol), book.notional(symbol, book.position(symbol).lots)
    return Holding(
        symbol=symbol,
        quantity=slot.quantity(symbol, position.lots),
        open_quantity=slot.quantity(symbol, account.reservations.lots(symbol)),
        price=money_text(position.price_e8 * PRICE_SCALE),
        notional=money_text(value),
        equity_fraction=value / equity if equity > 0 else 0.0,
        cost=money_text(position.cost),
        unrealised=money_text(value - position.cost),
        sector=account.exposure.sector(symbol),
        parity_weight=account.parity.get(symbol, 0.0),
    )


def _risk(account: Account) -> AccountRisk:
    """Return what the controls see; a share of no equity is told as 0."""
    kept, exposure, equity = account.kept, account.exposure, account.equity
    day, at_risk = kept.day, AtRisk(account)
    money = equity / MONEY_SCALE

    def of(part: float, whole: float) -> float:
        return part / whole if whole > 0 else 0.0

    widest = max((abs(stake.worst()) for stake in exposure.stakes.values()), default=0)
    limits = account.limits._asdict() | {"restricted": list(account.limits.restricted)}
    return AccountRisk(
        state=kept.switches.state(),
        switches={key: f"{s.state} by {s.actor}: {s.reason}" for key, s in _thrown(account)},
        day_open_equity=money_text(day.open_equity),
        peak_equity=money_text(day.peak_equity),
        daily_loss_fraction=of(day.open_equity - equity, day.open_equity),
        drawdown_fraction=of(day.peak_equity - equity, day.peak_equity),
        leverage=of(exposure.gross, equity),
        net_fraction=of(exposure.up, equity),
        concentration=of(widest, equity),
        sectors={name: of(s, equity) for name, s in sorted(exposure.by_sector.items()) if s},
        var_fraction=of(max(at_risk.historical, at_risk.normal), money),
        var_historical_fraction=of(at_risk.historical, money),
        var_normal_fraction=of(at_risk.normal, money),
        var_bars=at_risk.n_bars,
        open_orders=len(account.reservations.orders),
        orders_today=kept.flow.n_today,
        limits=limits,
    )


def _thrown(account: Account) -> list[tuple[str, Switch]]:
    return sorted(account.kept.switches.thrown.items())


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
