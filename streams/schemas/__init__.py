"""JSON Schemas of the edges, one file a record, for consumers and producers in other languages.

The files are made from :mod:`streams.records` by ``python -m streams.schemas``. It refuses a change
that would break a program written against the committed file; such a change needs a new record.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from streams.audit import AuditHead
from streams.explanation import Explanation
from streams.instructions import (
    BookOpen,
    DecidedIntent,
    Dividend,
    LimitChange,
    OrderIntent,
    RiskParity,
    Split,
    TargetIntent,
    TradingState,
    VenueExecution,
)
from streams.model_updates import ModelUpdate
from streams.records import (
    Decision,
    EpochNotice,
    Execution,
    Heartbeat,
    PortfolioSnapshot,
    Tick,
)
from streams.rollouts import FeatureFlag, RolloutState

FOLDER = Path(__file__).parent

# What others write to us must stay readable; what we write must keep its fields.
READ = (
    Tick,
    OrderIntent,
    TargetIntent,
    DecidedIntent,
    VenueExecution,
    LimitChange,
    TradingState,
    BookOpen,
    Split,
    Dividend,
    RiskParity,
)
WRITTEN = (
    Heartbeat,
    EpochNotice,
    Decision,
    Execution,
    PortfolioSnapshot,
    AuditHead,
    Explanation,
    ModelUpdate,
    RolloutState,
    FeatureFlag,
)

Schema = dict[str, Any]


def path_of(record: type) -> Path:
    """Return the file of a record's schema."""
    return FOLDER / f"{record.__name__}.json"


def schema_of(record: type) -> Schema:
    """Return the schema of a record as its class stands now."""
    schema: Schema = msgspec.json.schema(record)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def text_of(schema: Schema) -> str:
    """Return a schema as the text of its file."""
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def breaks(old: Schema, new: Schema, *, is_read: bool) -> list[str]:
    """Say what a program written against ``old`` could no longer do.

    Parameters
    ----------
    old, new
        Schemas of the same record.
    is_read
        True for a record that others write: then a field may not become required. Otherwise a
        required field may not become optional. In both, a field may neither go nor change.
    """
    before, after = _fields(old), _fields(new)
    found = [f"{name} is gone" for name in sorted(set(before) - set(after))]
    for name in sorted(set(before) & set(after)):
        if before[name][0] != after[name][0]:
            found.append(f"{name} was {before[name][0]}, is {after[name][0]}")
        elif before[name][1] and not after[name][1] and not is_read:
            found.append(f"{name} is no longer required")
    if is_read:
        found += [
            f"{name} is now required"
            for name in sorted(after)
            if after[name][1] and not before.get(name, ("", False))[1]
        ]
    return found


def _fields(schema: Schema) -> dict[str, tuple[str, bool]]:
    """Return ``Record.field`` -> (its type as canonical text, whether it is required)."""
    fields = {}
    for record, definition in schema["$defs"].items():
        for name, said in definition.get("properties", {}).items():
            is_required = name in definition.get("required", ())
            fields[f"{record}.{name}"] = (json.dumps(_kind(said), sort_keys=True), is_required)
    return fields


def _kind(said: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in said.items() if key not in ("default", "description")}
