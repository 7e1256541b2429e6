"""Explanations of decisions: which are made at once, from what, and their rows in SQL."""

import math
import zlib
from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from models.arrays import Floats
from models.features.catalogue import NAMES
from models.forensics.explanation import FAMILIES, INPUTS, Explained, explain, orders_of
from models.model_set import ModelSet
from models.regime.posterior import REGIMES
from models.specialists.window import ATTENDED, LENGTH_BARS
from streams.codec import StateError, pack_state, unpack_state
from streams.errors import RecordError
from streams.explanation import Counterfactual, Explanation, RefusedBy, SpecialistShare
from streams.records import Decision, Rejection, read_json
from streams.timestamps import parse_ns
from tables.archive import RUN, Rows, RunKey, TableSpec, time_of

EXPLANATIONS = TableSpec(
    "explanations",
    (*RUN, "decision_id", "bar_close"),
    ("portfolio", "symbol", "why", "explained", "residual", "is_additive", "document"),
)

RESIDUAL_MAX = 1e-3
"""Log odds; a larger residual flags an explanation that does not add up."""

# One of so many decisions that ask for nothing is explained, by its id: the same ones in every run.
ONE_OF = 16
_HEX = 16
# A symbol's bars take 1 kB: so many snapshots of them stay small for 10,000 symbols.
_PARTS = 16

# Pairs of orders for the values of single features: about 1,000 questions to the networks.
_ORDERS = 8

Why = Literal["order", "refusal", "sample", "demand"]

_DECISION = msgspec.json.Decoder(Decision)
_EXPLANATION = msgspec.json.Decoder(Explanation)


class PastBars(NamedTuple):
    """The bars of one symbol that decisions have told of.

    Attributes
    ----------
    close_ns : int
        Of the last one.
    bars : (16, 8)
        The features ``ATTENDED``, the oldest first; NaN where none is.
    """

    close_ns: int
    bars: Floats


class KeptBars(NamedTuple):
    """Bars of some symbols as they are snapshotted: three lists side by side, and (n, 16, 8)."""

    symbols: list[str]
    closes_ns: list[int]
    bars: Floats


NO_BARS = PastBars(-1, np.full((LENGTH_BARS, len(ATTENDED)), np.nan))


def place_of(timeframe: str, symbol: str) -> str:
    """Return the snapshot that a symbol is in: a sixteenth of those of its timeframe."""
    return f"{timeframe}/{zlib.crc32(symbol.encode()) % _PARTS}"


def pack_bars(bars: Mapping[str, PastBars]) -> bytes:
    """Return the bytes of a snapshot."""
    symbols = sorted(bars)
    stacked = np.stack([bars[symbol].bars for symbol in symbols])
    return pack_state(KeptBars(symbols, [bars[s].close_ns for s in symbols], stacked))


def unpack_bars(data: bytes) -> dict[str, PastBars]:
    """Return the bars of a snapshot by symbol.

    Raises
    ------
    StateError
        If it is none.
    """
    kept = unpack_state(KeptBars, data)
    found = (len(kept.closes_ns), *kept.bars.shape)
    expected = (len(kept.symbols), len(kept.symbols), LENGTH_BARS, len(ATTENDED))
    if found != expected:
        raise StateError(
            f"closes and bars of {found} for {expected[0]} symbols; expected {expected}"
        )
    each = zip(kept.symbols, kept.closes_ns, kept.bars, strict=True)
    return {symbol: PastBars(close_ns, bars) for symbol, close_ns, bars in each}


def read_decision(raw: bytes) -> Decision:
    """Decode a decision.

    Raises
    ------
    RecordError
        If it is none.
    """
    return read_json(_DECISION, raw)


def with_bar(past: PastBars, decision: Decision) -> PastBars:
    """Push the bar of a decision; one that was pushed before, for another portfolio, stays once.

    Examples
    --------
    >>> int(np.isfinite(NO_BARS.bars).sum())
    0
    """
    close_ns = parse_ns(decision.timestamp)
    if close_ns <= past.close_ns:
        return past
    bar = [decision.features.get(name, math.nan) for name in ATTENDED]
    return PastBars(close_ns, np.concatenate([past.bars[1:], [bar]]))


def _stands_on(past: PastBars, decision: Decision) -> bool:
    """Tell whether it is the last bar's: a wish between two bars says what its bar did."""
    made_ns = parse_ns(decision.timestamp)
    if not decision.intent_id:
        return past.close_ns == made_ns
    bar = [decision.features.get(name, math.nan) for name in ATTENDED]
    return past.close_ns <= made_ns and bool(np.array_equal(past.bars[-1], bar, equal_nan=True))


def tells_of_a_bar(decision: Decision) -> bool:
    """Tell whether a decision was made from a bar: neither an order that came, nor void input."""
    return not decision.intent_id and decision.note != "INPUT_VOID"


