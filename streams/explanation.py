"""The record of why: one explanation on ``explanations``, key = decision_id."""

from typing import Literal

import msgspec


class RefusedBy(msgspec.Struct, frozen=True):
    """A control that refused; ``excess`` is actual less limit where both are numbers."""

    code: str
    message: str
    limit: float | None = None
    actual: float | None = None
    excess: float | None = None


class Counterfactual(msgspec.Struct, frozen=True):
    """The nearest order that no control would have refused; units of the instrument.

    ``change`` is to be added to the quantity that was asked for; a quantity of 0 is no order.
    """

    quantity: float
    change: float


class SpecialistShare(msgspec.Struct, frozen=True):
    """What a specialist added to the log odds, and where it looked: the oldest bar first."""

    regime_probability: float
    weight: float
    score: float
    share: float
    attention: list[float]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a decision was made. Log odds are those that the next bar closes up, calibrated.

    ``explained`` is ``model`` if the model's part is there, else ``controls``; ``detail`` says why
    it is not. ``families`` and ``features`` add up to ``logit`` from ``base_logit``;
    ``residual`` is by how much the families miss it, and ``is_additive`` says that this is at most
    1e-3. ``confidence_difference`` is how far the confidence of the same networks on the same
    inputs is from the decision's: 0 where it is reproduced bit for bit.
    """

    event_type: Literal["explanation"] = "explanation"
    decision_id: str
    portfolio: str
    symbol: str
    timeframe: str
    timestamp: str
    models: str
    why: Literal["order", "refusal", "sample", "demand"]
    explained: Literal["model", "controls"]
    detail: str = ""
    refused_by: list[RefusedBy]
    counterfactual: Counterfactual | None = None
    logit: float | None = None
    base_logit: float | None = None
    intercept: float | None = None
    probability_up: float | None = None
    residual: float | None = None
    is_additive: bool | None = None
    confidence_difference: float | None = None
    families: dict[str, float] = {}
    features: dict[str, float] = {}
    specialists: dict[str, SpecialistShare] = {}
