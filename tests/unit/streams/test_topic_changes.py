"""Changes are sent to the cluster as planned, and what it refuses is said."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource

from streams import topic_changes
from streams.errors import TopicError
from streams.topic_changes import carry_out, declared, described
from streams.topic_plan import TopicState, changes
from streams.topics import CATALOGUE

_OF_TOPIC, _OF_BROKER = 1, 5


class Cluster:
    """A cluster's admin side, in memory, which answers as Kafka's protocol does.

    Parameters
    ----------
    topics
        Topic -> partitions and its own settings.
    code
        What every change of settings and every creation is answered with.
    lingers
        Whether a deleted topic stays.
    """

    def __init__(
        self, topics: dict[str, tuple[int, dict[str, str]]], *, code: int = 0, lingers: bool = False
    ) -> None:
        self.topics = topics
        self.code = code
        self.lingers = lingers
        self.acts: list[str] = []

    async def list_topics(self) -> list[str]:
        """Return the names."""
        return list(self.topics)

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        """Return each topic with its partitions, two copies of each."""
        return [
            {"topic": name, "partitions": [{"replicas": [1, 2]}] * self.topics[name][0]}
            for name in names
        ]

    async def describe_configs(self, resources: list[ConfigResource]) -> list[SimpleNamespace]:
        """Return the settings in force."""
        rows = [(self.code, "why", 2, one.name, self._entries(one.name)) for one in resources]
        return [SimpleNamespace(resources=rows)]

    def _entries(self, name: str) -> list[tuple[Any, ...]]:
        own = self.topics[name][1]
        entries = [(key, value, False, _OF_TOPIC) for key, value in own.items()]
        return [*entries, ("preallocate", "false", False, _OF_BROKER)]

    async def create_topics(self, new: list[NewTopic]) -> SimpleNamespace:
        """Create, or refuse."""
        for topic in new:
            self.acts.append(f"create {topic.name}")
            self.topics[topic.name] = (topic.num_partitions, topic.topic_configs)
        return SimpleNamespace(topic_errors=[(topic.name, self.code, "why") for topic in new])

    async def delete_topics(self, names: list[str]) -> None:
        """Delete, at once or never."""
        for name in names:
            self.acts.append(f"delete {name}")
            if not self.lingers:
                del self.topics[name]

    async def create_partitions(self, wanted: dict[str, NewPartitions]) -> None:
        """Add partitions."""
        for name, partitions in wanted.items():
            self.acts.append(f"grow {name}")
            self.topics[name] = (partitions.total_count, self.topics[name][1])

    async def alter_configs(self, resources: list[ConfigResource]) -> list[SimpleNamespace]:
        """Set all of a topic's own settings at once, as the protocol does."""
        for one in resources:
            self.acts.append(f"set {one.name}")
            self.topics[one.name] = (self.topics[one.name][0], dict(one.configs))
        rows = [(self.code, "why", 2, one.name) for one in resources]
        return [SimpleNamespace(resources=rows)]


def admin(cluster: Cluster) -> AIOKafkaAdminClient:
    """Return the cluster as the client that it stands for."""
    return cast(AIOKafkaAdminClient, cluster)


def state(n_partitions: int = 1, **settings: str) -> TopicState:
    """Return a declared topic with two copies; names of settings with _ for the dots."""
    named = {key.replace("_", "."): value for key, value in settings.items()}
    return TopicState(n_partitions, 2, named, frozenset(named))


async def applied(
    cluster: Cluster, wanted: dict[str, TopicState], *, destructive: bool = False
) -> list[str]:
    """Plan and carry out; return what was not done."""
    plan = changes(wanted, await described(admin(cluster), wanted))
    left = await carry_out(admin(cluster), plan, wanted, destructive=destructive)
    return [change.what for change in left]


async def test_apply_when_topics_are_missing_then_creates_them_and_then_nothing() -> None:
    """The second time a plan is empty."""
    cluster = Cluster({})
    wanted = {"a": state(2, retention_ms="5"), "b": state()}
    assert await applied(cluster, wanted) == []
    assert cluster.topics == {"a": (2, {"retention.ms": "5"}), "b": (1, {})}
    assert await applied(cluster, wanted) == []
    assert cluster.acts == ["create a", "create b"]


