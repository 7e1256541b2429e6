"""Limits, rules and verdicts: what a control is given and what it may say."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from models.risk.sessions import Sessions


class RiskLimits(NamedTuple):
    """Limits of one portfolio; fractions are of equity, correlation in [0, 1], windows in bars.

    ``max_gross_fraction`` and ``max_net_fraction`` are of the equity at the start of the day, so
    that a day's unrealised gain is not lent on; all other fractions are of the equity now.
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


class AccountRules(NamedTuple):
    """What an epoch says about a portfolio.

    ``sectors`` and ``hours`` are by symbol: a symbol without a sector shares ``Unclassified`` with
    all others of its kind, one without hours trades around the clock. ``day`` are the sessions that
    the account's day follows, None for UTC days. ``parity`` are risk-parity weights by symbol, used
    by sizing; empty for none.
    """

    symbols: tuple[str, ...]
    limits: RiskLimits
    slippage_bps: float
    fee_bps: float
    order_expiry_bars: int
    sectors: Mapping[str, str] = {}
    shortable: frozenset[str] = frozenset()
    hours: Mapping[str, Sessions] = {}
    day: Sessions | None = None
    bar_ns: int = 60_000_000_000
    is_external: bool = False
    reduces_on_breach: bool = False
    parity: Mapping[str, float] = {}


class Order(NamedTuple):
    """An order to be checked: signed lots, never 0; ``price_e8`` 0 means at the market."""

    symbol: str
    lots: int
    price_e8: int = 0
    strategy: str = ""


class Finding(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What a control found: its limit, the value the order would reach, and its room in lots.

    Most findings are that there is room, and nobody reads their text. So it is kept as a form with
    the fields ``{limit}``, ``{actual}`` and ``{about}``, and filled in by who asks for ``message``.
    """

    code: str
    form: str
    limit: float
    actual: float
    room_lots: int
    about: str | tuple[object, ...] = ""

    @property
    def message(self) -> str:
        """The text of a reason.

        Examples
        --------
        >>> Finding("MAX_X", "{about} is {actual:.1f}, not {limit}", 2, 2.5, 0, "x").message
        'x is 2.5, not 2'
        """
        return self.form.format(limit=self.limit, actual=self.actual, about=self.about)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Finding) and self._told() == other._told()

    def __hash__(self) -> int:
        return hash(self._told())

    def _told(self) -> tuple[str, str, float, float, int]:
        return self.code, self.message, self.limit, self.actual, self.room_lots


# Room of a control that does not bind; more lots than any account can hold.
UNBOUNDED_LOTS = 2**62
