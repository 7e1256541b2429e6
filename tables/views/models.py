"""``GET /api/v1/models``: which models decide, since when, and what they showed."""

from streams.questions import ModelAnswer, ModelsAnswer
from streams.timestamps import format_ns
from tables.epochs import LoadedEpoch
from tables.views.desk import Desk
from tables.views.routes import Bound, Call, Nothing, Reply, Route

MODELS = Route(
    "GET",
    "/api/v1/models",
    "listModels",
    "The models that decide",
    "Every set by which a portfolio of the caller goes on, with its lineage and metrics.",
    Nothing,
    ModelsAnswer,
    limited="features",
)


def model_endpoints(desk: Desk) -> tuple[Bound, ...]:
    """Return the endpoint about models."""

    async def models(call: Call) -> Reply:
        mine = [name for name in desk.portfolios() if call.caller.may_see(name)]
        # Of a book that another worker has: all change their epoch at the same bar.
        digests = dict.fromkeys(
            desk.running().digest if desk.owner(name) else desk.book(name)[0].epoch_digest
            for name in mine
        )
        found = [_answer(desk.epoch(digest), mine) for digest in digests]
        return Reply(ModelsAnswer(models=found))

    def owner(_call: Call) -> str:
        return desk.informed()

    return (Bound(MODELS, models, owner),)


def _answer(loaded: LoadedEpoch, mine: list[str]) -> ModelAnswer:
    epoch, metadata = loaded.epoch, loaded.models.metadata
    code = metadata.get("code")
    return ModelAnswer(
        digest=epoch.models,
        epoch_digest=loaded.digest,
        timeframe=epoch.timeframe,
        pipeline_version=epoch.pipeline_version,
        pipeline_digest=epoch.pipeline_digest,
        symbols=list(metadata["symbols"]),
        portfolios=[portfolio.id for portfolio in epoch.portfolios if portfolio.id in mine],
        seed=int(metadata["seed"]),
        fit_version=int(metadata["fit_version"]),
        code=None if code is None else str(code),
        first_close=format_ns(int(metadata["first_close_ns"])),
        last_close=format_ns(int(metadata["last_close_ns"])),
        metrics=dict(metadata["metrics"]),
    )
