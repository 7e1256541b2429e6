"""What the registry is told about a model set, from the set's own metadata."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from models.features.catalogue import PIPELINE_VERSION
from models.registry.card import card
from streams.timestamps import format_ns
from tables.stores.artifacts import Artifacts
from tables.stores.model_registry import Entry, ModelRegistry, Version, model_name


def register(registry: ModelRegistry, artifacts: Artifacts, digest: str) -> Version:
    """Register a model set of the store and make it champion of its timeframe."""
    metadata = artifacts.load_models(digest).metadata
    return registry.register(model_name(metadata["timeframe"]), entry_of(digest, metadata))


def entry_of(digest: str, metadata: Mapping[str, Any]) -> Entry:
    """Return what is registered: configuration, metrics, lineage and card."""
    return Entry(
        digest=digest,
        parameters=dict(_flat(metadata["config"])),
        metrics={
            name: float(value)
            for name, value in _flat(metadata["metrics"])
            if isinstance(value, int | float) and math.isfinite(value)
        },
        series=metadata.get("series", {}),
        card=card(metadata, digest=digest),
        tags={
            "tradewind.timeframe": metadata["timeframe"],
            "tradewind.source": str(metadata.get("source", "")),
            "tradewind.first_close": format_ns(metadata["first_close_ns"]),
            "tradewind.last_close": format_ns(metadata["last_close_ns"]),
            "tradewind.pipeline": f"{PIPELINE_VERSION} {metadata['pipeline_digest']}",
            "tradewind.seed": str(metadata["seed"]),
            "tradewind.code": str(metadata.get("code") or ""),
        },
    )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested tables as dotted names and values."""
    for name, value in sorted(tree.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value
