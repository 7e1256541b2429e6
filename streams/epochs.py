"""The epoch: everything that decides, under one number and one digest.

Timeframe, lateness, universe, portfolios, limits, partition count and models change only from one
bar to the next, announced in-band by the clock. A slice names its epoch; whoever uses the slice
uses that epoch's document or stops.
"""

import math
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Literal

import msgspec

from streams.errors import SettingsError
from streams.partitions import symbols_of
from streams.slices import MAX_ROWS
from streams.timestamps import TIMEFRAMES_NS

# Money is counted in units of 1e-16 of a currency: price (1e-8) times lot size (1e-8), exactly.
SCALE_E8 = 10**8
SCALE_E16 = 10**16

# Beyond any number that could be meant, and small enough that an integer of it is quickly made.
_LARGEST_AMOUNT = 10**15
_DECIMALS = -16
_LARGEST_FRACTION = 100
_LARGEST_BPS = 10_000
_LONGEST_ID = 64
_LARGEST_COUNT = 10**12
_MOST_RESTRICTED = 1_000
_MINUTE_MS = 60_000

_SUM_TOLERANCE = 1e-6
_TINY = math.ulp(0.0)

AROUND_THE_CLOCK = "24/7"

# Least and most of every limit that is a number.
LIMIT_BOUNDS: dict[str, tuple[float, float]] = {
    "max_asset_fraction": (_TINY, _LARGEST_FRACTION),
    "max_leverage": (_TINY, _LARGEST_FRACTION),
    "max_correlation": (_TINY, 1),
    "correlation_bars": (2, 10_000),
    "min_trade_fraction": (0, 1),
    "max_sector_fraction": (_TINY, _LARGEST_FRACTION),
    "max_gross_fraction": (_TINY, _LARGEST_FRACTION),
    "max_net_fraction": (_TINY, _LARGEST_FRACTION),
    "max_order_fraction": (_TINY, _LARGEST_FRACTION),
    "max_order_lots": (1, _LARGEST_COUNT),
    "price_collar_fraction": (_TINY, 1),
    "stale_bars": (1, 10_000),
    "max_orders_per_second": (1, _LARGEST_COUNT),
    "max_orders_per_day": (1, _LARGEST_COUNT),
    "max_repeats_per_minute": (1, _LARGEST_COUNT),
    "duplicate_window_ms": (0, _MINUTE_MS),
    "max_var_fraction": (_TINY, _LARGEST_FRACTION),
    "var_bars": (2, 10_000),
    "var_min_bars": (0, 10_000),
    "max_daily_loss_fraction": (_TINY, 1),
    "max_bad_input_fraction": (0, 1),
}


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be traded; ``lot_size`` is a decimal text in units of the instrument.

    ``calendar`` is a name of exchange_calendars, such as XNYS; its sessions are kept with the
    epoch.
    """

    id: str
    sector: str = "Unclassified"
    currency: str = "USD"
    lot_size: str = "1"
    calendar: str = AROUND_THE_CLOCK
    shortable: bool = False

    def lot_size_e8(self) -> int:
        """Return the lot size in units of 1e-8 of the instrument."""
        lot_size_e8 = _scaled(self.lot_size, SCALE_E8)
        if lot_size_e8 is None:
            raise SettingsError(
                f"instruments.{self.id}.lot_size was {self.lot_size!r}; "
                "expected a positive number with at most 8 decimals"
            )
        return lot_size_e8


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one portfolio; fractions are of its equity.

    Gross and net exposure are fractions of the equity at the start of the day.
    """

    max_asset_fraction: float = 0.25
    max_leverage: float = 1.5
    max_correlation: float = 0.8
    correlation_bars: int = 60
    min_trade_fraction: float = 0.005
    max_sector_fraction: float = 0.5
    max_gross_fraction: float = 1.5
    max_net_fraction: float = 1.0
    max_order_fraction: float = 0.1
    max_order_lots: int = 1_000_000
    price_collar_fraction: float = 0.1
    stale_bars: int = 3
    max_orders_per_second: int = 100
    max_orders_per_day: int = 10_000
    max_repeats_per_minute: int = 10
    duplicate_window_ms: int = 1_000
    max_var_fraction: float = 0.02
    var_bars: int = 250
    var_min_bars: int = 60
    max_daily_loss_fraction: float = 0.02
    max_bad_input_fraction: float = 0.01
    allow_short: bool = False
    restricted: tuple[str, ...] = ()

    def check(self, where: str) -> None:
        """Refuse limits out of their bounds.

        Raises
        ------
        SettingsError
            With ``where`` before the key, its value and what was expected.
        """
        for name, (least, most) in LIMIT_BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise SettingsError(f"{where}{name} was {value}; expected {_bounds(least, most)}")
        # Every snapshot of the account names all of them.
        if len(self.restricted) > _MOST_RESTRICTED:
            raise SettingsError(
                f"{where}restricted has {len(self.restricted)} symbols; "
                f"expected at most {_MOST_RESTRICTED}"
            )
        _check_ids(f"{where}restricted", list(self.restricted))
        # The window of returns that is kept has var_bars.
        for name in ("var_min_bars", "correlation_bars"):
            if getattr(self, name) > self.var_bars:
                raise SettingsError(
                    f"{where}{name} was {getattr(self, name)}; "
                    f"expected at most var_bars, {self.var_bars}"
                )


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a paper fill costs, in basis points of its notional."""

    slippage_bps: float = 1.0
    fee_bps: float = 0.5


class Portfolio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account that decides, and trades on paper or by the executions of an external venue.

    ``risk_parity`` are weights by symbol, summing to one, that spread the targets; empty for none.
    With ``sizing`` risk_parity, who makes an epoch fills them in from the models' history.
    """

    id: str
    currency: str = "USD"
    cash: str = "1000000"
    venue: Literal["paper", "external"] = "paper"
    universe: tuple[str, ...] = ()
    on_breach: Literal["refuse", "reduce"] = "refuse"
    sizing: Literal["risk_parity", "plain"] = "risk_parity"
    risk_parity: dict[str, float] = {}
    limits: Limits = Limits()
    costs: Costs = Costs()
    order_expiry_bars: int = 5

    def cash_e16(self) -> int:
        """Return the cash at the start in units of 1e-16 of the currency."""
        cash_e16 = _scaled(self.cash, SCALE_E16)
        if cash_e16 is None:
            raise SettingsError(
                f"portfolios.{self.id}.cash was {self.cash!r}; "
                "expected a positive number with at most 16 decimals"
            )
        return cash_e16


