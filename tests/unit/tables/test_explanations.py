"""Explanations: which are made, what stands in them, and what is said where there is none."""

import msgspec
import numpy as np
import pytest

from models.features.catalogue import NAMES
from models.specialists.window import ATTENDED
from streams.codec import StateError, pack_state
from streams.errors import RecordError
from streams.records import Decision, StrategyWeights
from streams.timestamps import format_ns, parse_ns
from tables.archive import RunKey
from tables.explanations import (
    NO_BARS,
    KeptBars,
    PastBars,
    explanation,
    explanation_rows,
    pack_bars,
    place_of,
    read_decision,
    read_explanation,
    tells_of_a_bar,
    unpack_bars,
    why_of,
    with_bar,
)
from tests.builders import models
from tests.unit.tables.views.played import LEVERAGED, TOO_MUCH, decision, refused

MODELS = models(2)
DAY_NS = 86_400 * 10**9
FIRST_NS = parse_ns("2026-01-02T21:00:00Z")


def at_bar(number: int, **changed: object) -> Decision:
    """Return the decision of a bar, with all features."""
    draw = np.random.default_rng(number)
    features = dict(zip(NAMES, draw.normal(size=len(NAMES)).tolist(), strict=True))
    made = decision(
        number + 1,
        timestamp=format_ns(FIRST_NS + number * DAY_NS),
        features=features,
        strategy_weights=StrategyWeights(0.5, 0.2, 0.3),
    )
    return msgspec.structs.replace(made, **changed)


def bars(n_bars: int) -> PastBars:
    """Return what decisions of so many bars told."""
    past = NO_BARS
    for number in range(n_bars):
        past = with_bar(past, at_bar(number))
    return past


def test_bars_when_pushed_then_the_last_sixteen_stay_in_order() -> None:
    """As the specialists' window has them: the oldest first, the current one last."""
    past = bars(20)
    expected = [[at_bar(n).features[name] for name in ATTENDED] for n in range(4, 20)]
    assert past.bars.tolist() == expected
    assert past.close_ns == FIRST_NS + 19 * DAY_NS
    assert with_bar(past, at_bar(19, portfolio="other")) is past
    assert with_bar(past, at_bar(3)) is past
    assert np.isnan(with_bar(past, at_bar(20, features={})).bars[-1]).all()


def test_bars_when_packed_and_unpacked_then_are_the_same() -> None:
    """A restart goes on from the very numbers."""
    kept = {"KO": bars(3), "AAPL": bars(20)}
    back = unpack_bars(pack_bars(kept))
    assert sorted(back) == ["AAPL", "KO"]
    for symbol, past in kept.items():
        assert back[symbol].close_ns == past.close_ns
        assert np.array_equal(back[symbol].bars, past.bars, equal_nan=True)
    assert place_of("1min", "KO") != place_of("1day", "KO")
    assert len({place_of("1min", f"S{n}") for n in range(500)}) == 16


def test_unpack_when_lists_and_bars_do_not_fit_then_is_no_state() -> None:
    """A damaged snapshot ends the worker by name and not by whatever breaks first."""
    kept = KeptBars(["KO"], [1], np.zeros((1, 16, len(ATTENDED))))
    assert unpack_bars(pack_state(kept))["KO"].close_ns == 1
    for changed in (
        {"symbols": ["KO", "PEP"]},
        {"closes_ns": []},
        {"bars": np.zeros((1, 15, len(ATTENDED)))},
        {"bars": np.array(0.0)},
    ):
        with pytest.raises(StateError, match="expected"):
            unpack_bars(pack_state(kept._replace(**changed)))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (decision(1), "order"),
        (refused(1), "refusal"),
        (decision(1, action="HOLD", quantity=0), "sample"),
        (
            msgspec.structs.replace(
                decision(1, action="HOLD"), decision_id="00000001-0000-5000-8000-000000000001"
            ),
            None,
        ),
        (decision(1, action="HOLD", approved=False, note="INPUT_VOID"), "refusal"),
    ],
)
def test_why_when_asked_then_orders_and_refusals_are_always_explained(
    made: Decision, why: str | None
) -> None:
    """The rest by its id, so the same decisions in every run."""
    assert why_of(made) == why


