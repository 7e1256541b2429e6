"""One portfolio bar by bar: what an account was worth and what it did, as columns."""

from array import array
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from models.arrays import Floats, Indices
from models.backtest.attribution import Attribution
from models.portfolio.ledger import MONEY_SCALE
from models.risk.account import Account
from models.risk.decide import Executed
from models.risk.losses import AtRisk

_BPS = 10_000

# Of each limit the share that is used; what is above one was there when the limit came to bind.
UTILISED = (
    "max_asset_fraction",
    "max_sector_fraction",
    "max_leverage",
    "max_gross_fraction",
    "max_net_fraction",
    "max_var_fraction",
    "max_daily_loss_fraction",
)


class Series(NamedTuple):
    """A portfolio over time; all of shape (n_bars,).

    Attributes
    ----------
    close_ns : (n_bars,)
        int64 nanoseconds since 1970, rising strictly.
    equity, cash, gross, net : (n_bars,)
        Behind the bar, in the portfolio's currency; gross and net are what is held.
    fees, slippage, traded : (n_bars,)
        Of the bar, in the portfolio's currency; ``traded`` is the notional of all fills.
    bull, bear, sideways : (n_bars,)
        What positions earned in the bar, by the regime that their symbols were said to be in at
        the bar before; in the portfolio's currency.
    approved, refused : (n_bars,)
        Orders of the bar.
    max_asset_fraction, ... : (n_bars,)
        The share of each limit that is used.
    """

    close_ns: Indices
    equity: Floats
    cash: Floats
    gross: Floats
    net: Floats
    fees: Floats
    slippage: Floats
    traded: Floats
    bull: Floats
    bear: Floats
    sideways: Floats
    approved: Floats
    refused: Floats
    max_asset_fraction: Floats
    max_sector_fraction: Floats
    max_leverage: Floats
    max_gross_fraction: Floats
    max_net_fraction: Floats
    max_var_fraction: Floats
    max_daily_loss_fraction: Floats

    def since(self, first: int) -> "Series":
        """Return the series without its first bars."""
        columns: list[Floats] = [column[first:] for column in self[1:]]
        return Series(self.close_ns[first:], *columns)


class Orders(NamedTuple):
    """How many orders a bar had, by verdict."""

    approved: int
    refused: int


class Points:
    """Writes down an account behind every bar; eight bytes a number, nothing else is kept.

    Parameters
    ----------
    cash : int
        What the account begins with, in money units.
    """

    def __init__(self, cash: int) -> None:
        self.opened_with = cash / MONEY_SCALE
        self._closes = array("q")
        self._columns = [array("d") for _ in Series._fields[1:]]
        self._fees = 0
        self._costs = [0.0, 0.0]
        self._attribution = Attribution()

    def fill(self, account: Account, executions: tuple[Executed, ...]) -> None:
        """Count the fills of a bar or record: their notional, and what they lost by slippage."""
        bps = account.rules.slippage_bps
        for executed in executions:
            fill = executed.fill
            if fill is None:
                continue
            lot_size = account.book.lot_sizes[fill.symbol]
            notional = abs(fill.lots) * lot_size * fill.price_e8 / MONEY_SCALE
            side = 1 if fill.lots > 0 else -1
            self._costs[0] += notional
            if not account.rules.is_external:
                self._costs[1] += notional * bps / (_BPS + side * bps)

    def note(
        self,
        account: Account,
        close_ns: int,
        orders: Orders,
        regimes: Mapping[str, tuple[float, float, float]],
    ) -> None:
        """Write down the account behind a bar; ``regimes`` are the probabilities of its rows."""
        book, exposure = account.book, account.exposure
        traded, slippage = self._costs
        numbers = (
            account.equity / MONEY_SCALE,
            book.cash / MONEY_SCALE,
            book.gross() / MONEY_SCALE,
            exposure.held / MONEY_SCALE,
            (book.fees - self._fees) / MONEY_SCALE,
            slippage,
            traded,
            *self._attribution.step(book, regimes),
            float(orders.approved),
            float(orders.refused),
            *utilised(account),
        )
        self._closes.append(close_ns)
        for column, number in zip(self._columns, numbers, strict=True):
            column.append(number)
        self._fees, self._costs = book.fees, [0.0, 0.0]

    def series(self) -> Series:
        """Return what was written down so far."""
        columns = [np.array(column, np.float64) for column in self._columns]
        return Series(np.array(self._closes, np.int64), *columns)


def utilised(account: Account) -> tuple[float, ...]:
    """Return the share of each limit of ``UTILISED`` that an account uses, open orders included."""
    limits, exposure, equity = account.limits, account.exposure, account.equity
    day, at_risk = account.kept.day, AtRisk(account)

    def share(part: float, whole: float, limit: float) -> float:
        return part / whole / limit if whole > 0 and limit > 0 else 0.0

    widest = max((abs(stake.worst()) for stake in exposure.stakes.values()), default=0)
    sector = max(exposure.by_sector.values(), default=0)
    lost = max(day.open_equity - equity, 0)
    return (
        share(widest, equity, limits.max_asset_fraction),
        share(sector, equity, limits.max_sector_fraction),
        share(exposure.gross, equity, limits.max_leverage),
        share(exposure.gross, day.open_equity, limits.max_gross_fraction),
        share(max(exposure.up, -exposure.down), day.open_equity, limits.max_net_fraction),
        share(
            max(at_risk.historical, at_risk.normal),
            equity / MONEY_SCALE,
            limits.max_var_fraction,
        ),
        share(lost, day.open_equity, limits.max_daily_loss_fraction),
    )
