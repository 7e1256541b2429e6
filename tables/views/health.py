"""``GET /api/v1/health``: live, ready, and every part that answers depend on, with the reason."""

import logging

from streams.questions import Health, PartHealth
from tables.views.desk import Desk
from tables.views.routes import Bound, Call, Nothing, Reply, Route

log = logging.getLogger("tradewind.health")

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
    """Return the endpoint about health; nobody has to say who he is.

    What makes it ready or not is logged when it changes, for who reads the log afterwards.
    """
    missing: list[str] | None = None

    async def health(_call: Call) -> Reply:
        nonlocal missing
        parts = desk.parts()
        wrong = [part for part in parts if part.is_needed and not part.is_well]
        ready = not wrong
        if (names := [part.name for part in wrong]) != missing:
            missing = names
            reasons = "; ".join(f"{part.name}: {part.detail}" for part in wrong)
            log.info("ready: %s", f"no, {reasons}" if reasons else "yes")
        said = [
            PartHealth(
                name=part.name, is_well=part.is_well, is_needed=part.is_needed, detail=part.detail
            )
            for part in parts
        ]
        headers = {} if ready else {"Retry-After": "1"}
        return Reply(Health(live=True, ready=ready, parts=said), 200 if ready else 503, headers)

    return (Bound(HEALTH, health),)
