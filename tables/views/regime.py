"""``GET /regime/probabilities``: what the models say the market is, by symbol and on average."""

import math

import numpy as np

from streams.questions import OfRegime, RegimeAnswer, SymbolRegime
from streams.timestamps import format_ns
from tables.views.desk import Book, Desk, owner_by, portfolio_of, row_of
from tables.views.problems import not_ready
from tables.views.routes import Bound, Call, Reply, Route

REGIME = Route(
    "GET",
    "/regime/probabilities",
    "getRegime",
    "Regime probabilities of the last bar",
    "Bull, bear and sideways sum to 1. Without a symbol: all rows and their mean.",
    OfRegime,
    RegimeAnswer,
    limited="features",
    codes=(404, 409),
)


def regime_endpoints(desk: Desk) -> tuple[Bound, ...]:
    """Return the endpoint about regimes."""

    async def probabilities(call: Call) -> Reply:
        book, _ = desk.book(portfolio_of(desk, call))
        rows = _rows(book, call.asked.symbol)
        if not rows:
            raise not_ready("NO_RECENT_BAR", "no symbol traded in the bars that are kept")
        newest = max(row.bar_close for row in rows)
        told = [row for row in rows if row.is_warm] or rows

        def mean(name: str) -> float:
            return math.fsum(getattr(row, name) for row in told) / len(told)

        parts = {name: mean(name) for name in ("bull", "bear", "sideways", "entropy_bits")}
        return Reply(
            RegimeAnswer(timeframe=book.slot.timeframe, bar_close=newest, rows=rows, **parts)
        )

    return (Bound(REGIME, probabilities, owner_by(desk)),)


def _rows(book: Book, symbol: str | None) -> list[SymbolRegime]:
    until_ns = book.account.kept.bar_ns
    if symbol is not None:
        found = [row_of(book, symbol)]
    else:
        newest = (book.recent.newest(name, until_ns) for name in book.account.scenarios.symbols)
        found = [row for row in newest if row is not None]
    return [
        SymbolRegime(
            symbol=row.symbol,
            bar_close=format_ns(row.close_ns),
            is_warm=bool(np.isfinite(row.features).all()),
            bull=float(row.regime[0]),
            bear=float(row.regime[1]),
            sideways=float(row.regime[2]),
            entropy_bits=float(row.regime[3]),
        )
        for row in found
    ]
