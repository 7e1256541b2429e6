"""What Prometheus's operator and Grafana's sidecar find: roles, alerts, dashboards."""

import json
from pathlib import Path

import yaml
from parts import NAMESPACE, OURS, RUNBOOKS, Manifest, named

_DOCKER = Path(__file__).parents[1]
_API = "monitoring.coreos.com/v1"


def monitoring() -> list[Manifest]:
    """Return where roles are asked, and the alerts."""
    return [_pod_monitor(), _rules()]


def _pod_monitor() -> Manifest:
    """Return where Prometheus's operator finds the roles, with the labels that alerts ask for."""
    name = ["__meta_kubernetes_pod_label_app_kubernetes_io_name"]
    labels = [
        {"targetLabel": "job", "replacement": "tradewind"},
        {"targetLabel": "stack", "replacement": NAMESPACE},
        {"targetLabel": "role", "sourceLabels": name},
    ]
    made = named(_API, "PodMonitor", "tradewind")
    made["spec"] = {
        "selector": {"matchLabels": dict(OURS)},
        "podMetricsEndpoints": [{"port": "metrics", "interval": "15s", "relabelings": labels}],
    }
    return made


def _rules() -> Manifest:
    """Return the alerts of docker/prometheus/alerts.yml."""
    made = named(_API, "PrometheusRule", "tradewind")
    groups = yaml.safe_load((_DOCKER / "prometheus" / "alerts.yml").read_text())["groups"]
    for group in groups:
        for rule in group["rules"]:
            rule["annotations"]["runbook_url"] = RUNBOOKS + rule["annotations"]["runbook_url"]
    made["spec"] = {"groups": groups}
    return made


def dashboards() -> list[Manifest]:
    """Return each dashboard as the sidecar of Grafana takes it, by its label."""
    made = []
    for path in sorted((_DOCKER / "grafana" / "dashboards").glob("*.json")):
        one = named("v1", "ConfigMap", path.stem, {"grafana_dashboard": "1"})
        plain = json.dumps(json.loads(path.read_text()), separators=(",", ":"))
        made.append({**one, "data": {path.name: plain}})
    return made
