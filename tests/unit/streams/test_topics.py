"""The catalogue is created as declared, and what exists otherwise is refused."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from agents import archive
from streams import topics
from streams.errors import TopicError
from streams.topics import CATALOGUE, changelog_name, declare


class Admin:
    """A broker's admin side, in memory.

    Parameters
    ----------
    existing
        Topic -> number of partitions.
    answer
        Code that every creation answers with, or an error to raise.
    """

    def __init__(self, existing: dict[str, int], answer: int | Exception = 0) -> None:
        self.existing = existing
        self.answer = answer
        self.created: dict[str, NewTopic] = {}

    async def list_topics(self) -> list[str]:
        """Return the names."""
        return list(self.existing)

    async def create_topics(self, new: list[NewTopic]) -> SimpleNamespace:
        """Create, or answer as told."""
        for topic in new:
            self.existing.setdefault(topic.name, topic.num_partitions)
            self.created[topic.name] = topic
        if isinstance(self.answer, Exception):
            raise self.answer
        return SimpleNamespace(topic_errors=[(topic.name, self.answer, "why") for topic in new])

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        """Return each topic's partitions."""
        return [{"topic": name, "partitions": [{}] * self.existing[name]} for name in names]


async def declared(admin: Admin, **changes: Any) -> None:  # noqa: ANN401  any argument
    """Declare two partitions under the prefix ``r1.``."""
    wanted = {"prefix": "r1.", "n_partitions": 2, "replication": 1} | changes
    await declare(cast(AIOKafkaAdminClient, admin), **cast(dict[str, Any], wanted))


async def test_declare_when_nothing_exists_then_creates_all_with_their_settings() -> None:
    """Every topic of the catalogue and every changelog is made, explicitly."""
    admin = Admin({})
    changelog = changelog_name("app", "bars")
    await declared(admin, changelogs=(changelog,), replication=3)
    assert set(admin.created) == {f"r1.{spec.name}" for spec in CATALOGUE} | {changelog}
    assert {(t.num_partitions, t.replication_factor) for t in admin.created.values()} == {(2, 3)}
    for spec in CATALOGUE:
        safe = {"min.insync.replicas": "2"}
        assert admin.created[f"r1.{spec.name}"].topic_configs == spec.settings() | safe
    assert admin.created[changelog].topic_configs["cleanup.policy"] == "compact"


async def test_declare_when_all_exists_then_creates_nothing() -> None:
    """A second start changes nothing."""
    admin = Admin({f"r1.{spec.name}": 2 for spec in CATALOGUE})
    await declared(admin)
    assert admin.created == {}


async def test_declare_when_partitions_differ_then_refuses() -> None:
    """Keys would be placed elsewhere."""
    admin = Admin({f"r1.{spec.name}": 2 for spec in CATALOGUE} | {"r1.market-bars": 3})
    with pytest.raises(TopicError, match=r"r1\.market-bars has 3 partitions; expected 2"):
        await declared(admin)


async def test_declare_when_another_version_began_the_run_then_refuses() -> None:
    """Its states would not be found; those of other runs and other programs are no concern."""
    ours = changelog_name("r1.app", "signals")
    admin = Admin({ours: 2, "r2.r1.app-regime-changelog": 2, "r1.application-x-changelog": 2})
    await declared(admin, changelogs=(ours,))
    admin.existing[changelog_name("r1.app", "regime")] = 2
    with pytest.raises(TopicError, match=r"r1\.app-regime-changelog: states of stages .* --name"):
        await declared(admin, changelogs=(ours,))


@pytest.mark.parametrize(
    "answer", [TopicAlreadyExistsError.errno, TopicAlreadyExistsError("another worker")]
)
async def test_declare_when_another_worker_was_faster_then_goes_on(
    answer: int | Exception,
) -> None:
    """Two workers may start at once."""
    await declared(Admin({}, answer))


async def test_declare_when_the_broker_refuses_then_says_why() -> None:
    """The topic, the code and the broker's own words are in the message."""
    with pytest.raises(TopicError, match=r"r1\.market-ticks could not be created: code 29 .*why"):
        await declared(Admin({}, 29))


def test_catalogue_when_listed_then_keeps_the_contracts_retention() -> None:
    """Decisions stay seven days, compressed; dead letters hold what filled a whole record."""
    specs = {spec.name: spec for spec in CATALOGUE}
    assert len(specs) == len(CATALOGUE)
    decisions = specs["trading-decisions"].settings()
    assert decisions["retention.ms"] == str(7 * 24 * 3600 * 1000)
    assert decisions["compression.type"] in {"lz4", "zstd"}
    assert int(specs["dead-letters"].settings()["max.message.bytes"]) > 1 << 20
    assert int(specs["portfolio-snapshots"].settings()["max.message.bytes"]) >= 10_000 * 300
    assert specs["market-ticks"].settings()["compression.type"] == "uncompressed"
    assert topics.CHANGELOG_BYTES >= 8 << 20


@pytest.mark.parametrize("spec", CATALOGUE, ids=lambda spec: spec.name)
def test_settings_when_a_topic_is_kept_by_time_then_its_segments_are_shorter(
    spec: topics.TopicSpec,
) -> None:
    """The broker deletes whole segments: at its default of a week no retention of hours holds."""
    settings = spec.settings()
    assert int(settings["segment.ms"]) * 6 == int(settings["retention.ms"]) == spec.retention_ms
    assert spec.kept_ms_max == spec.retention_ms * 7 // 6


def test_catalogue_when_the_database_is_away_over_a_weekend_then_the_archive_loses_nothing() -> (
    None
):
    """Friday 17:00 to Monday 09:00 are 64 hours."""
    kept = {spec.name: spec.retention_ms for spec in CATALOGUE}
    assert min(kept[name] for name in archive.SOURCES) >= 64 * 3_600_000
