"""What the page of one decision shows: the event, the model taken apart, and the proof."""

from typing import Any, NamedTuple

import msgspec

from models.features.catalogue import CATALOGUE
from models.regime.posterior import REGIMES
from streams.explanation import Explanation
from streams.records import Decision
from streams.timestamps import format_ns, parse_ns
from tables.stores.decision_log import LogRecord
from tables.views.decision_row import UNREADABLE, verdict_of
from tables.views.figures import Column, Waterfall, columns, waterfall
from tables.views.reasons import Why

WATERFALL_WIDTH = 360.0
_COLUMNS_WIDTH, _COLUMNS_HEIGHT = 128.0, 28.0

_FEATURES = {feature.name: feature for feature in CATALOGUE}


class Looked(NamedTuple):
    """Where a specialist looked: its columns, and the bar that it looked at most."""

    columns: list[Column]
    most: float
    bars_ago: int


def detail(decision: Decision, record: LogRecord, why: Why) -> dict[str, Any]:
    """Return what the template of one decision prints."""
    said = why.explanation
    return {
        "decision": decision,
        "record": record,
        "close": format_ns(parse_ns(decision.timestamp)),
        "verdict": verdict_of(decision),
        "regime": msgspec.structs.astuple(decision.regime_probs),
        "weights": msgspec.structs.astuple(decision.strategy_weights),
        "checks": msgspec.structs.asdict(decision.risk_checks),
        "digests": msgspec.structs.asdict(decision.digests),
        "families": _families(decision),
        "why": said,
        "badge": why.badge,
        "drawn": _drawn(said),
        "drawn_width": WATERFALL_WIDTH,
        "specialists": {
            name: said.specialists[name] for name in REGIMES if name in said.specialists
        },
        "looked": _looked(said),
        "raw_json": _indented(record.value or b""),
    }


def _drawn(said: Explanation) -> Waterfall | None:
    if said.explained != "model" or said.base_logit is None:
        return None
    return waterfall(said.base_logit, said.families, WATERFALL_WIDTH)


def _looked(said: Explanation) -> dict[str, Looked]:
    """Return where each specialist looked; one scale for all, so that they can be compared."""
    highest = max(
        (max(each.attention, default=0.0) for each in said.specialists.values()), default=0
    )
    looked = {}
    for name, each in said.specialists.items():
        drawn = columns(each.attention, highest, _COLUMNS_WIDTH, _COLUMNS_HEIGHT)
        most = max(each.attention, default=0.0)
        bars_ago = each.attention[::-1].index(most) if each.attention else 0
        looked[name] = Looked(drawn, most, bars_ago)
    return looked


def _families(decision: Decision) -> dict[str, list[tuple[str, float, str]]]:
    families: dict[str, list[tuple[str, float, str]]] = {}
    for name, value in decision.features.items():
        known = _FEATURES.get(name)
        family, unit = (known.family, known.unit) if known else ("other", "")
        families.setdefault(family, []).append((name, value, unit))
    return families


def _indented(value: bytes) -> str:
    try:
        return msgspec.json.format(value, indent=2).decode(errors="replace")
    except UNREADABLE:
        return value.decode(errors="replace")