class Challenge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Models that run beside the epoch's, and decide for a share of the portfolios' symbols.

    ``id`` is the rollout's, ``challenger`` the digest of the model set. A share of 0 is shadow; at
    1 the challenger decides alone, and the epoch's models go on wishing beside it.
    """

    id: str
    challenger: str
    share: float = 0.0


class Epoch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The document of an epoch; its digest is its identity.

    ``calendars`` gives the digest of the sessions of each calendar that an instrument names.
    ``rollout`` is there while a rollout runs.
    """

    timeframe: str
    n_partitions: int
    clock_id: str
    lateness_ms: int
    max_ahead_ms: int
    venue_latency_ms: int
    instruments: tuple[Instrument, ...]
    portfolios: tuple[Portfolio, ...]
    models: str
    pipeline_version: str
    pipeline_digest: str
    calendars: dict[str, str] = {}
    rollout: Challenge | None = None

    @property
    def timeframe_ns(self) -> int:
        """Length of a bar in nanoseconds."""
        return TIMEFRAMES_NS[self.timeframe]

    def symbols(self) -> tuple[str, ...]:
        """Return the universe in symbol order."""
        return tuple(sorted(instrument.id for instrument in self.instruments))

    def chunks(self, partition: int) -> tuple[tuple[str, ...], ...]:
        """Return the symbols of a partition, cut into chunks of at most 512; at least one chunk."""
        symbols = symbols_of(partition, self.symbols(), self.n_partitions)
        cuts = range(0, len(symbols), MAX_ROWS)
        return tuple(symbols[start : start + MAX_ROWS] for start in cuts) or ((),)

    def layout(self) -> tuple[object, ...]:
        """Return what must not change while partitions hold state.

        That is the grid, the universe with its lots, and all of a portfolio that its account's
        state is shaped by; limits, costs, models and their rollout may change.
        """
        return (
            self.timeframe,
            self.n_partitions,
            self.clock_id,
            self.lateness_ms,
            self.max_ahead_ms,
            self.venue_latency_ms,
            self.pipeline_digest,
            tuple(sorted((i.id, i.currency, i.lot_size_e8()) for i in self.instruments)),
            tuple(
                (
                    p.id,
                    p.currency,
                    p.venue,
                    tuple(sorted(p.universe)),
                    p.limits.correlation_bars,
                    p.limits.var_bars,
                )
                for p in sorted(self.portfolios, key=lambda p: p.id)
            ),
        )

    def model_sets(self) -> tuple[str, ...]:
        """Return the digests of all models that may decide, those of the epoch first."""
        if self.rollout is None or not self.rollout.share:
            return (self.models,)
        return (self.models, self.rollout.challenger)

    def document(self) -> dict[str, object]:
        """Return the document as plain JSON values; without a rollout it does not name any."""
        plain: dict[str, object] = msgspec.to_builtins(self)
        if self.rollout is None:
            del plain["rollout"]
        return plain

    def check(self) -> None:
        """Refuse an epoch that names what it does not define.

        Raises
        ------
        SettingsError
            With the setting, its value and what was expected.
        """
        if self.timeframe not in TIMEFRAMES_NS:
            raise SettingsError(
                f"timeframe was {self.timeframe!r}; expected one of {', '.join(TIMEFRAMES_NS)}"
            )
        if self.n_partitions < 1:
            raise SettingsError(f"n_partitions was {self.n_partitions}; expected at least 1")
        for name in ("lateness_ms", "max_ahead_ms", "venue_latency_ms"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} was {getattr(self, name)}; expected 0 or more")
        _check_ids("instruments", [instrument.id for instrument in self.instruments])
        _check_ids("portfolios", [portfolio.id for portfolio in self.portfolios])
        known = {instrument.id: instrument for instrument in self.instruments}
        for instrument in self.instruments:
            instrument.lot_size_e8()
            if instrument.calendar not in {AROUND_THE_CLOCK, *self.calendars}:
                raise SettingsError(
                    f"instruments.{instrument.id}.calendar was {instrument.calendar!r}; expected "
                    f"one of {', '.join((AROUND_THE_CLOCK, *sorted(self.calendars)))}"
                )
        for portfolio in self.portfolios:
            _check_universe(portfolio, known)
            _check_numbers(portfolio)
        _check_challenge(self.rollout, self.models)


