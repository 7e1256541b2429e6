"""``GET /api/v1/features/{symbol}/{timeframe}``: the vector that the last decision was made of."""

import math

from models.features.catalogue import NAMES
from streams.questions import FeatureAnswer, OfFeatures
from streams.timestamps import format_ns
from tables.recent import SeenRow
from tables.stores.cached_row import CachedRow, CacheKey
from tables.stores.feature_cache import FeatureCache
from tables.views.desk import Desk, owner_by, portfolio_of, row_of
from tables.views.problems import wrong
from tables.views.routes import Bound, Call, Reply, Route


def cached(row: SeenRow) -> CachedRow:
    """Return a row as the cache keeps it."""
    return CachedRow(row.close_ns, tuple(row.features.tolist()))


FEATURES = Route(
    "GET",
    "/api/v1/features/{symbol}/{timeframe}",
    "getFeatures",
    "The 60 features of a symbol's last bar",
    "Units are in the catalogue of features. Values are those of the last decided bar.",
    OfFeatures,
    FeatureAnswer,
    limited="features",
    codes=(404, 409),
)


def feature_endpoints(desk: Desk, cache: FeatureCache) -> tuple[Bound, ...]:
    """Return the endpoint about features."""

    async def features(call: Call) -> Reply:
        symbol, timeframe = call.path["symbol"], call.path["timeframe"]
        book, _ = desk.book(portfolio_of(desk, call))
        epoch = desk.epoch(book.epoch_digest).epoch
        if timeframe != epoch.timeframe:
            fits = f"{epoch.timeframe}, the timeframe of this run"
            raise wrong("NO_SUCH_TIMEFRAME", "timeframe", timeframe, fits)
        close_ns = book.recent.newest_close_ns(symbol, book.account.kept.bar_ns)

        async def make() -> CachedRow:
            return cached(row_of(book, symbol))

        key = CacheKey(symbol, timeframe, epoch.pipeline_version)
        # Without a bar the row is asked for, which says why there is none.
        held = await make() if close_ns is None else await cache.get(key, close_ns, make)
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

    return (Bound(FEATURES, features, owner_by(desk)),)
