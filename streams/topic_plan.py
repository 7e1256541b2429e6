"""What a cluster's topics differ in from the declared ones, and which changes cost something.

Two descriptions in, a list of changes out; ``streams.topic_changes`` reads and alters a cluster.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

TOPIC = "topic"
PARTITIONS = "partitions"
REPLICATION = "replication"

_FOREVER = "-1"
_IN_SYNC = "min.insync.replicas"
_KEY_MOVES = "keys move to other partitions, and what stages keep by partition does not"
_RECORDS_GO = "the topic is deleted with its records and made anew"

# What is shown where nothing is.
ABSENT = ""


class Kind(StrEnum):
    """What a change takes."""

    SAFE = "safe"
    """Nothing is lost."""
    DESTRUCTIVE = "destructive"
    """Records, keys' places or copies are lost: done when that is asked for."""
    BY_HAND = "by hand"
    """Not done by this program."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic, as it is declared or as a cluster has it.

    Parameters
    ----------
    n_partitions, replication
        Number of partitions, and of copies of each.
    settings
        Value by name: of a declared topic what is declared, of a cluster's what is in force.
    own
        Names of the settings that a cluster's topic has of its own; the others are the broker's.
    """

    n_partitions: int
    replication: int
    settings: Mapping[str, str]
    own: frozenset[str] = field(default_factory=frozenset)


class Change(NamedTuple):
    """One difference.

    ``what`` is ``topic``, ``partitions``, ``replication`` or the name of a setting; ``cost`` says
    what is lost, or who does it.
    """

    topic: str
    what: str
    found: str
    wanted: str
    kind: Kind = Kind.SAFE
    cost: str = ""


def changes(wanted: Mapping[str, TopicState], found: Mapping[str, TopicState]) -> list[Change]:
    """Return what makes a cluster's topics the declared ones, in order of their names.

    Topics that are not declared are somebody else's, and are left out.
    """
    return [
        change
        for name in sorted(wanted)
        for change in _of_topic(name, wanted[name], found.get(name))
    ]


def is_remade(change: Change) -> bool:
    """Return whether a change deletes its topic."""
    return change.what == PARTITIONS and int(change.wanted) < int(change.found)


def _of_topic(name: str, wanted: TopicState, found: TopicState | None) -> Iterator[Change]:
    if found is None:
        shown = f"{wanted.n_partitions} partitions, replication {wanted.replication}"
        yield Change(name, TOPIC, ABSENT, shown)
        return
    if wanted.n_partitions != found.n_partitions:
        fewer = wanted.n_partitions < found.n_partitions
        yield Change(
            name,
            PARTITIONS,
            str(found.n_partitions),
            str(wanted.n_partitions),
            Kind.DESTRUCTIVE,
            _RECORDS_GO if fewer else _KEY_MOVES,
        )
    if wanted.replication != found.replication:
        yield Change(
            name,
            REPLICATION,
            str(found.replication),
            str(wanted.replication),
            Kind.BY_HAND,
            "copies are moved by kafka-reassign-partitions.sh or by Strimzi's Cruise Control",
        )
    yield from _of_settings(name, wanted.settings, found)


def _of_settings(name: str, wanted: Mapping[str, str], found: TopicState) -> Iterator[Change]:
    for key in sorted({*wanted, *found.own}):
        before, after = found.settings.get(key, ABSENT), wanted.get(key)
        if after is None:
            cost = "it is not declared: somebody set it"
            yield Change(name, key, before, ABSENT, Kind.DESTRUCTIVE, cost)
        elif before != after and key == _IN_SYNC and int(after) > found.replication:
            cost = f"with {found.replication} copies nothing could be written: copies come first"
            yield Change(name, key, before, after, Kind.BY_HAND, cost)
        elif before != after:
            cost = _cost(key, before, after)
            yield Change(name, key, before, after, Kind.DESTRUCTIVE if cost else Kind.SAFE, cost)


def _cost(key: str, before: str, after: str) -> str:
    """Say what a changed setting loses; empty if nothing."""
    if key == "cleanup.policy" and before:
        return "records that the other policy keeps go"
    if key == "retention.ms" and _is_shorter(before, after):
        return "records that are older go"
    if key == _IN_SYNC and before and int(after) < int(before):
        return "a record is acknowledged with fewer copies"
    return ""


def _is_shorter(before: str, after: str) -> bool:
    """Return whether a retention ends sooner; -1 is for ever."""
    if not before or after == _FOREVER:
        return False
    return before == _FOREVER or int(after) < int(before)
