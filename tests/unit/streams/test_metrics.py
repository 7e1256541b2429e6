"""The names that dashboards and alerts rely on."""

from prometheus_client.metrics import MetricWrapperBase

from streams import metrics


def all_metrics() -> list[MetricWrapperBase]:
    """Return every metric of the catalogue."""
    return [found for found in vars(metrics).values() if isinstance(found, MetricWrapperBase)]


def test_metrics_when_listed_then_are_ours_once_and_documented() -> None:
    """Every name has our prefix and a sentence, and stands once."""
    described = [next(iter(metric.describe())) for metric in all_metrics()]
    names = [metric.name for metric in described]
    assert len(names) == len(set(names)) >= 10
    assert all(name.startswith("tradewind_") for name in names)
    assert all(metric.documentation.endswith(".") for metric in described)


def test_seconds_when_bucketed_then_meet_the_service_levels() -> None:
    """The 10, 20, 50 and 200 ms of the contracts are bounds, so shares are exact there."""
    assert {0.005, 0.01, 0.02, 0.05, 0.2} <= set(metrics._SECONDS)
    assert list(metrics._SECONDS) == sorted(metrics._SECONDS)
