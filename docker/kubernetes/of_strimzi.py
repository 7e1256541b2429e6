"""Strimzi's resources: brokers, topics of the catalogue, and programs outside with their rights."""

from parts import (
    CLUSTER,
    N_PARTITIONS,
    OURS,
    REPLICATION,
    Manifest,
    Needs,
    named,
    resources,
)

from agents.topology import all_changelogs
from streams.brokers.kafka_jars import KAFKA_VERSION
from streams.topic_changes import declared
from streams.topics import CATALOGUE, EXECUTIONS, TRADING_DECISIONS

_STRIMZI = "kafka.strimzi.io/v1"

# Programs outside: what they may write and read. Who writes what stands in the catalogue.
USERS = {
    "feed-handler": (("market-ticks",), ()),
    "execution-system": (
        ("venue-executions", "portfolio-events"),
        (TRADING_DECISIONS.name, EXECUTIONS.name),
    ),
}


def topics() -> list[Manifest]:
    """Return the catalogue and the changelogs of the live run."""
    wanted = declared(
        prefix="", n_partitions=N_PARTITIONS, replication=REPLICATION, changelogs=all_changelogs("")
    )
    return [
        {
            **named(_STRIMZI, "KafkaTopic", name, {"strimzi.io/cluster": CLUSTER}),
            "spec": {
                "topicName": name,
                "partitions": topic.n_partitions,
                "replicas": topic.replication,
                "config": dict(topic.settings),
            },
        }
        for name, topic in wanted.items()
    ]


def users() -> list[Manifest]:
    """Return the programs outside."""
    return [_user(name, *rights) for name, rights in USERS.items()]


def _user(name: str, writes: tuple[str, ...], reads: tuple[str, ...]) -> Manifest:
    """Return a program outside, with the rights that it needs and no others."""
    known = {spec.name for spec in CATALOGUE if "user" in spec.writers.values()}
    if not set(writes) <= known:
        raise ValueError(f"{name} writes {writes}; users write {sorted(known)}")
    acls = [_acl("topic", topic, ["Describe", "Write"]) for topic in writes]
    acls += [_acl("topic", topic, ["Describe", "Read"]) for topic in reads]
    if reads:
        acls.append(_acl("group", f"{name}-", ["Read"], "prefix"))
    return {
        **named(_STRIMZI, "KafkaUser", name, {"strimzi.io/cluster": CLUSTER}),
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": acls},
        },
    }


def _acl(kind: str, name: str, operations: list[str], pattern: str = "literal") -> Manifest:
    resource = {"type": kind, "name": name, "patternType": pattern}
    return {"resource": resource, "operations": operations, "host": "*"}


def kafka() -> list[Manifest]:
    """Return three nodes, each broker and controller.

    The roles speak plain Kafka, at a listener that a network policy opens to them alone; they are
    its anonymous users. Programs outside have a listener with TLS and a login.
    """
    roles_alone = [{"podSelector": {"matchLabels": dict(OURS)}}]
    pool = named(_STRIMZI, "KafkaNodePool", "dual", {"strimzi.io/cluster": CLUSTER})
    storage = {"id": 0, "type": "persistent-claim", "size": "100Gi", "deleteClaim": False}
    pool["spec"] = {
        "replicas": REPLICATION,
        "roles": ["broker", "controller"],
        "storage": {"type": "jbod", "volumes": [storage]},
        "resources": resources(Needs("1", "2", "2Gi", "2Gi")),
        "jvmOptions": {"-Xms": "512m", "-Xmx": "1g"},
    }
    kafka = named(_STRIMZI, "Kafka", CLUSTER)
    plain = {"name": "plain", "port": 9092, "type": "internal", "tls": False}
    known = {"name": "scram", "port": 9093, "type": "internal", "tls": True}
    kafka["spec"] = {
        "kafka": {
            "version": KAFKA_VERSION,
            "listeners": [
                {**plain, "networkPolicyPeers": roles_alone},
                {**known, "authentication": {"type": "scram-sha-512"}},
            ],
            "authorization": {"type": "simple", "superUsers": ["ANONYMOUS"]},
            "config": {
                "auto.create.topics.enable": False,
                "default.replication.factor": REPLICATION,
                "min.insync.replicas": 2,
                "offsets.topic.replication.factor": REPLICATION,
                "transaction.state.log.replication.factor": REPLICATION,
                "transaction.state.log.min.isr": 2,
                "group.initial.rebalance.delay.ms": 0,
            },
        },
        "entityOperator": {"topicOperator": {}, "userOperator": {}},
    }
    return [pool, kafka]
