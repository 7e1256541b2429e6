"""The catalogue of topics: name, key, value, retention and the one writer of each record kind."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from streams.clock import monotonic_s
from streams.errors import TopicError

_HOUR_MS = 3_600_000

# How long a created topic may stay without partitions in the broker's metadata.
_PROPAGATION_S = 10.0
_PROPAGATION_POLL_S = 0.05

_DAY_MS = 24 * _HOUR_MS
_MIB = 1 << 20

# Raw bytes of a poison record may fill the broker's default of 1 MiB and still get headers.
_DEAD_LETTER_BYTES = 2 * _MIB

# A holding takes 300 bytes, so the broker's default of 1 MiB would end at 3,000 of them.
_SNAPSHOT_BYTES = 4 * _MIB

# A snapshot of 512 symbols with windows of 252 bars takes up to 8 MiB before compression.
_CHANGELOG = "-changelog"
CHANGELOG_BYTES = 16 * _MIB


# The broker deletes whole segments. At its defaults one takes a week or a gigabyte to fill, however
# short the retention is; with six of them a record is kept for 7/6 of it at most.
_SEGMENTS = 6


# Copies of a record from which on the loss of one broker need not stop the writing.
_SAFE_COPIES = 3


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic.

    Parameters
    ----------
    name
        Name without the run prefix.
    key, value
        What the bytes are, for people and for the generated documentation.
    retention_ms
        How long records are kept.
    writers
        Record kind -> the one role that writes it.
    config
        Further topic settings of the broker.
    """

    name: str
    key: str
    value: str
    retention_ms: int
    writers: Mapping[str, str]
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def kept_ms_max(self) -> int:
        """How old a record may become before its segment is deleted."""
        return self.retention_ms + self._segment_ms

    @property
    def _segment_ms(self) -> int:
        return self.retention_ms // _SEGMENTS

    def settings(self) -> dict[str, str]:
        """Return the broker's settings for this topic."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "segment.ms": str(self._segment_ms),
            "compression.type": "producer",
            **self.config,
        }


# What strangers write by the thousand is bounded as it is read, not as it is sent: a batch of 10 kB
# can hold 100 MB of ticks, and the broker looks at the size of what it keeps.
_BOUNDED = {"compression.type": "uncompressed"}

# Written by the broker, so that no step waits for it; what is measured stands in docs/adr/0004.
_COMPRESSED = {"compression.type": "lz4"}

MARKET_TICKS = TopicSpec(
    "market-ticks",
    "symbol",
    "JSON tick, list of ticks, or bar; heartbeats of the one clock",
    _DAY_MS,
    {"tick": "user", "heartbeat": "clock", "epoch": "clock"},
    _BOUNDED,
)
MARKET_BARS = TopicSpec("market-bars", "partition", "slice", 6 * _HOUR_MS, {"slice": "bars"})
FEATURE_SLICES = TopicSpec(
    "feature-slices", "partition", "slice", 6 * _HOUR_MS, {"slice": "features"}
)
# What the archive reads is kept over a weekend in which the database is away, Friday evening to
# Monday morning with eight hours to spare. A row takes 609 bytes in the one and 661 in the other,
# at 100 rows a slice. At 200 symbols and 1-minute bars that is 175 + 190 MB a day, below the 500 MB
# by which a stack may grow, and never more than 1.3 GB at once.
_WEEKEND_MS = 3 * _DAY_MS
REGIME_PROBABILITIES = TopicSpec(
    "regime-probabilities", "partition", "slice", _WEEKEND_MS, {"slice": "regime"}
)
STRATEGY_WEIGHTS = TopicSpec(
    "strategy-weights", "partition", "slice", _WEEKEND_MS, {"slice": "weights"}
)
PORTFOLIO_EVENTS = TopicSpec(
    "portfolio-events",
    "portfolio",
    "the one ordered log of the book: slices with targets, and JSON records that act on it",
    7 * _DAY_MS,
    {
        "slice": "prediction",
        "venue_execution": "execution",
        "order_intent": "user",
        "target_intent": "serving",
        "decided_intent": "serving",
        "limit_change": "user",
        # A person, or in his place the watch of a worker's disk.
        "trading_state": "user",
        "book_open": "user",
        "split": "user",
        "dividend": "user",
        "risk_parity": "user",
    },
    _COMPRESSED,
)
VENUE_EXECUTIONS = TopicSpec(
    "venue-executions",
    "portfolio",
    "JSON execution of a venue",
    7 * _DAY_MS,
    {"venue-execution": "user"},
    _COMPRESSED,
)
TRADING_DECISIONS = TopicSpec(
    "trading-decisions",
    "portfolio",
    "JSON decision",
    7 * _DAY_MS,
    {"decision": "risk"},
    _COMPRESSED,
)
EXECUTIONS = TopicSpec(
    "executions", "portfolio", "JSON execution", 7 * _DAY_MS, {"execution": "risk"}, _COMPRESSED
)
PORTFOLIO_SNAPSHOTS = TopicSpec(
    "portfolio-snapshots",
    "portfolio",
    "JSON account after each bar",
    7 * _DAY_MS,
    {"snapshot": "risk"},
    {**_COMPRESSED, "max.message.bytes": str(_SNAPSHOT_BYTES)},
)
EXPLANATIONS = TopicSpec(
    "explanations",
    "decision_id",
    "JSON explanation of a decision",
    7 * _DAY_MS,
    {"explanation": "explain"},
    _COMPRESSED,
)
# Small and few, and what proves the audit trail: kept for as long as that.
AUDIT_HEADS = TopicSpec(
    "audit-heads",
    "partition of trading-decisions",
    "JSON head of the audit trail, signed",
    7 * 365 * _DAY_MS,
    {"audit-head": "forensics"},
)
# A few a day: how models came to be is kept as long as what they decided.
MODEL_UPDATES = TopicSpec(
    "model-updates",
    "model_id",
    "JSON: an update of models, how it was judged, and what became of it",
    7 * 365 * _DAY_MS,
    {"model-update": "learning"},
)
# Twice a slice's weights and one record a bar, while a rollout runs: 150 bytes a row. Kept over a
# weekend in which who compares them is away.
SHADOW_INTENTS = TopicSpec(
    "shadow-intents",
    "partition",
    "slice: what champion and challenger wish for each row",
    _WEEKEND_MS,
    {"shadow": "prediction"},
)
# A state by id: how each rollout stands, and the flags. The newest of each is kept for ever, so the
# time says nothing; it is there because every topic has one.
ROLLOUT_STAGES = TopicSpec(
    "rollout-stages",
    "id of the rollout, or `flag:` and its name",
    "JSON: a rollout's stage with all its transitions and their evidence, or a flag",
    7 * 365 * _DAY_MS,
    {"rollout": "rollout", "flag": "rollout"},
    {"cleanup.policy": "compact", "min.compaction.lag.ms": str(_DAY_MS)},
)
DEAD_LETTERS = TopicSpec(
    "dead-letters",
    "origin as topic:partition:offset:index",
    "the raw bytes; reason, detail and origin in headers",
    7 * _DAY_MS,
    {"dead-letter": "the stage that could not use it"},
    {**_COMPRESSED, "max.message.bytes": str(_DEAD_LETTER_BYTES)},
)

CATALOGUE = (
    MARKET_TICKS,
    MARKET_BARS,
    FEATURE_SLICES,
    REGIME_PROBABILITIES,
    STRATEGY_WEIGHTS,
    PORTFOLIO_EVENTS,
    VENUE_EXECUTIONS,
    TRADING_DECISIONS,
    EXECUTIONS,
    PORTFOLIO_SNAPSHOTS,
    EXPLANATIONS,
    AUDIT_HEADS,
    MODEL_UPDATES,
    SHADOW_INTENTS,
    ROLLOUT_STAGES,
    DEAD_LETTERS,
)

# Compaction may only remove what is old enough that no sleeping writer can still overwrite it.
_CHANGELOG_SETTINGS = {
    "cleanup.policy": "compact",
    "segment.bytes": str(16 * _MIB),
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
    "min.compaction.lag.ms": "600000",
    "max.message.bytes": str(CHANGELOG_BYTES),
}


def changelog_name(app_id: str, table: str) -> str:
    """Return the name that Faust gives the changelog of a table."""
    return f"{app_id}-{table}{_CHANGELOG}"


def topic_settings(
    prefix: str, replication: int, changelogs: tuple[str, ...] = ()
) -> dict[str, dict[str, str]]:
    """Return the broker's settings of every topic of a run, by name.

    With three copies or more, two must have a record before it is acknowledged: one broker may be
    lost, and nothing that was acknowledged is.
    """
    safe = {"min.insync.replicas": "2"} if replication >= _SAFE_COPIES else {}
    wanted = {f"{prefix}{spec.name}": {**spec.settings(), **safe} for spec in CATALOGUE}
    return wanted | {name: {**_CHANGELOG_SETTINGS, **safe} for name in changelogs}


async def declare(
    admin: AIOKafkaAdminClient,
    *,
    prefix: str,
    n_partitions: int,
    replication: int,
    changelogs: tuple[str, ...] = (),
) -> None:
    """Create what is missing of the catalogue and the changelogs; check what exists.

    Faust would only log a missing source topic and go on without it, so this comes before any
    worker.

    Raises
    ------
    TopicError
        If a topic exists with another number of partitions: keys would be placed elsewhere. If
        there are states of a stage that this version does not have: its own would begin empty.
    """
    wanted = topic_settings(prefix, replication, changelogs)
    existing = set(await admin.list_topics())
    _refuse_others(existing, changelogs)
    for name, settings in wanted.items():
        if name not in existing:
            await _create(admin, NewTopic(name, n_partitions, replication, topic_configs=settings))
    for name, found in (await _partition_counts(admin, sorted(wanted))).items():
        if found != n_partitions:
            raise TopicError(
                f"topic {name} has {found} partitions; expected {n_partitions}: "
                "delete it or set partitions to what it has"
            )


def _refuse_others(existing: set[str], changelogs: tuple[str, ...]) -> None:
    groups = {name.removesuffix(_CHANGELOG).rpartition("-")[0] for name in changelogs}
    others = [
        name
        for name in sorted(existing.difference(changelogs))
        if name.endswith(_CHANGELOG) and name.removesuffix(_CHANGELOG).rpartition("-")[0] in groups
    ]
    if others:
        raise TopicError(
            f"{', '.join(others)}: states of stages that this version does not have. The run was "
            "begun by another version, and would go on from empty states; replay it into fresh "
            "topics, or take another --name"
        )


async def _partition_counts(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """Return partitions by topic; a topic just created needs a moment to show any."""
    deadline_s = monotonic_s() + _PROPAGATION_S
    while True:
        described = await admin.describe_topics(names)
        counts = {topic["topic"]: len(topic["partitions"]) for topic in described}
        if all(counts.values()) or monotonic_s() > deadline_s:
            return counts
        await asyncio.sleep(_PROPAGATION_POLL_S)


async def _create(admin: AIOKafkaAdminClient, topic: NewTopic) -> None:
    try:
        response = await admin.create_topics([topic])
    except TopicAlreadyExistsError:
        return
    for name, code, *message in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise TopicError(f"topic {name} could not be created: code {code} {message}")
