"""Ask the API: typed questions and answers, problems as exceptions, and patience with a busy one.

What says 503 or 504, or does not answer at all, is asked again: questions change nothing, and a
wish goes with the same idempotency key each time, so it is decided once.
"""

import asyncio
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_before_delay,
    wait_random_exponential,
)

from streams.client.errors import ApiAwayError, ApiError
from streams.clock import random_id
from streams.questions import (
    DecisionsAnswer,
    FeatureAnswer,
    ForensicsAnswer,
    ForensicsPage,
    Health,
    ModelsAnswer,
    OfDecisions,
    OfFeatures,
    OfForensics,
    OfPortfolio,
    OfRegime,
    PortfolioAnswer,
    Predict,
    Prediction,
    Problem,
    RegimeAnswer,
    RiskAnswer,
    RiskCheck,
)
from streams.records import Decision
from streams.rollouts import (
    ActOnRollout,
    FeatureFlag,
    RolloutsAnswer,
    RolloutState,
    SetFlag,
    StartRollout,
)

Answer = TypeVar("Answer")

# The server keeps the deadline; this is for an answer that gets lost on its way.
_GRACE_S = 1.0
_PAUSE = wait_random_exponential(multiplier=0.1, max=2.0)
_PASSING = frozenset({503, 504})
_PROBLEM_TYPE = "application/problem+json"
_LONGEST_TEXT = 200

_ENCODER = msgspec.json.Encoder()
_PROBLEM = msgspec.json.Decoder(Problem)


