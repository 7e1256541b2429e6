"""What differs is found, and what a change would cost is said before it is made."""

import pytest

from streams.topic_plan import Change, Kind, TopicState, changes, is_remade

DAY_MS = "86400000"
HOUR_MS = "3600000"


def state(n_partitions: int = 2, replication: int = 1, **settings: str) -> TopicState:
    """Return a topic with settings of its own; names with _ for the dots."""
    named = {key.replace("_", "."): value for key, value in settings.items()}
    return TopicState(n_partitions, replication, named, frozenset(named))


def differences(wanted: TopicState, found: TopicState) -> list[Change]:
    """Return what differs between two topics ``t``."""
    return changes({"t": wanted}, {"t": found})


def test_changes_when_nothing_differs_then_are_none() -> None:
    """A plan of a cluster that is as declared is empty."""
    one = state(retention_ms=DAY_MS)
    assert differences(one, one) == []


def test_changes_when_the_broker_has_the_value_as_its_default_then_are_none() -> None:
    """What is in force counts, whoever set it."""
    wanted = state(compression_type="producer")
    found = TopicState(2, 1, {"compression.type": "producer", "preallocate": "false"})
    assert differences(wanted, found) == []


def test_changes_when_a_topic_is_missing_then_creates_it_with_all_it_has() -> None:
    """One line for a new topic, not one for each of its settings."""
    (change,) = changes({"t": state(4, 3, retention_ms=DAY_MS)}, {})
    assert change == Change("t", "topic", "", "4 partitions, replication 3", Kind.SAFE, "")


def test_changes_when_a_cluster_has_topics_of_others_then_leaves_them() -> None:
    """Nobody's topics are deleted because we do not know them."""
    one = state()
    assert changes({"t": one}, {"t": one, "orders": state(7)}) == []


def test_changes_when_partitions_differ_then_are_destructive() -> None:
    """More of them move keys away from what is kept of them; fewer need a new topic."""
    (more,) = differences(wanted=state(4), found=state(2))
    (fewer,) = differences(wanted=state(2), found=state(4))
    assert more[:5] == ("t", "partitions", "2", "4", Kind.DESTRUCTIVE)
    assert fewer[:5] == ("t", "partitions", "4", "2", Kind.DESTRUCTIVE)
    assert (is_remade(more), is_remade(fewer)) == (False, True)
    assert "keys move" in more.cost
    assert "deleted with its records" in fewer.cost


def test_changes_when_replication_differs_then_are_made_by_hand() -> None:
    """Copies are moved by the cluster's own tools."""
    (change,) = differences(state(replication=3), state(replication=1))
    assert (change.what, change.kind) == ("replication", Kind.BY_HAND)
    assert "kafka-reassign-partitions" in change.cost


@pytest.mark.parametrize(
    ("found", "wanted", "kind"),
    [
        (DAY_MS, HOUR_MS, Kind.DESTRUCTIVE),
        (HOUR_MS, DAY_MS, Kind.SAFE),
        ("-1", DAY_MS, Kind.DESTRUCTIVE),
        (DAY_MS, "-1", Kind.SAFE),
        ("", DAY_MS, Kind.SAFE),
    ],
)
def test_changes_when_retention_differs_then_only_a_shorter_one_is_destructive(
    found: str, wanted: str, kind: Kind
) -> None:
    """-1 keeps for ever, which is longer than anything."""
    (change,) = differences(state(retention_ms=wanted), state(retention_ms=found))
    assert change == Change("t", "retention.ms", found, wanted, kind, change.cost)
    assert bool(change.cost) is (kind is Kind.DESTRUCTIVE)


@pytest.mark.parametrize(
    ("key", "found", "wanted", "kind"),
    [
        ("cleanup.policy", "delete", "compact", Kind.DESTRUCTIVE),
        ("min.insync.replicas", "2", "1", Kind.DESTRUCTIVE),
        ("min.insync.replicas", "1", "2", Kind.SAFE),
        ("max.message.bytes", "1048588", "16777216", Kind.SAFE),
        ("segment.ms", "1000", "2000", Kind.SAFE),
    ],
)
def test_changes_when_a_setting_differs_then_says_what_it_costs(
    key: str, found: str, wanted: str, kind: Kind
) -> None:
    """Another policy loses records, fewer copies lose what was acknowledged."""
    (change,) = differences(
        TopicState(2, 3, {key: wanted}, frozenset({key})),
        TopicState(2, 3, {key: found}, frozenset({key})),
    )
    assert (change.what, change.found, change.wanted, change.kind) == (key, found, wanted, kind)


def test_changes_when_somebody_set_what_is_not_declared_then_taking_it_away_is_asked_for() -> None:
    """A bound that a person put there goes only by a person's word."""
    (change,) = differences(state(), state(retention_bytes="1000"))
    assert change[:5] == ("t", "retention.bytes", "1000", "", Kind.DESTRUCTIVE)


def test_changes_when_there_are_fewer_copies_than_must_be_written_then_copies_come_first() -> None:
    """With one copy and two that must have a record, the topic would take no record at all."""
    wanted = state(replication=3, min_insync_replicas="2")
    copies, in_sync = differences(wanted, TopicState(2, 1, {"min.insync.replicas": "1"}))
    assert (copies.what, copies.kind) == ("replication", Kind.BY_HAND)
    assert (in_sync.what, in_sync.kind) == ("min.insync.replicas", Kind.BY_HAND)
    assert "copies come first" in in_sync.cost
