"""``python docker/kubernetes/manifests.py``: writes the manifests of Kubernetes and of Strimzi.

Topics come from streams/topics.py, ports from agents/cli/live_plan.py, alerts and dashboards from
the folders beside. Edit the programs here and run this one; tests/contract/test_manifests.py
compares what it writes with what is committed.
"""

from pathlib import Path

import yaml
from of_ground import ground
from of_monitoring import dashboards, monitoring
from of_roles import LEARNING, ROLES, ROLLOUT, job, of_role, timed
from of_strimzi import kafka, topics, users
from parts import Manifest

FOLDER = Path(__file__).parent


def files() -> dict[str, list[Manifest]]:
    """Return the manifests by the name of their file."""
    return {
        "kafka.yaml": kafka(),
        "topics.yaml": topics(),
        "users.yaml": users(),
        "ground.yaml": ground(),
        "jobs.yaml": [job("prepare", ("prepare", "--wait")), *timed()],
        "roles.yaml": [each for role in ROLES for each in of_role(role)],
        "learning.yaml": of_role(LEARNING),
        "rollout.yaml": of_role(ROLLOUT),
        "monitoring.yaml": monitoring(),
        "dashboards.yaml": dashboards(),
    }


def rendered(manifests: list[Manifest]) -> str:
    """Return manifests as one file."""
    head = "# Written by docker/kubernetes/manifests.py; edit that.\n"
    return head + yaml.safe_dump_all(manifests, sort_keys=False, width=100)


if __name__ == "__main__":
    for file, manifests in files().items():
        (FOLDER / file).write_text(rendered(manifests))
