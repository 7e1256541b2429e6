"""Names of metrics: those that the product declares, and those that a query asks for."""

import re

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from streams import metrics

# What Prometheus adds to each target.
_OF_PROMETHEUS = frozenset({"up"})
_SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "gauge": ("",),
}
_IN_QUOTES = re.compile(r'"[^"]*"')
_NAME = re.compile(r"\b(?:tradewind_\w+|process_\w+|python_\w+|up)\b")


def declared() -> set[str]:
    """Return every name of a series that a role of the product has, or its client adds."""
    own = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    families = [next(iter(each.describe())) for each in own]
    families += [
        each for each in REGISTRY.collect() if each.name.startswith(("process_", "python_"))
    ]
    return _OF_PROMETHEUS | {
        f"{family.name}{suffix}"
        for family in families
        for suffix in _SUFFIXES.get(family.type, ("",))
    }


def named(query: str) -> set[str]:
    """Return the names of metrics in a query."""
    return set(_NAME.findall(_IN_QUOTES.sub("", query)))
