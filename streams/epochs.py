"""The epoch: everything that decides, under one number and one digest.

Timeframe, lateness, universe, portfolios, limits, partition count and models change only from one
bar to the next, announced in-band by the clock. A slice names its epoch; whoever uses the slice
uses that epoch's document or stops.
"""

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


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """What can be traded; ``lot_size`` is a decimal text in units of the instrument."""

    id: str
    sector: str = "Unclassified"
    currency: str = "USD"
    lot_size: str = "1"

    def lot_size_e8(self) -> int:
        """Return the lot size in units of 1e-8 of the instrument."""
        try:
            scaled = Fraction(Decimal(self.lot_size)) * SCALE_E8
        except (InvalidOperation, ValueError, OverflowError):
            scaled = Fraction(0)
        if scaled.denominator != 1 or scaled <= 0:
            raise SettingsError(
                f"instruments.{self.id}.lot_size was {self.lot_size!r}; "
                "expected a positive number with at most 8 decimals"
            )
        return int(scaled)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one portfolio; fractions are of its equity."""

    max_asset_fraction: float = 0.25
    max_leverage: float = 1.5
    max_correlation: float = 0.8
    correlation_bars: int = 60
    min_trade_fraction: float = 0.005


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What a paper fill costs, in basis points of its notional."""

    slippage_bps: float = 1.0
    fee_bps: float = 0.5


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """An account that decides and trades on paper."""

    id: str
    currency: str = "USD"
    cash: str = "1000000"
    venue: Literal["paper"] = "paper"
    universe: tuple[str, ...] = ()
    limits: Limits = Limits()
    costs: Costs = Costs()
    order_expiry_bars: int = 5


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """The document of an epoch; its digest is its identity."""

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
        """Return what must not change while partitions hold state: the grid and the universe."""
        return (
            self.timeframe,
            self.n_partitions,
            self.clock_id,
            self.lateness_ms,
            self.max_ahead_ms,
            self.venue_latency_ms,
            self.symbols(),
            self.pipeline_digest,
        )

    def document(self) -> dict[str, object]:
        """Return the document as plain JSON values."""
        plain: dict[str, object] = msgspec.to_builtins(self)
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
        known = {instrument.id: instrument for instrument in self.instruments}
        if len(known) != len(self.instruments):
            raise SettingsError("instruments are listed twice; expected each id once")
        for instrument in self.instruments:
            instrument.lot_size_e8()
        for portfolio in self.portfolios:
            _check_portfolio(portfolio, known)


def _check_portfolio(portfolio: Portfolio, known: dict[str, Instrument]) -> None:
    for symbol in portfolio.universe:
        if symbol not in known:
            raise SettingsError(
                f"portfolios.{portfolio.id}.universe names {symbol!r}; expected an instrument"
            )
        if known[symbol].currency != portfolio.currency:
            raise SettingsError(
                f"CURRENCY_MISMATCH: portfolio {portfolio.id} is in {portfolio.currency}, "
                f"{symbol} in {known[symbol].currency}"
            )
    limits = portfolio.limits
    for name in ("max_asset_fraction", "max_leverage", "max_correlation"):
        value = getattr(limits, name)
        if not 0 < value < 100:  # noqa: PLR2004  beyond any limit that could be meant
            raise SettingsError(
                f"portfolios.{portfolio.id}.limits.{name} was {value}; expected more than 0"
            )
