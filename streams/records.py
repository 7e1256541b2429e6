"""Records of the edges, in flow order: JSON, one event each, because other programs live there.

Every record that comes from outside has a ``check``: it returns nothing and raises
:class:`~streams.errors.RecordError` with a reason code, the field, its value and what was expected.
Unknown fields are ignored, so that a newer producer can talk to an older stack.
"""

from typing import Annotated, Literal, TypeVar

import msgspec

from streams.errors import RecordError
from streams.timestamps import LATEST_NS

Read = TypeVar("Read")
Number = float | int

# No instrument trades above this; a larger number is a unit error, and prices of 1e-8 fit int64.
# Below 1e-8 a price would round to nothing in the ledger.
SMALLEST_PRICE = 1e-8
LARGEST_PRICE = 1e10
LARGEST_SIZE = 1e15
LONGEST_SYMBOL = 64

# Ids are remembered to find duplicates, so their length bounds the state.
LONGEST_ID = 64
_LARGEST_INT = 2**63 - 1

TICK_VERSION = 1


def read_json(decoder: msgspec.json.Decoder[Read], raw: bytes) -> Read:
    """Decode foreign JSON.

    Raises
    ------
    RecordError
        ``WRONG_TYPE`` if it is JSON of another shape, ``NOT_JSON`` if it is none, is nested beyond
        reason or holds text that is no UTF-8.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise RecordError("WRONG_TYPE", str(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError("NOT_JSON", str(error)) from error


class Tick(msgspec.Struct, frozen=True, omit_defaults=True):
    """A market event on ``market-ticks``, key = symbol.

    ``ts_event`` is RFC 3339 text or integer nanoseconds. Prices are in the instrument's currency,
    sizes in its units. A bar's ``ts_event`` is its close.
    """

    symbol: str
    ts_event: str | int
    type: Literal["trade", "quote", "bar"] = "trade"
    price: Number | None = None
    size: Number | None = None
    side: str | None = None
    venue: str = ""
    trade_id: str | int | None = None
    seq: int | None = None
    bid: Number | None = None
    ask: Number | None = None
    bid_size: Number | None = None
    ask_size: Number | None = None
    timeframe: str | None = None
    open: Number | None = None
    high: Number | None = None
    low: Number | None = None
    close: Number | None = None
    volume: Number | None = None
    version: int = TICK_VERSION

    def check(self) -> None:
        """Refuse what cannot be a market event."""
        if self.version != TICK_VERSION:
            raise RecordError(
                "UNKNOWN_VERSION", f"version was {self.version}; expected {TICK_VERSION}"
            )
        if not 0 < len(self.symbol) <= LONGEST_SYMBOL:
            raise RecordError(
                "BAD_SYMBOL",
                f"symbol has {len(self.symbol)} characters; expected 1..{LONGEST_SYMBOL}",
            )
        # Twenty thousand ticks a second come by here: a call for what is not there counts.
        if self.venue:
            _id("venue", self.venue)
        if self.trade_id is not None:
            _id("trade_id", self.trade_id)
        if self.seq:
            _id("seq", self.seq)
        _CHECKS[self.type](self)


def _id(name: str, value: str | int) -> None:
    if isinstance(value, str):
        if len(value) > LONGEST_ID:
            raise RecordError(
                "BAD_ID", f"{name} has {len(value)} characters; expected at most {LONGEST_ID}"
            )
    elif abs(value) > _LARGEST_INT:
        raise RecordError("BAD_ID", f"{name} was {value}; expected a number of 64 bits")


def _price(name: str, value: Number | None) -> None:
    if value is None:
        raise RecordError("MISSING_FIELD", f"{name} is missing; expected a price")
    if not SMALLEST_PRICE <= value <= LARGEST_PRICE:
        raise RecordError("BAD_PRICE", f"{name} was {value!r}; expected 1e-8 <= {name} <= 1e10")


def _size(name: str, value: Number | None) -> None:
    if value is not None and not 0 <= value <= LARGEST_SIZE:
        raise RecordError("BAD_SIZE", f"{name} was {value!r}; expected 0 <= {name} <= 1e15")


def _check_trade(tick: Tick) -> None:
    price, size = tick.price, 0 if tick.size is None else tick.size
    if price is None or not (
        SMALLEST_PRICE <= price <= LARGEST_PRICE and 0 <= size <= LARGEST_SIZE
    ):
        _price("price", price)
        _size("size", size)


def _check_quote(tick: Tick) -> None:
    _price("bid", tick.bid)
    _price("ask", tick.ask)
    _size("bid_size", tick.bid_size)
    _size("ask_size", tick.ask_size)


def _check_bar(tick: Tick) -> None:
    _price("open", tick.open)
    _price("high", tick.high)
    _price("low", tick.low)
    _price("close", tick.close)
    _size("volume", tick.volume)
    low, high = tick.low or 0.0, tick.high or 0.0
    if not (low <= (tick.open or 0.0) <= high and low <= (tick.close or 0.0) <= high):
        raise RecordError(
            "BAD_BAR",
            f"open {tick.open} and close {tick.close} are outside low {low} .. high {high}",
        )


_CHECKS = {"trade": _check_trade, "quote": _check_quote, "bar": _check_bar}


# Clock records are remembered in 64 bits.
_Count = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST_INT)]
_TimeNs = Annotated[int, msgspec.Meta(ge=0, le=LATEST_NS)]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """Time itself: written by the one clock into every partition of ``market-ticks``.

    ``n`` counts the clock's heartbeats without a gap; ``ts_event_ns`` is the time that has come.
    """

    clock_id: str
    n: _Count
    ts_event_ns: _TimeNs


class EpochNotice(msgspec.Struct, frozen=True, kw_only=True, tag="epoch"):
    """Announces the epoch that decides from the first close after ``from_close_ns`` on."""

    clock_id: str
    epoch: _Count
    digest: str
    from_close_ns: _TimeNs


ClockRecord = Heartbeat | EpochNotice


class RegimeProbs(msgspec.Struct, frozen=True):
    """Filtered regime probabilities; they sum to 1 within 1e-9."""

    bull: float
    bear: float
    sideways: float


class StrategyWeights(msgspec.Struct, frozen=True):
    """Weights of the specialists on the simplex."""

    bull_specialist: float
    bear_specialist: float
    sideways_specialist: float


class RiskChecks(msgspec.Struct, frozen=True):
    """The verdicts by family of control."""

    position_limit_ok: bool
    concentration_ok: bool
    correlation_ok: bool


class Rejection(msgspec.Struct, frozen=True):
    """Why an order was refused: the control, its limit and the value that broke it."""

    code: str
    message: str
    limit: float | None = None
    actual: float | None = None


class Digests(msgspec.Struct, frozen=True):
    """What decided, by digest or name."""

    schema: str
    feature_pipeline: str
    models: str
    limits: str
    universe: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision on ``trading-decisions``, key = portfolio; refusals and HOLD are decisions too.

    The value holds only what the fold knows, so the same input gives the same bytes;
    ``decision_id`` names the slot (portfolio, timeframe, bar close, symbol) and
    ``timestamp`` is the bar's close. A decision about an intent has its ``intent_id`` and the
    account's time. That of an order follows from no bar, so it has no features, and equal
    probabilities; that of a target has what its bar said.
    """

    event_type: Literal["trading_decision"] = "trading_decision"
    timestamp: str
    decision_id: str
    portfolio: str
    symbol: str
    timeframe: str
    action: Literal["BUY", "SELL", "HOLD"]
    quantity: float
    price: float
    confidence: float
    approved: bool
    allowed_quantity: float
    rejection_reasons: list[Rejection]
    regime_probs: RegimeProbs
    entropy_bits: float
    strategy_weights: StrategyWeights
    target_fraction: float
    features: dict[str, float]
    risk_checks: RiskChecks
    note: str
    epoch: int
    digests: Digests
    intent_id: str = ""


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """A fill, or the end of an order, on ``executions``, key = portfolio.

    What an external venue said is a fill (a partial one, too) or the end of an order;
    ``venue_kind`` has the venue's word. A correction is two fills: what it takes back, and what is
    right.
    """

    event_type: Literal["execution"] = "execution"
    execution_id: str
    decision_id: str
    portfolio: str
    symbol: str
    kind: Literal["fill", "expire"]
    side: Literal["BUY", "SELL"]
    quantity: float
    price: float
    fee: float
    currency: str
    ts_event: str
    venue: str
    venue_kind: str = ""
    venue_execution_id: str = ""


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A position in a portfolio snapshot; money is exact decimal text."""

    symbol: str
    quantity: float
    open_quantity: float
    price: str
    notional: str
    equity_fraction: float
    cost: str = "0"
    unrealised: str = "0"
    sector: str = ""
    parity_weight: float = 0.0


class AccountRisk(msgspec.Struct, frozen=True, kw_only=True):
    """What the controls see of an account; fractions of equity, open orders counted as filled.

    ``var_fraction`` is the larger of the historical and the normal value at risk over one day at
    95 %, from ``var_bars`` returns. ``switches`` are the kill switches that are not ACTIVE.
    """

    state: Literal["ACTIVE", "REDUCING", "HALTED"]
    switches: dict[str, str]
    day_open_equity: str
    peak_equity: str
    daily_loss_fraction: float
    drawdown_fraction: float
    leverage: float
    net_fraction: float
    concentration: float
    sectors: dict[str, float]
    var_fraction: float
    var_historical_fraction: float
    var_normal_fraction: float
    var_bars: int
    open_orders: int
    orders_today: int
    limits: dict[str, float | int | bool | list[str]]


class PortfolioSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The account after a bar, on ``portfolio-snapshots``, key = portfolio; money is exact text.

    ``venue`` says where its orders go, ``paper`` or ``external``; empty in snapshots of before.
    """

    event_type: Literal["portfolio_snapshot"] = "portfolio_snapshot"
    timestamp: str
    portfolio: str
    currency: str
    cash: str
    equity: str
    gross: str
    realised: str
    fees: str
    holdings: list[Holding]
    unrealised: str = "0"
    risk: AccountRisk | None = None
    venue: str = ""