def is_modelled(decision: Decision) -> bool:
    """Tell whether networks were asked: of a slot, or of a wish between two bars."""
    return set(NAMES) <= decision.features.keys()


def why_of(decision: Decision) -> Why | None:
    """Return why a decision is explained at once; None if only on demand."""
    if not decision.approved:
        return "refusal"
    if decision.action != "HOLD":
        return "order"
    drawn = int(decision.decision_id.replace("-", "")[:8], _HEX)
    return "sample" if drawn % ONE_OF == 0 else None


def explanation(
    decision: Decision, why: Why, models: ModelSet | None, past: PastBars | None
) -> Explanation:
    """Explain a decision.

    Parameters
    ----------
    decision, why
        What is explained, and what for; on demand every feature gets its value too.
    models
        By whom it was decided; None if the file is not there.
    past
        The bars of the symbol up to that of the decision; None if they are not known.
    """
    told, detail = None, _missing(decision, models, past)
    if not detail and models is not None and past is not None:
        features = np.array([decision.features[name] for name in NAMES])
        weights = np.array(msgspec.structs.astuple(decision.strategy_weights))
        seed = int(decision.decision_id.replace("-", "")[:8], _HEX)
        orders = orders_of(seed, _ORDERS) if why == "demand" else None
        told = explain(models, features, past.bars, weights, orders)
    said = Explanation(
        decision_id=decision.decision_id,
        portfolio=decision.portfolio,
        symbol=decision.symbol,
        timeframe=decision.timeframe,
        timestamp=decision.timestamp,
        models=decision.digests.models,
        why=why,
        explained="controls" if told is None else "model",
        detail=detail,
        refused_by=[_refused(each) for each in decision.rejection_reasons],
        counterfactual=_counterfactual(decision),
    )
    if told is None or models is None:
        return said
    return _with_model(said, decision, told, models.ensemble.intercept)


def _missing(decision: Decision, models: ModelSet | None, past: PastBars | None) -> str:
    if decision.intent_id and not decision.features:
        return "the order came from outside: no bar and no model decided to ask for it"
    if not is_modelled(decision):
        return "features were warming up, or the input was void: no model was asked"
    if models is None:
        return f"the models {decision.digests.models[:12]} are not in the artifacts folder"
    if past is None or not _stands_on(past, decision):
        return "the bars before it are not known any more"
    return ""


def _refused(reason: Rejection) -> RefusedBy:
    limit, actual = reason.limit, reason.actual
    excess = None if limit is None or actual is None else actual - limit
    return RefusedBy(reason.code, reason.message, limit, actual, excess)


def _counterfactual(decision: Decision) -> Counterfactual | None:
    if decision.approved or decision.action == "HOLD":
        return None
    allowed = decision.allowed_quantity
    return Counterfactual(allowed, allowed - decision.quantity)


def _with_model(
    said: Explanation, decision: Decision, told: Explained, intercept: float
) -> Explanation:
    probabilities = msgspec.structs.astuple(decision.regime_probs)
    weights = msgspec.structs.astuple(decision.strategy_weights)
    specialists = {
        regime: SpecialistShare(
            probabilities[at],
            weights[at],
            float(told.scores[at]),
            float(told.shares[at]),
            told.attention[at].tolist(),
        )
        for at, regime in enumerate(REGIMES)
    }
    confidence = max(told.probability_up, 1.0 - told.probability_up)
    return msgspec.structs.replace(
        said,
        logit=told.logit,
        base_logit=told.families.base,
        intercept=intercept,
        probability_up=told.probability_up,
        residual=told.residual,
        is_additive=abs(told.residual) <= RESIDUAL_MAX,
        confidence_difference=confidence - decision.confidence,
        families=_named(FAMILIES, told.families.parts),
        features={} if told.inputs is None else _named(INPUTS, told.inputs.parts),
        specialists=specialists,
    )


def _named(names: tuple[str, ...], parts: Floats) -> dict[str, float]:
    return dict(zip(names, parts.tolist(), strict=True))


def read_explanation(raw: bytes | str) -> Explanation:
    """Decode an explanation.

    Raises
    ------
    RecordError
        If it is none.
    """
    return read_json(_EXPLANATION, raw if isinstance(raw, bytes) else raw.encode())


def explanation_rows(of: RunKey, value: bytes) -> list[Rows]:
    """Return the row of an explanation.

    Raises
    ------
    RecordError
        If the bytes are none.
    """
    said = read_explanation(value)
    try:
        text = value.decode()
    except UnicodeDecodeError as error:  # in a field that nobody reads
        raise RecordError("NOT_JSON", str(error)) from error
    row = (
        *(*of, said.decision_id, time_of(parse_ns(said.timestamp))),
        *(said.portfolio, said.symbol, said.why, said.explained),
        *(said.residual, said.is_additive, text),
    )
    return [Rows(EXPLANATIONS, [row])]
