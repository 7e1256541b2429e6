"""The account of each portfolio: its latest snapshot and a thinned curve of its equity."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from streams.errors import RecordError
from streams.records import LONGEST_SYMBOL, PortfolioSnapshot
from streams.timestamps import parse_ns
from tables.views.decision_row import UNREADABLE

# A stack trades a handful of portfolios; keys invented by someone else must not fill the memory.
PORTFOLIOS_MAX = 64
# A curve is drawn 720 wide: more points than this cannot be told apart.
POINTS_MAX = 720
# Symbols of one epoch; a larger account is not one of ours.
_HOLDINGS_MAX = 10_000

_MONEY = re.compile(r"-?\d{1,24}(\.\d{1,18})?")
_DECODER = msgspec.json.Decoder(PortfolioSnapshot)


class Point(NamedTuple):
    """Equity at a bar's close, in the portfolio's currency."""

    close_ns: int
    equity: float


@dataclass(slots=True)
class AccountCurve:
    """One portfolio; ``stride`` snapshots stand behind each kept point."""

    first_close_ns: int
    latest: PortfolioSnapshot
    latest_point: Point
    kept: list[Point] = field(default_factory=list)
    stride: int = 1
    n_seen: int = 0

    def add(self, snapshot: PortfolioSnapshot, point: Point) -> None:
        """Take the next snapshot; one that is not later than the latest is a repetition."""
        if self.n_seen and point.close_ns <= self.latest_point.close_ns:
            return
        self.latest, self.latest_point = snapshot, point
        if self.n_seen % self.stride == 0:
            self.kept.append(point)
        self.n_seen += 1
        if len(self.kept) > POINTS_MAX:
            # Every second point goes: what is left is still evenly spaced, whatever the length.
            del self.kept[1::2]
            self.stride *= 2

    def points(self) -> list[Point]:
        """Return the curve in time order; it always ends at the latest snapshot."""
        if self.kept[-1] == self.latest_point:
            return list(self.kept)
        return [*self.kept, self.latest_point]


class AccountHistory:
    """All portfolios of a run."""

    def __init__(self) -> None:
        self._curves: dict[str, AccountCurve] = {}

    def add(self, value: bytes | None) -> PortfolioSnapshot:
        """Take a record of ``portfolio-snapshots`` and return what it says.

        Raises
        ------
        RecordError
            If the bytes are no snapshot, or one portfolio more than is kept.
        """
        snapshot = _decode(value)
        curve = self._curves.get(snapshot.portfolio)
        point = Point(parse_ns(snapshot.timestamp), float(snapshot.equity))
        if curve is None:
            if len(self._curves) >= PORTFOLIOS_MAX:
                raise RecordError("TOO_MANY", f"more than {PORTFOLIOS_MAX} portfolios")
            curve = self._curves[snapshot.portfolio] = AccountCurve(point.close_ns, snapshot, point)
        curve.add(snapshot, point)
        return snapshot

    def curves(self) -> list[AccountCurve]:
        """Return the portfolios in order of their names."""
        return [self._curves[name] for name in sorted(self._curves)]


def _decode(value: bytes | None) -> PortfolioSnapshot:
    try:
        snapshot = _DECODER.decode(value or b"")
    except UNREADABLE as error:
        raise RecordError("NOT_A_SNAPSHOT", str(error)) from error
    names = (snapshot.portfolio, snapshot.currency, snapshot.venue)
    if max(map(len, names)) > LONGEST_SYMBOL:
        raise RecordError("TOO_LONG", f"a name has more than {LONGEST_SYMBOL} characters")
    if len(snapshot.holdings) > _HOLDINGS_MAX:
        raise RecordError("TOO_LONG", f"more than {_HOLDINGS_MAX} holdings")
    money = [snapshot.cash, snapshot.equity, snapshot.gross, snapshot.realised, snapshot.fees]
    if snapshot.risk is not None:
        money += (snapshot.risk.day_open_equity, snapshot.risk.peak_equity)
    for holding in snapshot.holdings:
        money += (holding.price, holding.notional, holding.cost)
    wrong = next((text for text in money if not _MONEY.fullmatch(text)), None)
    if wrong is not None:
        raise RecordError("BAD_MONEY", f"money was {wrong[:80]!r}; expected decimal text")
    return snapshot
