"""What all roles stand on: namespace, settings, the shared folder, and who may talk to whom."""

from of_roles import METRICS
from parts import CLUSTER, N_PARTITIONS, NAMESPACE, OURS, REPLICATION, Manifest, named

from agents.cli.live_plan import FIXED_PORTS

_BROKERS = f"{CLUSTER}-kafka-bootstrap:9092"


def ground() -> list[Manifest]:
    """Return the namespace, the settings, the shared folder and who may talk to whom."""
    space = named("v1", "Namespace", NAMESPACE)
    del space["metadata"]["namespace"]
    space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted"
    settings = named("v1", "ConfigMap", "tradewind")
    settings["data"] = {
        "KAFKA_BOOTSTRAP_SERVERS": _BROKERS,
        "TRADEWIND_PARTITIONS": str(N_PARTITIONS),
        "TRADEWIND_REPLICATION": str(REPLICATION),
        "DATABASE_URL_FILE": "/run/secrets/tradewind/database_url",
        "REDIS_URL_FILE": "/run/secrets/tradewind/redis_url",
        "TRADEWIND_LEARNING": "off",
        "LEARNING_URL": "",
        "TRADEWIND_ROLLOUTS": "off",
        "ROLLOUT_URL": "",
    }
    account = {
        **named("v1", "ServiceAccount", "tradewind"),
        "automountServiceAccountToken": False,
    }
    claim = named("v1", "PersistentVolumeClaim", "tradewind")
    # Models, epochs and keys, which every role reads: a class that several machines mount at once.
    claim["spec"] = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "20Gi"}},
    }
    return [space, settings, account, claim, *_network()]


def _network() -> list[Manifest]:
    """Return policies: nothing in or out but what is named."""
    ours = {"matchLabels": dict(OURS)}
    metrics = [_tcp(port) for port in METRICS]
    outward = [{"ports": [_tcp(port) for port in (5432, 6379, 9092)]}]
    names = [{"ports": [{"protocol": kind, "port": 53} for kind in ("UDP", "TCP")]}]
    rules = {
        "nothing": {"podSelector": ours, "policyTypes": ["Ingress", "Egress"]},
        "each-other": {
            "podSelector": ours,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": ours}]}],
            "egress": [{"to": [{"podSelector": ours}]}, *names, *outward],
        },
        "metrics": {
            "podSelector": ours,
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [_space("kubernetes.io/metadata.name", "monitoring")]}],
        },
        "callers": {
            "podSelector": {"matchLabels": {**OURS, "app.kubernetes.io/name": "worker"}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [_space("tradewind/caller", "true")],
                    "ports": [_tcp(FIXED_PORTS["api_port"])],
                }
            ],
        },
    }
    rules["metrics"]["ingress"][0]["ports"] = metrics
    return [
        {**named("networking.k8s.io/v1", "NetworkPolicy", name), "spec": spec}
        for name, spec in rules.items()
    ]


def _tcp(port: int) -> Manifest:
    return {"protocol": "TCP", "port": port}


def _space(label: str, value: str) -> Manifest:
    return {"namespaceSelector": {"matchLabels": {label: value}}}
