"""The section of ``/status`` about rollouts: stage, arms, and what is against the next stage."""

from typing import NamedTuple

from streams.client.api import Api
from streams.client.errors import ClientError
from streams.clock import monotonic_s
from streams.rollouts import Evidence, RolloutState
from tables.stores.token_keys import TokenKeys
from tables.views.auth import ALL_PORTFOLIOS, issue
from tables.views.behind import Behind

_PATIENCE_MS = 1_500
_TOKEN_DAYS = 1.0
_RENEW_S = 43_200.0


class RolloutSection(NamedTuple):
    """What the section shows; ``trouble`` if the role does not say it."""

    last: RolloutState | None = None
    evidence: Evidence | None = None
    trouble: str = ""


class AskedRollouts:
    """Asks the role ``rollout``, as somebody who may look and not act."""

    def __init__(self) -> None:
        self._token = ""
        self._issued_s = 0.0

    async def section(self, behind: Behind) -> RolloutSection | None:
        """Return what to show; None where no such role is."""
        if not behind.rollout_url or behind.auth is None:
            return None
        try:
            async with Api(
                behind.rollout_url,
                self._held(behind),
                timeout_ms=_PATIENCE_MS,
                patience_s=0.0,
                tls=behind.tls,
            ) as api:
                said = await api.rollouts()
        except (ClientError, OSError) as error:
            return RolloutSection(trouble=f"the role rollout does not say how it is: {error}")
        return RolloutSection(next(iter(said.rollouts), None), said.evidence)

    def _held(self, behind: Behind) -> str:
        now_s = monotonic_s()
        if not self._token or now_s - self._issued_s > _RENEW_S:
            keys = TokenKeys(behind.auth)  # type: ignore[arg-type]
            self._token, _ = issue(
                keys, behind.stack, "pages", "researcher", [ALL_PORTFOLIOS], _TOKEN_DAYS
            )
            self._issued_s = now_s
        return self._token