def test_bars_when_no_bar_was_decided_then_are_not_told() -> None:
    """Orders from outside and void input say nothing about a bar."""
    assert tells_of_a_bar(decision(1))
    assert not tells_of_a_bar(decision(1, intent_id="mine"))
    assert not tells_of_a_bar(decision(1, note="INPUT_VOID"))


def test_explanation_when_refused_then_names_control_excess_and_the_nearest_order() -> None:
    """By how much each control was broken, and what would have passed."""
    said = explanation(refused(1, TOO_MUCH, LEVERAGED), "refusal", None, None)
    assert [(each.code, each.limit, each.actual) for each in said.refused_by] == [
        ("MAX_ASSET_FRACTION", 0.25, 0.31),
        ("MAX_LEVERAGE", 1.5, 1.62),
    ]
    assert [each.excess for each in said.refused_by] == pytest.approx([0.06, 0.12])
    assert said.counterfactual is not None
    assert (said.counterfactual.quantity, said.counterfactual.change) == (80, -40)
    assert explanation(decision(1), "order", None, None).counterfactual is None


def test_explanation_when_the_model_is_there_then_reproduces_and_adds_up() -> None:
    """The confidence is the served one to the last bit, and every part has its name."""
    last = at_bar(19)
    plain = explanation(last, "order", MODELS, bars(20))
    assert plain.probability_up is not None
    served = max(plain.probability_up, 1 - plain.probability_up)
    last = msgspec.structs.replace(last, confidence=served)
    said = explanation(last, "demand", MODELS, bars(20))
    assert (said.explained, said.detail, said.confidence_difference) == ("model", "", 0.0)
    assert said.is_additive
    assert said.base_logit is not None
    assert said.logit is not None
    assert said.base_logit + sum(said.families.values()) == pytest.approx(said.logit, abs=1e-9)
    assert said.base_logit + sum(said.features.values()) == pytest.approx(said.logit, abs=1e-9)
    assert set(said.features) == {*NAMES, "past_bars"}
    assert plain.features == {}
    shares = sum(each.share for each in said.specialists.values())
    assert said.intercept is not None
    assert shares + said.intercept == pytest.approx(said.logit, abs=1e-12)
    assert all(sum(s.attention) == pytest.approx(1.0) for s in said.specialists.values())
    assert read_explanation(msgspec.json.encode(said)) == said


@pytest.mark.parametrize(
    ("made", "has_models", "n_bars", "detail"),
    [
        (at_bar(19, intent_id="mine", features={}), True, 20, "came from outside"),
        (at_bar(19, features={}), True, 20, "warming up"),
        (at_bar(19), False, 20, "are not in the artifacts folder"),
        (at_bar(19), True, 0, "not known any more"),
        (at_bar(19), True, 19, "not known any more"),
    ],
)
def test_explanation_when_the_model_cannot_be_asked_then_says_why(
    made: Decision, n_bars: int, detail: str, *, has_models: bool
) -> None:
    """What was not explained says so; its controls are there all the same."""
    past = bars(n_bars) if n_bars else None
    said = explanation(made, "order", MODELS if has_models else None, past)
    assert said.explained == "controls"
    assert detail in said.detail
    assert (said.logit, said.families) == (None, {})


def test_rows_when_made_then_have_key_flags_and_the_document() -> None:
    """One row a decision; what is no explanation is refused."""
    said = explanation(at_bar(19), "order", MODELS, bars(20))
    raw = msgspec.json.encode(said)
    ((row,),) = (rows.values for rows in explanation_rows(RunKey("s-1", "live"), raw))
    assert row[:3] == ("s-1", "live", said.decision_id)
    assert row[4:8] == ("main", "AAPL", "order", "model")
    assert row[8:] == (said.residual, True, raw.decode())
    with pytest.raises(RecordError):
        explanation_rows(RunKey("s-1", "live"), b"poison")
    with pytest.raises(RecordError, match="NOT_JSON"):
        explanation_rows(RunKey("s-1", "live"), raw.replace(b"{", b'{"unknown":"\xff",', 1))
    with pytest.raises(RecordError):
        read_decision(b"{}")
