"""``GET /api/v1/health``: live, ready, and every part that answers depend on, with the reason."""

from streams.questions import Health, PartHealth
from tables.views.desk import Desk
from tables.views.routes import Bound, Call, Nothing, Reply, Route

HEALTH = Route(
    "GET",
    "/api/v1/health",
    "getHealth",
    "Live and ready?",
    "200 if requests can be answered, 503 with the same body while they cannot.",
    Nothing,
    Health,
    roles=(),
    statuses=(200, 503),
)


def health_endpoints(desk: Desk) -> tuple[Bound, ...]:
    """Return the endpoint about health; nobody has to say who he is."""

    async def health(_call: Call) -> Reply:
        parts = desk.parts()
        ready = all(part.is_well for part in parts if part.is_needed)
        said = [
            PartHealth(
                name=part.name, is_well=part.is_well, is_needed=part.is_needed, detail=part.detail
            )
            for part in parts
        ]
        headers = {} if ready else {"Retry-After": "1"}
        return Reply(Health(live=True, ready=ready, parts=said), 200 if ready else 503, headers)

    return (Bound(HEALTH, health),)
