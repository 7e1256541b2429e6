"""The breaker of the shared cache: what it lets through, whatever the wall clock says."""

from types import SimpleNamespace

import pytest

from streams import clock, metrics
from tables.stores.cached_row import ALONE, CacheKey
from tables.stores.shared_features import SharedFeatures

KEY = CacheKey("AAA", "1min", "v1.0.0")


def counted(reason: str) -> float:
    """Return how often a reading failed for a reason."""
    (found,) = metrics.CACHE_ERRORS.collect()
    return sum(
        sample.value
        for sample in found.samples
        if sample.name.endswith("_total") and reason in sample.labels.values()
    )


async def test_read_when_the_wall_clock_was_set_back_then_redis_is_asked_again_in_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The breaker's library counts on that clock: set back by a day, it would stay open for one."""
    wall_s, passed_s = 1e9, 0.0
    monkeypatch.setattr("purgatory.domain.model.time", SimpleNamespace(time=lambda: wall_s))
    monkeypatch.setattr(clock, "monotonic_s", lambda: passed_s)
    # Nobody listens on this port.
    shared = SharedFeatures("redis://127.0.0.1:1", ALONE)
    before = counted("away"), counted("open")

    async def asked() -> tuple[float, float]:
        assert await shared.read(KEY) is None
        return counted("away") - before[0], counted("open") - before[1]

    for n in range(1, 4):
        assert await asked() == (n, 0)
    assert await asked() == (3, 1)
    wall_s -= 86_400.0
    assert await asked() == (3, 2)
    passed_s += 6.0
    assert await asked() == (3, 3)
    assert await asked() == (4, 3)
    await shared.close()