class Api:
    """Asks a worker, or the process of the pages; an asynchronous context manager.

    Parameters
    ----------
    url
        Its address, such as ``http://127.0.0.1:8091``.
    token
        Of ``tradewind token issue``.
    timeout_ms
        How long one request may take.
    patience_s
        For how long a request is repeated while nobody can answer it.
    tls
        How to check an ``https`` server; None for the machine's own authorities.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_ms: int = 2_000,
        patience_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Request-Timeout-Ms": str(timeout_ms)}
        self._timeout = aiohttp.ClientTimeout(total=timeout_ms / 1_000 + _GRACE_S)
        self._patience_s = patience_s
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Make ready to connect."""
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=self._timeout,
            connector=aiohttp.TCPConnector(ssl=True if self._tls is None else self._tls),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self._open().close()

    async def predict(self, asked: Predict, key: str = "") -> Prediction:
        """Ask for a decision, which is on Kafka when this returns.

        Parameters
        ----------
        asked
            For which symbol and portfolio, and how.
        key
            Idempotency key: a second call with it returns the first one's decision. Without one
            each call is a wish of its own; its repeats here still have one key.

        Raises
        ------
        ApiError
            What the API said instead. After a restart of the worker a known key gives 409
            ``DECIDED_BEFORE`` with the ``location`` of its decision: ask :meth:`decision`.
        ApiAwayError
            If nobody answered; ask again with the same key.
        """
        headers = {"Idempotency-Key": key or random_id()}
        return await self._ask("POST", "/api/v1/predict", Prediction, asked, headers=headers)

    async def check(self, asked: RiskCheck) -> RiskAnswer:
        """Ask whether an order would pass; it reserves nothing. Errors as :meth:`predict`."""
        return await self._ask("POST", "/risk/check", RiskAnswer, asked)

    async def features(
        self, symbol: str, timeframe: str, portfolio: str | None = None
    ) -> FeatureAnswer:
        """Return the features of a symbol's last closed bar. Errors as :meth:`predict`."""
        path = f"/api/v1/features/{quote(symbol, safe='')}/{quote(timeframe, safe='')}"
        return await self._page(path, FeatureAnswer, OfFeatures(portfolio=portfolio))

    async def decisions(self, asked: OfDecisions | None = None) -> DecisionsAnswer:
        """Return a page of decisions, the newest first; ``next`` is ``before`` of the one after.

        Errors as :meth:`predict`.
        """
        return await self._page("/api/v1/decisions", DecisionsAnswer, asked or OfDecisions())

    async def decision(self, decision_id: str) -> Decision:
        """Return a decision as it is on Kafka. Errors as :meth:`predict`."""
        return await self._ask("GET", f"/api/v1/decisions/{quote(decision_id, safe='')}", Decision)

    async def forensics(self, decision_id: str) -> ForensicsAnswer:
        """Return why it was decided, and where the audit trail has it. Errors as :meth:`predict`.

        While the trail does not have it yet, the answer says so in ``pending``: ask again.
        """
        path = f"/api/v1/forensics/{quote(decision_id, safe='')}"
        return await self._ask("GET", path, ForensicsAnswer)

    async def audited(self, asked: OfForensics | None = None) -> ForensicsPage:
        """Return a page of the audit trail, as :meth:`decisions`."""
        return await self._page("/api/v1/forensics", ForensicsPage, asked or OfForensics())

    async def regime(self, symbol: str | None = None, portfolio: str | None = None) -> RegimeAnswer:
        """Return the regime probabilities of the last bar. Errors as :meth:`predict`."""
        asked = OfRegime(symbol=symbol, portfolio=portfolio)
        return await self._page("/regime/probabilities", RegimeAnswer, asked)

    async def portfolio(self, portfolio: str | None = None) -> PortfolioAnswer:
        """Return an account as it stands. Errors as :meth:`predict`."""
        asked = OfPortfolio(portfolio=portfolio)
        return await self._page("/risk/portfolio", PortfolioAnswer, asked)

    async def models(self) -> ModelsAnswer:
        """Return the models that decide. Errors as :meth:`predict`."""
        return await self._ask("GET", "/api/v1/models", ModelsAnswer)

    async def health(self) -> Health:
        """Return whether it is live and ready; that it is not is an answer and no error."""
        return await self._ask("GET", "/api/v1/health", Health, statuses=(200, 503))

    async def rollouts(self) -> RolloutsAnswer:
        """Return all rollouts with their evidence. Errors as :meth:`predict`."""
        return await self._ask("GET", "/api/v1/rollouts", RolloutsAnswer)

    async def start_rollout(self, asked: StartRollout) -> RolloutState:
        """Begin a rollout in shadow. Errors as :meth:`predict`."""
        return await self._ask("POST", "/api/v1/rollouts", RolloutState, asked)

    async def act_on_rollout(self, rollout_id: str, kind: str, reason: str = "") -> RolloutState:
        """Let a rollout ``advance``, ``hold``, ``resume`` or ``rollback``.

        Errors as :meth:`predict`; 409 says what stands against it.
        """
        path = f"/api/v1/rollouts/{quote(rollout_id, safe='')}/{kind}"
        return await self._ask("POST", path, RolloutState, ActOnRollout(reason=reason))

    async def set_flag(self, name: str, asked: SetFlag) -> FeatureFlag:
        """Set a flag of the rollouts. Errors as :meth:`predict`."""
        path = f"/api/v1/rollouts/flags/{quote(name, safe='')}"
        return await self._ask("POST", path, FeatureFlag, asked)

    async def _page(self, path: str, kind: type[Answer], asked: msgspec.Struct) -> Answer:
        """Ask with what is set as query string."""
        given = msgspec.to_builtins(asked)
        params = {name: str(value) for name, value in given.items() if value is not None}
        return await self._ask("GET", path, kind, params=params)

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[Answer],
        body: msgspec.Struct | None = None,
        statuses: tuple[int, ...] = (200, 202),
        **more: Mapping[str, str],
    ) -> Answer:
        """Ask until there is an answer, or no more patience."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_before_delay(self._patience_s),
            wait=_pause_s,
            reraise=True,
        )
        try:
            return await retrying(self._once, method, path, kind, body, statuses, **more)
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            raise ApiAwayError(f"{method} {self._url}{path} has no answer: {error!r}") from error

    async def _once(
        self,
        method: str,
        path: str,
        kind: type[Answer],
        body: msgspec.Struct | None,
        statuses: tuple[int, ...],
        **more: Any,  # noqa: ANN401  as aiohttp takes them
    ) -> Answer:
        if body is not None:
            more["data"] = _ENCODER.encode(body)
            more["headers"] = {**more.get("headers", {}), "Content-Type": "application/json"}
        async with self._open().request(method, f"{self._url}{path}", **more) as answer:
            value = await answer.read()
        if answer.status in statuses and answer.content_type != _PROBLEM_TYPE:
            try:
                return msgspec.json.decode(value, type=kind)
            except msgspec.MsgspecError as error:
                text = f"the answer is no {kind.__name__}: {error}; is that address Tradewind's?"
                raise ApiError(_said(answer.status, "NOT_UNDERSTOOD", text)) from error
        raise _problem(answer, value)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use it as: async with Api(...) as api")
        return self._session


def _problem(answer: aiohttp.ClientResponse, value: bytes) -> ApiError:
    try:
        problem = _PROBLEM.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # A proxy's page: whatever it is, the status counts.
        text = value[:_LONGEST_TEXT].decode(errors="replace")
        problem = _said(answer.status, "NO_PROBLEM_JSON", text)
    after = answer.headers.get("Retry-After", "")
    retry_after_s = float(after) if after.isascii() and after.isdigit() else 0.0
    return ApiError(problem, retry_after_s, answer.headers.get("Location", ""))


def _said(status: int, code: str, detail: str) -> Problem:
    return Problem(type="about:blank", title="", status=status, detail=detail, code=code)


def _may_pass(error: BaseException) -> bool:
    """Tell whether asking again can help."""
    if isinstance(error, ApiError):
        return error.status in _PASSING
    return isinstance(error, aiohttp.ClientConnectionError | asyncio.TimeoutError)


def _pause_s(state: RetryCallState) -> float:
    """Return how long to wait: as long as was asked for, or as others do not."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked_s = error.retry_after_s if isinstance(error, ApiError) else 0.0
    return max(asked_s, _PAUSE(state))
