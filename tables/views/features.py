"""``GET /api/v1/features/{symbol}/{timeframe}``: the vector that the last decision was made of.

Or that of the last closed bar of 5 minutes or an hour, which the worker that owns the symbol folds.
"""

import math

from models.features.catalogue import NAMES
from streams.epochs import Epoch
from streams.questions import FeatureAnswer, OfFeatures
from streams.timestamps import TIMEFRAMES_NS, format_ns, longer_than
from tables.recent import SeenRow
from tables.stores.cached_row import CachedRow, CacheKey
from tables.stores.feature_cache import FeatureCache
from tables.views.desk import (
    Desk,
    portfolio_of,
    portfolio_owner,
    row_of,
    unknown_portfolio,
    unknown_symbol,
)
from tables.views.problems import ProblemError, unknown, wrong
from tables.views.routes import Bound, Call, Reply, Route


def cached(row: SeenRow) -> CachedRow:
    """Return a row as the cache keeps it."""
    return CachedRow(row.close_ns, tuple(row.features.tolist()))


FEATURES = Route(
    "GET",
    "/api/v1/features/{symbol}/{timeframe}",
    "getFeatures",
    "The 60 features of a symbol's last bar",
    "Units are in the catalogue of features. Values are those of the last decided bar in the "
    "run's own timeframe, and of the last closed one in 5min and 1hour, which are folded from it.",
    OfFeatures,
    FeatureAnswer,
    limited="features",
    codes=(404, 409),
)


def feature_endpoints(desk: Desk, cache: FeatureCache) -> tuple[Bound, ...]:
    """Return the endpoint about features."""

    async def features(call: Call) -> Reply:
        symbol, timeframe = call.path["symbol"], call.path["timeframe"]
        name = portfolio_of(desk, call)
        epoch = _epoch(desk, timeframe)
        if timeframe == epoch.timeframe:
            held = await _of_bar(desk, cache, symbol, name)
        else:
            _check_traded(epoch, name, symbol)
            held = await _of_longer(desk, cache, symbol, timeframe)
        told = dict(zip(NAMES, held.features, strict=True))
        return Reply(
            FeatureAnswer(
                symbol=symbol,
                timeframe=timeframe,
                version=epoch.pipeline_version,
                bar_close=format_ns(held.close_ns),
                features={name: value for name, value in told.items() if math.isfinite(value)},
                warming_up=[name for name, value in told.items() if not math.isfinite(value)],
            )
        )

    def owner(call: Call) -> str:
        timeframe = call.path["timeframe"]
        if not desk.portfolios():
            # Whose bars they are only an epoch says; who owns the book has seen one.
            _check_timeframe(timeframe)
            return portfolio_owner(desk, call) or desk.informed()
        if timeframe == _epoch(desk, timeframe).timeframe:
            return desk.owner(portfolio_of(desk, call))
        return desk.symbol_owner(call.path["symbol"])

    return (Bound(FEATURES, features, owner),)


def _epoch(desk: Desk, timeframe: str) -> Epoch:
    """Return the running epoch, if it has bars of a timeframe."""
    _check_timeframe(timeframe)
    epoch = desk.running().epoch
    known = (epoch.timeframe, *longer_than(epoch.timeframe))
    if timeframe not in known:
        expected = f"{', or folded from it '.join(known)}, the bars of this run"
        raise unknown("UNKNOWN_TIMEFRAME", "timeframe", timeframe, expected)
    return epoch


def _check_timeframe(timeframe: str) -> None:
    if timeframe not in TIMEFRAMES_NS:
        raise wrong(
            "NO_SUCH_TIMEFRAME", "timeframe", timeframe, f"one of {', '.join(TIMEFRAMES_NS)}"
        )


async def _of_bar(desk: Desk, cache: FeatureCache, symbol: str, portfolio: str) -> CachedRow:
    """Return the features of the last decided bar."""
    book, _ = desk.book(portfolio)
    epoch = desk.epoch(book.epoch_digest).epoch
    close_ns = book.recent.newest_close_ns(symbol, book.account.kept.bar_ns)

    async def make() -> CachedRow:
        return cached(row_of(book, symbol))

    key = CacheKey(symbol, epoch.timeframe, epoch.pipeline_version)
    # Without a bar the row is asked for, which says why there is none.
    return await make() if close_ns is None else await cache.get(key, close_ns, make)


async def _of_longer(desk: Desk, cache: FeatureCache, symbol: str, timeframe: str) -> CachedRow:
    """Return the features of the last longer bar that has closed."""
    row = desk.longer(symbol, timeframe)
    if row is None:
        text = f"no bar of {timeframe} has closed yet in which {symbol} traded"
        raise ProblemError(409, "NO_RECENT_BAR", text)

    async def make() -> CachedRow:
        return row

    key = CacheKey(symbol, timeframe, desk.running().epoch.pipeline_version)
    return await cache.get(key, row.close_ns, make)


def _check_traded(epoch: Epoch, portfolio: str, symbol: str) -> None:
    """Refuse a symbol that a portfolio does not trade, as its book would."""
    found = next((p for p in epoch.portfolios if p.id == portfolio), None)
    if found is None:
        raise unknown_portfolio(portfolio)
    if symbol not in (found.universe or epoch.symbols()):
        raise unknown_symbol(symbol, portfolio)
