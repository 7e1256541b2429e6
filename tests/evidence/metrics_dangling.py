"""``metrics-dangling``: what panels and alerts ask for, and nothing measures.

Each query of each panel and each rule is taken apart; a name that neither streams/metrics.py
declares nor Prometheus's client adds is dangling.
"""

import json
from collections.abc import Iterator

from tests.alerts import DOCKER, rules_of
from tests.evidence.measurement import Measurement, Result
from tests.metric_names import declared, named


def queries() -> Iterator[tuple[str, str]]:
    """Yield each query with where it stands."""
    for name, rule in rules_of().items():
        yield f"alert {name}", rule["expr"]
    for board in sorted((DOCKER / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(board.read_text())["panels"]:
            for target in panel.get("targets", []):
                yield f"{board.stem}: {panel['title']}", target["expr"]


def measure() -> Result:
    """Count the names that nothing declares, and the queries that ask for nothing at all."""
    known, asked = declared(), list(queries())
    dangling = sorted({f"{where}: {n}" for where, query in asked for n in named(query) - known})
    dangling += [f"{where}: asks for no metric" for where, query in asked if not named(query)]
    names = set().union(*(named(query) for _, query in asked))
    return Result(
        value=len(dangling),
        holds=not dangling and bool(asked),
        n=len(asked),
        parts={
            "queries": len(asked),
            "metrics_asked": len(names & known),
            "metrics_declared": len(known),
            "dangling": dangling,
        },
    )


METRICS_DANGLING = Measurement(
    "metrics-dangling",
    "metrics that a panel or an alert asks for and nothing declares",
    "0",
    0.1,
    measure,
)
