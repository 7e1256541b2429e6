"""The record of an update has the fields that were promised, and survives the wire."""

import msgspec

from streams.model_updates import DataWindow, ModelUpdate, PerformanceMetrics, StabilityCheck


def refused_update() -> ModelUpdate:
    """Return an update that its gate has refused, with everything that can be said."""
    return ModelUpdate(
        timestamp="2026-01-01T00:00:00Z",
        job_id="j",
        model_id="m",
        update_type="online_update",
        outcome="refused",
        before="a",
        after="b",
        data_window=DataWindow(
            learned_first_close="2025-10-01T00:00:00Z",
            learned_last_close="2025-11-30T00:00:00Z",
            judged_first_close="2025-12-02T00:00:00Z",
            judged_last_close="2025-12-31T00:00:00Z",
            n_learned_bars=42,
            n_judged_bars=21,
            origin="journal",
        ),
        performance_metrics=PerformanceMetrics(
            sharpe_pre=1.0,
            sharpe_post=None,
            degradation_pct=None,
            loss_pre=0.69,
            loss_post=0.7,
            loss_degradation_pct=1.4,
        ),
        stability_check=StabilityCheck(
            passed=False, reasons=["LOSS_WORSE"], n_bars=21, lower=0.001, upper=0.02
        ),
    )


def test_model_update_when_encoded_then_has_the_promised_fields() -> None:
    """model_id, update_type, data_window, performance_metrics and stability_check, as named."""
    update = refused_update()
    raw = msgspec.json.encode(update)
    said = msgspec.json.decode(raw)
    promised = {"model_id", "update_type", "data_window", "performance_metrics", "stability_check"}
    assert promised <= set(said)
    assert {"sharpe_pre", "sharpe_post", "degradation_pct"} <= set(said["performance_metrics"])
    assert msgspec.json.decode(raw, type=ModelUpdate) == update
