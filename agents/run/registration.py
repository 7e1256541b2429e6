"""What the registry is told: a model set, from its own metadata, and how its rollout stands."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from agents.run.timings import kept
from models.features.catalogue import PIPELINE_VERSION
from models.registry.card import card
from models.rollout.stages import Rollout
from streams.brokers import stack_id
from streams.timestamps import format_ns
from tables.stores.artifacts import Artifacts
from tables.stores.model_registry import (
    CHALLENGER,
    CHAMPION,
    STACK_TAG,
    Entry,
    ModelRegistry,
    Version,
    model_name,
)


def register(
    registry: ModelRegistry,
    artifacts: Artifacts,
    digest: str,
    alias: str | None = CHAMPION,
    judged: Mapping[str, float] | None = None,
) -> Version:
    """Register a model set of the store, and give it an alias of its stack and timeframe, if any.

    ``judged`` are metrics that are not in the set's own metadata.
    """
    metadata = artifacts.load_models(digest).metadata
    home = artifacts.root.parent
    stack = stack_id(home)
    entry = entry_of(digest, metadata, kept(home, digest), stack)
    entry = entry._replace(metrics={**entry.metrics, **(judged or {})})
    return registry.register(model_name(metadata["timeframe"], stack), entry, alias)


def follow(registry: ModelRegistry, artifacts: Artifacts, rollout: Rollout) -> None:
    """Let the registry's names say how a rollout stands; a step that was followed stays so.

    While it runs its models are challenger, and champion once they decide alone. When it goes back
    nobody is challenger, and if they were champion the models that decide are it again. Each step
    acts once, by its time: whom somebody made champion behind it stays.
    """
    timeframe = artifacts.load_models(rollout.challenger).metadata["timeframe"]
    name = model_name(timeframe, stack_id(artifacts.root.parent))
    at_ns = rollout.transitions[-1].at_ns
    if at_ns <= registry.step_ns(name):
        return
    if not rollout.is_over:
        register(registry, artifacts, rollout.challenger, CHALLENGER)
    elif rollout.state == "done":
        register(registry, artifacts, rollout.challenger)
        registry.release(name, CHALLENGER)
    else:
        known = registry.versions(name)
        if not known:
            return  # it was never told of any
        if any(each.digest == rollout.challenger and CHAMPION in each.aliases for each in known):
            register(registry, artifacts, rollout.champion)
        registry.release(name, CHALLENGER)
    registry.write_step(name, at_ns)


def entry_of(
    digest: str, metadata: Mapping[str, Any], timings: Mapping[str, float], stack: str
) -> Entry:
    """Return what is registered: configuration, metrics, timings, lineage and card.

    What a set that learned has from its fit is called so: its own bars are others.
    """
    of_fit = "fit." if "learned" in metadata else ""
    return Entry(
        digest=digest,
        parameters=dict(_flat(metadata["config"])),
        metrics={
            of_fit + name: float(value)
            for name, value in _flat(metadata["metrics"])
            if isinstance(value, int | float) and math.isfinite(value)
        }
        | _agreement(metadata)
        | dict(timings),
        series={
            name: [(step, value) for step, value in enumerate(values) if value is not None]
            for name, values in metadata.get("series", {}).items()
        },
        card=card(metadata, digest=digest),
        tags={
            STACK_TAG: stack,
            "tradewind.timeframe": metadata["timeframe"],
            "tradewind.source": str(metadata.get("source", "")),
            "tradewind.first_close": format_ns(metadata["first_close_ns"]),
            "tradewind.last_close": format_ns(metadata["last_close_ns"]),
            "tradewind.pipeline": f"{PIPELINE_VERSION} {metadata['pipeline_digest']}",
            "tradewind.seed": str(metadata["seed"]),
            "tradewind.previous": str(metadata.get("previous") or ""),
            "tradewind.base": str(metadata.get("learned", {}).get("base", "")),
            "tradewind.start": str(metadata.get("learned", {}).get("start", "")),
            "tradewind.regimes": str(metadata.get("succession", {}).get("outcome", "")),
            "tradewind.code": str(metadata.get("code") or ""),
        },
    )


def _agreement(metadata: Mapping[str, Any]) -> dict[str, float]:
    agreed = metadata.get("succession", {}).get("agreement_fraction")
    return {} if agreed is None else {"regime_agreement": agreed}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested tables as dotted names and values."""
    for name, value in sorted(tree.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value