def _check_challenge(rollout: Challenge | None, models: str) -> None:
    if rollout is None:
        return
    _check_ids("rollout.id", [rollout.id])
    if rollout.challenger == models:
        raise SettingsError(
            f"rollout.challenger was {models[:12]}, the models of the epoch; expected others"
        )
    if not 0.0 <= rollout.share <= 1.0:
        raise SettingsError(f"rollout.share was {rollout.share}; expected 0 to 1")


def _scaled(text: str, scale: int) -> int | None:
    """Return a positive decimal text as an integer of 1/scale, None if it is no such number."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    # The exponent is looked at first: an exact 1e-999999999 would take all memory.
    if not number.is_finite() or not 0 < number < _LARGEST_AMOUNT or number.adjusted() < _DECIMALS:
        return None
    scaled = Fraction(number) * scale
    return int(scaled) if scaled.denominator == 1 else None


def _check_ids(table: str, ids: list[str]) -> None:
    """Refuse ids that are no keys: repeated, empty, endless or with unprintable characters."""
    if len(set(ids)) != len(ids):
        raise SettingsError(f"{table} are listed twice; expected each id once")
    for name in ids:
        if not 0 < len(name) <= _LONGEST_ID or not name.isprintable():
            raise SettingsError(
                f"{table} has the id {name[:_LONGEST_ID]!r}; "
                f"expected 1..{_LONGEST_ID} printable characters"
            )


def _check_universe(portfolio: Portfolio, known: dict[str, Instrument]) -> None:
    if len(set(portfolio.universe)) != len(portfolio.universe):
        raise SettingsError(f"portfolios.{portfolio.id}.universe names a symbol twice")
    for symbol in portfolio.universe or known:
        if symbol not in known:
            raise SettingsError(
                f"portfolios.{portfolio.id}.universe names {symbol!r}; expected an instrument"
            )
        if known[symbol].currency != portfolio.currency:
            raise SettingsError(
                f"CURRENCY_MISMATCH: portfolio {portfolio.id} is in {portfolio.currency}, "
                f"{symbol} in {known[symbol].currency}"
            )


def _check_numbers(portfolio: Portfolio) -> None:
    portfolio.cash_e16()
    where = f"portfolios.{portfolio.id}."
    portfolio.limits.check(f"{where}limits.")
    costs, weights = portfolio.costs, portfolio.risk_parity
    for name, value, least, most in (
        ("costs.slippage_bps", costs.slippage_bps, 0, _LARGEST_BPS),
        ("costs.fee_bps", costs.fee_bps, 0, _LARGEST_BPS),
        ("order_expiry_bars", portfolio.order_expiry_bars, 1, 10_000),
    ):
        if not least <= value <= most:
            raise SettingsError(f"{where}{name} was {value}; expected {_bounds(least, most)}")
    if weights and not (
        all(weight >= 0 for weight in weights.values())
        and abs(math.fsum(weights.values()) - 1.0) <= _SUM_TOLERANCE
    ):
        raise SettingsError(f"{where}risk_parity was {weights}; expected weights that sum to 1")


def _bounds(least: float, most: float) -> str:
    return f"{'more than 0' if least == _TINY else least} to {most}"
