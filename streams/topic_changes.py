"""The declared topics and those of a cluster: read both, and change the cluster.

Kafka's admin protocol sets all of a topic's own settings at once, so those that stay are sent too.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.clock import monotonic_s
from streams.errors import TopicError
from streams.kafka_access import kafka
from streams.topic_plan import PARTITIONS, TOPIC, Change, Kind, TopicState, is_remade
from streams.topics import topic_settings

# Of a described setting: its name, its value, and who set it (Kafka's ConfigSource).
_NAME, _VALUE, _SOURCE = 0, 1, 3
_OF_TOPIC = 1
# Of a described topic: code, message, type, name, settings.
_CODE, _RESOURCE, _ENTRIES = 0, 3, 4

# A change shows in the brokers' metadata within milliseconds; a laden one takes longer.
_SETTLED_S = 30.0
_POLL_S = 0.05


def declared(
    *, prefix: str, n_partitions: int, replication: int, changelogs: tuple[str, ...]
) -> dict[str, TopicState]:
    """Return the catalogue and the changelogs of a run as they should be, by name."""
    settings = topic_settings(prefix, replication, changelogs)
    return {
        name: TopicState(n_partitions, replication, each, frozenset(each))
        for name, each in settings.items()
    }


@asynccontextmanager
async def administering(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give a client that changes topics."""
    admin = AIOKafkaAdminClient(**kafka(servers))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def described(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, TopicState]:
    """Return those of some topics that a cluster has.

    Raises
    ------
    TopicError
        If the settings of one may not be read.
    """
    there = set(await admin.list_topics())
    known = [name for name in sorted(names) if name in there]
    if not known:
        return {}
    settings = await _settings(admin, known)
    found = {}
    for topic in await admin.describe_topics(known):
        name, partitions = topic["topic"], topic["partitions"]
        values = {entry[_NAME]: entry[_VALUE] for entry in settings[name]}
        own = {entry[_NAME] for entry in settings[name] if entry[_SOURCE] == _OF_TOPIC}
        copies = min((len(each["replicas"]) for each in partitions), default=0)
        found[name] = TopicState(len(partitions), copies, values, frozenset(own))
    return found


async def _settings(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, list[Any]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, list[Any]] = {}
    for response in await admin.describe_configs(resources):
        for resource in response.resources:
            if resource[_CODE]:
                raise TopicError(
                    f"settings of topic {resource[_RESOURCE]} cannot be read: code "
                    f"{resource[_CODE]} {resource[_CODE + 1]}; expected a login that may describe"
                )
            found[resource[_RESOURCE]] = resource[_ENTRIES]
    return found


async def carry_out(
    admin: AIOKafkaAdminClient,
    plan: Iterable[Change],
    wanted: Mapping[str, TopicState],
    *,
    destructive: bool = False,
) -> list[Change]:
    """Do what a plan says; return the changes that were not done.

    Parameters
    ----------
    admin
        A started client.
    plan
        Changes, those of a topic together.
    wanted
        The declared topics.
    destructive
        Do also what loses something.

    Raises
    ------
    TopicError
        If the cluster refuses a change; those before it are done.
    """
    left = []
    for name, group in groupby(plan, lambda change: change.topic):
        of_topic = list(group)
        done = [one for one in of_topic if _is_wanted(one, destructive=destructive)]
        left += [one for one in of_topic if one not in done]
        await _change(admin, name, done, wanted[name])
    return left


def _is_wanted(change: Change, *, destructive: bool) -> bool:
    return change.kind is Kind.SAFE or (destructive and change.kind is Kind.DESTRUCTIVE)


async def _change(
    admin: AIOKafkaAdminClient, name: str, done: list[Change], wanted: TopicState
) -> None:
    """Do some changes of one topic."""
    if any(map(is_remade, done)):
        await admin.delete_topics([name])
        await _settled(admin, name, 0)
        await _create(admin, name, wanted)
        return
    settings = {}
    for change in done:
        if change.what == TOPIC:
            await _create(admin, name, wanted)
        elif change.what == PARTITIONS:
            await admin.create_partitions({name: NewPartitions(wanted.n_partitions)})
            await _settled(admin, name, wanted.n_partitions)
        else:
            settings[change.what] = change.wanted
    if settings:
        await _set(admin, name, settings)


async def _create(admin: AIOKafkaAdminClient, name: str, wanted: TopicState) -> None:
    new = NewTopic(
        name, wanted.n_partitions, wanted.replication, topic_configs=dict(wanted.settings)
    )
    response = await admin.create_topics([new])
    for topic, code, *message in response.topic_errors:
        if code:
            raise TopicError(f"topic {topic} could not be created: code {code} {message}")
    await _settled(admin, name, wanted.n_partitions)


async def _settled(admin: AIOKafkaAdminClient, name: str, n_partitions: int) -> None:
    """Wait until the brokers' metadata shows a topic with its partitions; 0 for none of it."""
    deadline_s = monotonic_s() + _SETTLED_S
    while (found := await _n_partitions(admin, name)) != n_partitions:
        if monotonic_s() > deadline_s:
            raise TopicError(
                f"topic {name} has {found} partitions after {_SETTLED_S:g} s; expected "
                f"{n_partitions}: see whether all brokers are up (and, of one that was deleted, "
                "whether delete.topic.enable is true), then apply again"
            )
        await asyncio.sleep(_POLL_S)


async def _n_partitions(admin: AIOKafkaAdminClient, name: str) -> int:
    """Return how many partitions a topic shows; 0 if it is not there."""
    if name not in await admin.list_topics():
        return 0
    (topic,) = await admin.describe_topics([name])
    return len(topic["partitions"])


async def _set(admin: AIOKafkaAdminClient, name: str, changed: dict[str, str]) -> None:
    """Change some of a topic's settings; an empty value takes one away."""
    now = (await described(admin, [name]))[name]
    settings = {key: now.settings[key] for key in now.own} | changed
    kept = {key: value for key, value in sorted(settings.items()) if value}
    for response in await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name, kept)]
    ):
        for code, message, *_ in response.resources:
            if code:
                raise TopicError(
                    f"settings of topic {name} could not be changed: code {code} {message}"
                )
