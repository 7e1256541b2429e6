"""``POST /api/v1/predict``: the models' wish for a symbol now, judged and decided by its book.

What the last bar said of the symbol goes through the ensemble again, becomes a record of the book's
log, and is answered with the decision that the log made of it: equal to the event on Kafka.
"""

import asyncio
import math
from collections import OrderedDict

import msgspec
import numpy as np

from models.arrays import Floats
from models.prediction.ensemble import predict
from models.specialists.window import COLUMNS
from streams import clock
from streams.explanation import Explanation
from streams.instructions import INTENT, Specialist, TargetIntent
from streams.questions import Predict, Prediction, RiskVerdict, Wrong
from streams.records import Decision
from streams.timestamps import format_ns
from tables.recent import SeenRow
from tables.views.bodies import asked_ns
from tables.views.desk import (
    MOST_REMEMBERED,
    Book,
    Desk,
    owner_by,
    portfolio_of,
    refuse_decided,
    row_of,
)
from tables.views.predict_reason import explained
from tables.views.problems import ProblemError
from tables.views.routes import Bound, Call, Reply, Route

_DECISION = msgspec.json.Decoder(Decision)
_SPECIALISTS: tuple[Specialist, ...] = ("bull_specialist", "bear_specialist", "sideways_specialist")


PREDICT = Route(
    "POST",
    "/api/v1/predict",
    "predict",
    "Ask the models, let the book decide",
    "Features, regime and weights of the last bar through the ensemble, sized and checked "
    "by the book, decided and published on Kafka before it is answered. The same "
    "idempotency key gives the same decision.",
    Predict,
    Prediction,
    limited="predict",
    codes=(404, 409),
)


def predict_endpoints(desk: Desk) -> tuple[Bound, ...]:
    """Return the endpoint that asks the models."""
    first = FirstAsked()

    async def prediction(call: Call) -> Reply:
        asked: Predict = call.asked
        name = portfolio_of(desk, call)
        if not asked.risk_check and call.caller.role == "trader":
            text = "only researchers may leave out the risk check"
            raise ProblemError(403, "FORBIDDEN", text)
        book, _ = desk.book(name)
        # Asked again behind the next bar, or when its own is no longer kept, a key has that one.
        row = first.row(name, call.key, asked)
        if row is None:
            try:
                row = row_of(book, asked.symbol, asked_ns("timestamp", asked.timestamp))
            except ProblemError:
                # From before a restart, a key has its decision whatever has become of its bar.
                refuse_decided(book, INTENT + call.key)
                raise
            first.keep(name, call.key, asked, row)
        said = target_of(desk, book, row, asked, call.key)
        decision = _DECISION.decode(await desk.decide(said, call.headers))
        _check_same(decision, said)
        why = None
        if asked.explain:
            models = desk.epoch(row.epoch_digest).models_of(name, row.symbol)
            bars = book.recent.window(row.symbol, row.close_ns)
            # Of a bar that is no longer kept the key still has the row.
            bars[-1] = row.features[COLUMNS]
            # Ten milliseconds of arithmetic, for which no bar should wait.
            why = await asyncio.to_thread(explained, decision, models, bars)
        return Reply(_answer(decision, row, why, 1e3 * (clock.monotonic_s() - call.started_s)))

    return (Bound(PREDICT, prediction, owner_by(desk)),)


