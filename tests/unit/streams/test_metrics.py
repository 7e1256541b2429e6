"""The names that dashboards and alerts rely on."""

from pathlib import Path
from types import SimpleNamespace

import pytest
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


def test_disk_when_watched_then_says_its_share_at_every_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it in use is 0.5, and the next look sees what has changed."""
    used = [50, 90]
    monkeypatch.setattr(
        "streams.metrics.shutil.disk_usage", lambda _: SimpleNamespace(used=used.pop(0), total=100)
    )
    metrics.watch_disk(tmp_path)
    read = [metrics.DISK_USED_FRACTION.collect()[0].samples[0].value for _ in range(2)]
    monkeypatch.undo()
    metrics.watch_disk(tmp_path)
    assert read == [0.5, 0.9]
