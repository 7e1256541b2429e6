"""What of docker/kubernetes can be judged without a cluster: schemas, and our rules.

Kubernetes's own kinds are checked by the schemas of the package `kubernetes-validate`, strictly.
For Strimzi's and Prometheus's no package has one: their rules are ours, from their documentation.
"""

import copy
import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import kubernetes_validate
import yaml

from agents.cli.live_plan import FIXED_PORTS, METRICS_PORTS
from agents.topology import all_changelogs
from streams.topics import CATALOGUE
from tests.deployment import DOCKER, composed, refused, words_of
from tests.systemd_units import options

FOLDER = DOCKER / "kubernetes"
SCHEMAS = "1.33"

Manifest = Mapping[str, Any]

_OF_OTHERS = ("kafka.strimzi.io/", "monitoring.coreos.com/")
_WORKLOADS = ("StatefulSet", "Deployment")
# What differs between pods and containers of one machine.
_OF_PLACE = frozenset({"--alone", "--instance", "--host", "--name"})
_VARIABLE = re.compile(r"\$\((\w+)\)")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_OPERATIONS = frozenset({"Describe", "Read", "Write"})


@cache
def program() -> ModuleType:
    """Return the program that writes the manifests; it lies in a folder that is no package."""
    sys.path.insert(0, str(FOLDER))
    try:
        return import_module("manifests")
    finally:
        sys.path.remove(str(FOLDER))


def committed() -> dict[str, str]:
    """Return the files as they are committed."""
    return {path.name: path.read_text() for path in sorted(FOLDER.glob("*.yaml"))}


def manifests() -> list[dict[str, Any]]:
    """Return all objects of the committed files."""
    return copy.deepcopy([one for text in committed().values() for one in _parsed(text)])


