"""``python docker/kubernetes/manifests.py``: writes the manifests of Kubernetes and of Strimzi.

Topics come from streams/topics.py, ports from agents/cli/live_plan.py. Edit the programs here and
run this one; tests/contract/test_manifests.py compares what it writes with what is committed.
"""

from pathlib import Path

import yaml
from of_ground import ground
from of_roles import LEARNING, ROLES, ROLLOUT, daily, job, of_role
from of_strimzi import kafka, topics, users
from parts import NAMESPACE, OURS, Manifest, named

FOLDER = Path(__file__).parent


def files() -> dict[str, list[Manifest]]:
    """Return the manifests by the name of their file."""
    return {
        "kafka.yaml": kafka(),
        "topics.yaml": topics(),
        "users.yaml": users(),
        "ground.yaml": ground(),
        "jobs.yaml": [job("prepare", ("prepare",)), *daily()],
        "roles.yaml": [each for role in ROLES for each in of_role(role)],
        "learning.yaml": of_role(LEARNING),
        "rollout.yaml": of_role(ROLLOUT),
        "monitoring.yaml": [_pod_monitor()],
    }


def rendered(manifests: list[Manifest]) -> str:
    """Return manifests as one file."""
    head = "# Written by docker/kubernetes/manifests.py; edit that.\n"
    return head + yaml.safe_dump_all(manifests, sort_keys=False, width=100)


def _pod_monitor() -> Manifest:
    """Return where Prometheus's operator finds the roles, with the labels that alerts ask for."""
    name = ["__meta_kubernetes_pod_label_app_kubernetes_io_name"]
    labels = [
        {"targetLabel": "job", "replacement": "tradewind"},
        {"targetLabel": "stack", "replacement": NAMESPACE},
        {"targetLabel": "role", "sourceLabels": name},
    ]
    made = named("monitoring.coreos.com/v1", "PodMonitor", "tradewind")
    made["spec"] = {
        "selector": {"matchLabels": dict(OURS)},
        "podMetricsEndpoints": [{"port": "metrics", "interval": "15s", "relabelings": labels}],
    }
    return made


if __name__ == "__main__":
    for file, manifests in files().items():
        (FOLDER / file).write_text(rendered(manifests))