async def test_apply_when_a_setting_differs_then_the_others_stay() -> None:
    """The protocol sets all of them at once; what a person put there is sent again."""
    cluster = Cluster({"a": (1, {"retention.ms": "5", "retention.bytes": "9"})})
    assert await applied(cluster, {"a": state(retention_ms="7")}) == ["retention.bytes"]
    assert cluster.topics["a"][1] == {"retention.bytes": "9", "retention.ms": "7"}


async def test_apply_when_a_change_loses_something_then_waits_for_the_flag() -> None:
    """Without it nothing is sent, with it what is not declared is taken away too."""
    cluster = Cluster({"a": (1, {"retention.ms": "5", "retention.bytes": "9"})})
    wanted = {"a": state(2, retention_ms="3")}
    assert await applied(cluster, wanted) == ["partitions", "retention.bytes", "retention.ms"]
    assert cluster.acts == []
    assert await applied(cluster, wanted, destructive=True) == []
    assert cluster.topics == {"a": (2, {"retention.ms": "3"})}


async def test_apply_when_partitions_are_too_many_then_makes_the_topic_anew() -> None:
    """Kafka takes no partition away."""
    cluster = Cluster({"a": (4, {"retention.ms": "5"})})
    wanted = {"a": state(2, retention_ms="7")}
    assert await applied(cluster, wanted, destructive=True) == []
    assert cluster.topics == {"a": (2, {"retention.ms": "7"})}
    assert cluster.acts == ["delete a", "create a"]


async def test_apply_when_copies_differ_then_leaves_it_to_a_person() -> None:
    """No flag does it."""
    cluster = Cluster({"a": (1, {})})
    wanted = {"a": TopicState(1, 3, {})}
    assert await applied(cluster, wanted, destructive=True) == ["replication"]
    assert cluster.acts == []


async def test_apply_when_a_deleted_topic_stays_then_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cluster may forbid deleting."""
    monkeypatch.setattr(topic_changes, "_SETTLED_S", 0.0)
    monkeypatch.setattr(topic_changes, "_POLL_S", 0.0)
    cluster = Cluster({"a": (2, {})}, lingers=True)
    with pytest.raises(
        TopicError, match=r"topic a has 2 partitions after 0 s; expected 0: .*delete\.topic"
    ):
        await applied(cluster, {"a": state(1)}, destructive=True)


async def test_cluster_when_it_refuses_then_says_what_and_why() -> None:
    """Topic, code and the cluster's own words are in the message."""
    wanted = {"a": state(retention_ms="5")}
    with pytest.raises(TopicError, match=r"topic a could not be created: code 29 .*why"):
        await applied(Cluster({}, code=29), wanted)
    cluster = Cluster({"a": (1, {})}, code=29)
    with pytest.raises(TopicError, match="settings of topic a cannot be read: code 29 why"):
        await described(admin(cluster), wanted)
    plan = changes(wanted, {"a": state()})
    cluster = Cluster({"a": (1, {})})
    refused = Cluster(cluster.topics, code=29)
    cluster.alter_configs = refused.alter_configs  # type: ignore[method-assign]
    with pytest.raises(TopicError, match="settings of topic a could not be changed: code 29 why"):
        await carry_out(admin(cluster), plan, wanted)


def test_declared_when_made_then_is_what_a_start_would_create() -> None:
    """Catalogue and changelogs, two of three copies before a record counts."""
    made = declared(prefix="r1.", n_partitions=4, replication=3, changelogs=("app-bars-changelog",))
    assert set(made) == {f"r1.{spec.name}" for spec in CATALOGUE} | {"app-bars-changelog"}
    assert {(each.n_partitions, each.replication) for each in made.values()} == {(4, 3)}
    for spec in CATALOGUE:
        wanted = spec.settings() | {"min.insync.replicas": "2"}
        assert made[f"r1.{spec.name}"].settings == wanted
        assert made[f"r1.{spec.name}"].own == frozenset(wanted)
    assert made["app-bars-changelog"].settings["cleanup.policy"] == "compact"