@cache
def _parsed(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def manifest_faults(found: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with some objects."""
    faults = [
        f"{one['kind']} {one['metadata']['name']}: {fault}"
        for one in found
        for fault in (*_of_schema(json.dumps(one)), *_of_kind(one))
    ]
    return [*faults, *_of_all(found)]


@cache
def _of_schema(text: str) -> tuple[str, ...]:
    """Judge an object by its schema; reading that takes most of the time, hence the cache."""
    one = json.loads(text)
    if one["apiVersion"].startswith(_OF_OTHERS):
        return ()
    try:
        kubernetes_validate.validate(one, SCHEMAS, strict=True)
    except kubernetes_validate.ValidationError as error:
        return (f"{'.'.join(map(str, error.path))}: {error.message}",)
    return ()


def _of_kind(one: Manifest) -> Iterator[str]:
    kind = one["kind"]
    if not _NAME.fullmatch(one["metadata"]["name"]):
        yield "its name is none of Kubernetes"
    if kind == "KafkaTopic":
        yield from _of_topic(one)
    elif kind == "KafkaUser":
        yield from _of_user(one)
    elif kind in {*_WORKLOADS, "Job"}:
        yield from _of_pod(one["spec"]["template"]["spec"])
    elif kind == "CronJob":
        yield from _of_pod(one["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    if kind in _WORKLOADS:
        yield from _of_role(one)


def _of_topic(one: Manifest) -> Iterator[str]:
    spec = one["spec"]
    if set(spec) != {"topicName", "partitions", "replicas", "config"}:
        yield f"its fields are {sorted(spec)}"
    if not 1 <= int(spec["config"].get("min.insync.replicas", "1")) < spec["replicas"]:
        yield "the loss of one copy stops its writing"
    if "strimzi.io/cluster" not in one["metadata"]["labels"]:
        yield "no operator minds it: it has no label strimzi.io/cluster"


def _of_user(one: Manifest) -> Iterator[str]:
    if one["spec"]["authentication"]["type"] not in {"scram-sha-512", "tls"}:
        yield "anybody may say to be it"
    known = {spec.name for spec in CATALOGUE}
    for acl in one["spec"]["authorization"]["acls"]:
        if not set(acl["operations"]) <= _OPERATIONS:
            yield f"it may {acl['operations']}"
        resource = acl["resource"]
        if resource["type"] == "topic" and resource["name"] not in known:
            yield f"its topic {resource['name']} is none of the catalogue"


def _of_pod(pod: Manifest) -> Iterator[str]:
    security = pod.get("securityContext", {})
    if not security.get("runAsNonRoot") or security.get("seccompProfile") is None:
        yield "it may run as root, or call whatever the kernel has"
    if pod.get("automountServiceAccountToken") is not False:
        yield "it can speak to the cluster"
    if pod.get("enableServiceLinks") is not False:
        yield "services become TRADEWIND_ variables, which are no settings"
    for container in pod["containers"]:
        yield from _of_container(container)


def _of_container(container: Manifest) -> Iterator[str]:
    security = container.get("securityContext", {})
    wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    if {key: security.get(key) for key in wanted} != wanted:
        yield "it may gain privileges or write its image"
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield "it keeps capabilities"
    for key in ("requests", "limits"):
        if set(container.get("resources", {}).get(key, ())) != {"cpu", "memory"}:
            yield f"it has no {key} of processor and memory"
    if not re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+", container["image"]):
        yield f"its image is {container['image']}; expected a whole version"
    words = [_VARIABLE.sub("x", word) for word in container["args"]]
    if why := refused(words):
        yield f"it is told {' '.join(words)}: {why}"


def _of_role(one: Manifest) -> Iterator[str]:
    """Say where a workload does not answer as it is asked, or is not told what its container is."""
    name = one["metadata"]["name"]
    (container,) = one["spec"]["template"]["spec"]["containers"]
    for probe in {"startupProbe", "readinessProbe", "livenessProbe"} - set(container):
        yield f"it has no {probe}"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    if ports.get("metrics") != FIXED_PORTS[METRICS_PORTS[name]]:
        yield f"its /metrics are at {ports.get('metrics')}"
    said = " ".join(container["args"])
    yield from (f"it does not listen at {p}" for p in ports.values() if f"port={p}" not in said)
    if one["spec"].get("replicas", 1) > 1 and "--alone" in container["args"]:
        yield "several of it believe to be alone"
    yield from _beside(container, composed("dev")["services"][name])


def _beside(container: Manifest, service: Mapping[str, Any]) -> Iterator[str]:
    if differing := (options(container["args"]) ^ options(words_of(service))) - _OF_PLACE:
        yield f"it has other options than its container: {', '.join(sorted(differing))}"
    memory = container["resources"]["limits"]["memory"].removesuffix("i").lower()
    if memory != service["mem_limit"]:
        yield f"it gets {memory} of memory, its container {service['mem_limit']}"


def _of_all(found: list[dict[str, Any]]) -> Iterator[str]:
    """Objects that name each other are there."""
    names = {(one["kind"], one["metadata"]["name"]) for one in found}
    topics = {name for kind, name in names if kind == "KafkaTopic"}
    wanted = {spec.name for spec in CATALOGUE} | set(all_changelogs(""))
    if topics != wanted:
        yield f"topics: {sorted(topics ^ wanted)} differ from the catalogue"
    for one in found:
        if one["kind"] in _WORKLOADS:
            yield from _around(one, found, names)
    settings = next(
        one["data"]
        for one in found
        if (one["kind"], one["metadata"]["name"]) == ("ConfigMap", "tradewind")
    )
    given = (int(settings["TRADEWIND_PARTITIONS"]), int(settings["TRADEWIND_REPLICATION"]))
    for one in found:
        if one["kind"] == "KafkaTopic" and _size(one) != given:
            yield f"KafkaTopic {one['metadata']['name']}: {_size(one)}; the roles expect {given}"


def _size(topic: Manifest) -> tuple[int, int]:
    return topic["spec"]["partitions"], topic["spec"]["replicas"]


def _around(
    one: Manifest, found: list[dict[str, Any]], names: set[tuple[str, str]]
) -> Iterator[str]:
    name, spec = one["metadata"]["name"], one["spec"]
    labels = spec["template"]["metadata"]["labels"]
    for other in found:
        if (
            other["kind"] in {"Service", "PodDisruptionBudget"}
            and other["metadata"]["name"] == name
        ):
            chosen = other["spec"]["selector"]
            if not (chosen.get("matchLabels") or chosen).items() <= labels.items():
                yield f"{other['kind']} {name}: it finds no pod"
    if spec["replicas"] > 1 and ("PodDisruptionBudget", name) not in names:
        yield f"{name}: several, and no budget for disruptions"
    if "serviceName" in spec and ("Service", spec["serviceName"]) not in names:
        yield f"{name}: its service {spec['serviceName']} is not there"
    services = {service for kind, service in names if kind == "Service"}
    (container,) = spec["template"]["spec"]["containers"]
    for host, _ in re.findall(r"=http://([\w-]+):(\d+)", " ".join(container["args"])):
        if host not in services:
            yield f"{name}: it asks {host}, which is no service"
