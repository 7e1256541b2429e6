"""Quantiles of counts, within the width of a bucket."""

import numpy as np
import pytest

from models.rollout import latency


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_quantile_when_compared_then_is_at_most_ten_percent_above(share: float) -> None:
    """The nearest rank of all values, rounded up to its bucket's edge."""
    values = np.sort(np.random.default_rng(5).lognormal(3.0, 1.0, 5_000))
    counts = np.zeros(latency.N_BUCKETS, np.int64)
    for value in values:
        counts[latency.bucket(float(value))] += 1
    exact = values[int(np.ceil(share * len(values))) - 1]
    found = latency.quantile_ms(counts, share)
    assert found is not None
    assert exact <= found * (1 + 1e-12)
    assert found <= exact * latency.GROWTH


def test_quantile_when_there_is_nothing_then_is_none() -> None:
    """No decisions have no latency."""
    assert latency.quantile_ms(np.zeros(latency.N_BUCKETS, np.int64), 0.95) is None


def test_bucket_when_out_of_range_then_is_at_an_end() -> None:
    """Negative ones, of clocks that differ, and endless ones are counted as well."""
    assert (latency.bucket(-5.0), latency.bucket(1e12)) == (0, latency.N_BUCKETS - 1)