class FirstAsked:
    """What each key was first used for, and the bar that was the last one then.

    As many as the desk remembers decisions for: behind that it refuses a key that comes again.
    """

    def __init__(self) -> None:
        self._by_key: OrderedDict[tuple[str, str], tuple[Predict, SeenRow]] = OrderedDict()

    def row(self, portfolio: str, key: str, asked: Predict) -> SeenRow | None:
        """Return the bar of the first request with a key; None if this is the first.

        ``explain`` alone may differ in it.

        Raises
        ------
        ProblemError
            409 if the key was used for another request.
        """
        if (portfolio, key) not in self._by_key:
            return None
        wish = _wish(asked, portfolio)
        before, kept = self._by_key[portfolio, key]
        for name in wish.__struct_fields__:
            there, here = getattr(before, name), getattr(wish, name)
            if there != here:
                raise ProblemError(
                    409,
                    "KEY_REUSED",
                    f"the idempotency key {key!r} was used with {name} {there!r}; use a key once",
                    (Wrong(name, here, f"{there!r}, as at first, or another key"),),
                )
        return kept

    def keep(self, portfolio: str, key: str, asked: Predict, row: SeenRow) -> None:
        """Keep the bar of a first request."""
        self._by_key[portfolio, key] = _wish(asked, portfolio), row
        if len(self._by_key) > MOST_REMEMBERED:
            self._by_key.popitem(last=False)


def _wish(asked: Predict, portfolio: str) -> Predict:
    """Return what has to be the same whenever a key comes again."""
    return msgspec.structs.replace(asked, explain=False, portfolio=portfolio)


def target_of(desk: Desk, book: Book, row: SeenRow, asked: Predict, key: str) -> TargetIntent:
    """Return the record that a request becomes: a function of the bar, the models and its key."""
    name = book.slot.portfolio.id
    ensemble = desk.epoch(row.epoch_digest).models_of(name, row.symbol).ensemble
    weights = row.weights
    if asked.strategy_override is not None:
        weights = np.zeros(3)
        weights[_SPECIALISTS.index(asked.strategy_override)] = 1.0
    confidence, _, target = predict(ensemble, row.features[None], row.scores[None], weights[None])
    kept = book.account.kept
    # Behind the last bar, and within the one that is open: the book's time, not the caller's. That
    # of a tape can be ahead of every clock.
    latest_ns = kept.bar_ns + book.account.rules.bar_ns
    return TargetIntent(
        portfolio=name,
        ts_event=min(max(clock.wall_ns(), kept.bar_ns + 1), latest_ns),
        intent_id=key,
        symbol=row.symbol,
        bar_close=row.close_ns,
        epoch_digest=book.epoch_digest,
        confidence=_or_none(confidence[0]),
        target_fraction=_or_none(target[0]),
        regime=(*row.regime[:3].tolist(), float(row.regime[3])),
        weights=(*weights.tolist(),),
        features=_numbers(row.features),
        strategy=asked.strategy_override or "model",
        is_checked=asked.risk_check,
    )


def _check_same(decision: Decision, said: TargetIntent) -> None:
    """Refuse a key that was used for another request."""
    is_checked = decision.note != "NOT_CHECKED"
    if (decision.symbol, is_checked) != (said.symbol, said.is_checked):
        raise ProblemError(
            409,
            "KEY_REUSED",
            f"the idempotency key {said.intent_id!r} was used for {decision.symbol}, decision "
            f"{decision.decision_id}; use a key once",
        )


def _answer(
    decision: Decision, row: SeenRow, why: Explanation | None, latency_ms: float
) -> Prediction:
    return Prediction(
        decision_id=decision.decision_id,
        symbol=decision.symbol,
        portfolio=decision.portfolio,
        timeframe=decision.timeframe,
        timestamp=decision.timestamp,
        bar_close=format_ns(row.close_ns),
        action=decision.action,
        confidence=decision.confidence,
        quantity=decision.quantity,
        price=decision.price,
        target_fraction=decision.target_fraction,
        note=decision.note,
        regime_probs=decision.regime_probs,
        entropy_bits=decision.entropy_bits,
        strategy_weights=decision.strategy_weights,
        risk=RiskVerdict(
            approved=decision.approved,
            rejection_reasons=decision.rejection_reasons,
            allowed_quantity=decision.allowed_quantity,
        ),
        digests=decision.digests,
        epoch=decision.epoch,
        latency_ms=round(latency_ms, 3),
        explanation=why,
    )


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _numbers(values: Floats) -> list[float | int | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
