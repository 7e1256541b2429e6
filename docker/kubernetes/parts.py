"""What the manifests share: names, the forms of a manifest and of what a container needs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

NAMESPACE = CLUSTER = "tradewind"
VERSION = "0.1.0"
N_PARTITIONS, REPLICATION = 6, 3
N_WORKERS = 2

Manifest = dict[str, Any]

HOME = "/var/lib/tradewind"
STACK = f"{HOME}/default"
# Stands before each runbook_url, which is a path in this repository; ends with a slash.
RUNBOOKS = ""
OURS = {"app.kubernetes.io/part-of": "tradewind"}


class Needs(NamedTuple):
    """What a container asks for, and the most that it gets."""

    cpu: str
    cpu_most: str
    memory: str
    memory_most: str


def named(api: str, kind: str, name: str, labels: Mapping[str, str] | None = None) -> Manifest:
    """Return a manifest without its specification."""
    labels = {**OURS, **(labels or {})}
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
    }


def resources(needs: Needs) -> Manifest:
    """Return what a container needs as Kubernetes has it."""
    return {
        "requests": {"cpu": needs.cpu, "memory": needs.memory},
        "limits": {"cpu": needs.cpu_most, "memory": needs.memory_most},
    }
