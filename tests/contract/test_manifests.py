"""The manifests are what their program writes, fit their schemas and keep the rules."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from streams.topics import TRADING_DECISIONS
from tests.alerts import DOCKER, rules_of
from tests.kubernetes_manifests import committed, manifest_faults, manifests, program

Objects = list[dict[str, Any]]


def test_manifests_when_written_then_are_the_committed_ones() -> None:
    """Who edits the YAML by hand is told; the program is what is edited."""
    written = program()
    made = {name: written.rendered(objects) for name, objects in written.files().items()}
    assert made == committed()


def test_manifests_when_read_then_have_no_fault() -> None:
    """By Kubernetes's schemas and by our rules."""
    found = manifests()
    assert manifest_faults(found) == []
    assert {one["kind"] for one in found} >= {
        *("KafkaTopic", "KafkaUser", "Kafka", "StatefulSet", "Deployment", "Job", "CronJob"),
        *("Service", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor", "PrometheusRule"),
    }


def test_topics_when_declared_then_have_the_catalogues_settings() -> None:
    """Retention, policy and copies of the decisions, as streams/topics.py has them."""
    specs = {
        one["metadata"]["name"]: one["spec"] for one in manifests() if one["kind"] == "KafkaTopic"
    }
    safe = {"min.insync.replicas": "2"}
    assert specs["trading-decisions"]["config"] == TRADING_DECISIONS.settings() | safe
    assert specs["tradewind-trading-risk-changelog"]["config"]["cleanup.policy"] == "compact"


def test_monitoring_when_applied_then_has_every_alert_and_dashboard() -> None:
    """Who runs on Kubernetes is told of the same things as anybody else."""
    found = manifests()
    groups = of(found, "PrometheusRule", "tradewind")["spec"]["groups"]
    told = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    assert told == rules_of()
    shown = {
        name: json.loads(text)
        for one in found
        if one["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, text in one["data"].items()
    }
    boards = (DOCKER / "grafana" / "dashboards").glob("*.json")
    assert shown == {path.name: json.loads(path.read_text()) for path in boards}


def of(found: Objects, kind: str, name: str) -> dict[str, Any]:
    """Return one object."""
    return next(one for one in found if (one["kind"], one["metadata"]["name"]) == (kind, name))


def container(found: Objects, kind: str, name: str) -> dict[str, Any]:
    """Return the container of a workload."""
    made: dict[str, Any] = of(found, kind, name)["spec"]["template"]["spec"]["containers"][0]
    return made


def pod(found: Objects, kind: str = "Deployment", name: str = "web") -> dict[str, Any]:
    """Return the pod of a workload."""
    made: dict[str, Any] = of(found, kind, name)["spec"]["template"]["spec"]
    return made


# What is done to the objects, and what must be said then.
SLIPS: dict[str, Callable[[Objects], object]] = {
    "Additional properties": lambda all_: of(all_, "Service", "web")["spec"].update(prots=[]),
    "the loss of one copy": lambda all_: of(all_, "KafkaTopic", "executions")["spec"].update(
        replicas=2
    ),
    "differ from the catalogue": lambda all_: all_.remove(of(all_, "KafkaTopic", "executions")),
    "the roles expect": lambda all_: of(all_, "KafkaTopic", "executions")["spec"].update(
        partitions=2
    ),
    "its fields are": lambda all_: of(all_, "KafkaTopic", "executions")["spec"].update(x=1),
    "no operator": lambda all_: of(all_, "KafkaTopic", "executions")["metadata"].update(labels={}),
    "anybody may": lambda all_: of(all_, "KafkaUser", "feed-handler")["spec"].update(
        authentication={"type": "none"}
    ),
    "it may ['All']": lambda all_: of(all_, "KafkaUser", "feed-handler")["spec"]["authorization"][
        "acls"
    ][0].update(operations=["All"]),
    "none of the catalogue": lambda all_: of(all_, "KafkaUser", "feed-handler")["spec"][
        "authorization"
    ]["acls"][0]["resource"].update(name="orders"),
    "may run as root": lambda all_: pod(all_).update(securityContext={}),
    "speak to the cluster": lambda all_: pod(all_).pop("automountServiceAccountToken"),
    "are no settings": lambda all_: pod(all_).pop("enableServiceLinks"),
    "gain privileges": lambda all_: container(all_, "Deployment", "web").pop("securityContext"),
    "no limits": lambda all_: container(all_, "Deployment", "archive")["resources"].update(
        limits={"memory": "512Mi"}
    ),
    "a whole version": lambda all_: container(all_, "Deployment", "web").update(image="t/s:latest"),
    "No such option": lambda all_: container(all_, "Deployment", "web")["args"].append("--x"),
    "no livenessProbe": lambda all_: container(all_, "Deployment", "web").pop("livenessProbe"),
    "its /metrics are at": lambda all_: container(all_, "Deployment", "clock")["ports"][0].update(
        containerPort=1
    ),
    "it does not listen at 1": lambda all_: container(all_, "Deployment", "clock")["ports"][
        0
    ].update(containerPort=1),
    "other options": lambda all_: container(all_, "Deployment", "web")["args"].remove(
        "--label=live"
    ),
    "of memory": lambda all_: container(all_, "Deployment", "web")["resources"]["limits"].update(
        memory="1Gi"
    ),
    "believe to be alone": lambda all_: container(all_, "StatefulSet", "worker")["args"].append(
        "--alone"
    ),
    "it finds no pod": lambda all_: of(all_, "Service", "web")["spec"].update(selector={"a": "b"}),
    "no budget": lambda all_: all_.remove(of(all_, "PodDisruptionBudget", "worker")),
    "its service worker": lambda all_: all_.remove(of(all_, "Service", "worker")),
    "it asks worker": lambda all_: all_.remove(of(all_, "Service", "worker")),
    "none of Kubernetes": lambda all_: of(all_, "KafkaTopic", "executions")["metadata"].update(
        name="Executions"
    ),
}


@pytest.mark.parametrize("told", SLIPS)
def test_manifests_when_a_rule_is_broken_then_is_told(told: str) -> None:
    """A rule that finds nothing holds nothing."""
    found = manifests()
    SLIPS[told](found)
    assert [fault for fault in manifest_faults(found) if told in fault]


def test_users_when_they_would_write_what_roles_write_then_are_refused() -> None:
    """Each kind of record has one writer."""
    program()
    with pytest.raises(ValueError, match="users write"):
        sys.modules["of_strimzi"]._user("intruder", ("trading-decisions",), ())
