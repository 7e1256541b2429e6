"""The gauges of a stage: each has what the evidence says."""

import math

import msgspec
import pytest
from prometheus_client import REGISTRY

from agents.rollout_gauges import show_evidence
from streams.rollouts import Evidence
from tests.unit.tables.test_rollout import EVIDENCE


def shown(what: str, **labels: str) -> float:
    """Return what a gauge says."""
    found = REGISTRY.get_sample_value(f"tradewind_rollout_{what}", labels)
    assert found is not None
    return found


def test_show_evidence_when_something_is_unknown_then_a_chart_leaves_it_out() -> None:
    """A difference of zero would be read as one; percent and milliseconds are told in ones."""
    show_evidence(msgspec.convert(EVIDENCE, Evidence))
    assert (shown("bars"), shown("agreement_fraction")) == (500.0, 0.99)
    assert shown("loss_difference_nats", bound="lower") == -0.01
    assert math.isnan(shown("earned_difference_fraction", bound="upper"))
    assert shown("loss_nats", arm="challenger") == 0.69
    assert shown("p95_seconds", arm="champion") == 0.0
    figures = {**EVIDENCE["champion"], "p95_ms": 31.5}  # type: ignore[dict-item]
    show_evidence(msgspec.convert({**EVIDENCE, "champion": figures}, Evidence))
    assert shown("p95_seconds", arm="champion") == pytest.approx(0.0315)
