"""The roles and the jobs: what each is told, what it needs, and how it says that it is well."""

from collections.abc import Mapping
from typing import NamedTuple

from parts import HOME, N_WORKERS, OURS, STACK, VERSION, Manifest, Needs, named, resources

from agents.cli.live_plan import FIXED_PORTS, METRICS_PORTS

_UID = 10_001


class Role(NamedTuple):
    """One role: what it is told, what it needs, and where it says how it is.

    ``alive`` and ``ready`` are (path, port); ``is_stateful`` says that its tables are on a disk of
    its own; ``hostname`` is the name that it listens at, its pod's address if empty.
    """

    name: str
    words: tuple[str, ...]
    needs: Needs
    alive: tuple[str, int]
    ready: tuple[str, int]
    image: str = "serving"
    n: int = 1
    is_stateful: bool = False
    hostname: str = ""
    ports: tuple[str, ...] = ()


METRICS = sorted({FIXED_PORTS[field] for field in METRICS_PORTS.values()})


def _metrics_of(role: str) -> tuple[str, int]:
    return "/metrics", FIXED_PORTS[METRICS_PORTS[role]]


_ARTIFACTS = f"--artifacts={STACK}/artifacts"
_BOOTSTRAP = "--bootstrap=$(KAFKA_BOOTSTRAP_SERVERS)"
_PORT = FIXED_PORTS

ROLES = (
    Role(
        "worker",
        (
            *("worker", _BOOTSTRAP, _ARTIFACTS, "--data=/data/tables", "--instance=$(POD_NAME)"),
            *(f"--web-port={_PORT['worker_port']}", f"--api-port={_PORT['api_port']}"),
            *(f"--auth={STACK}/auth", f"--pages-url=http://web:{_PORT['web_port']}"),
            "--learning-url=$(LEARNING_URL)",
            "--rollout-url=$(ROLLOUT_URL)",
        ),
        Needs("500m", "2", "1Gi", "2Gi"),
        _metrics_of("worker"),
        ("/api/v1/health", _PORT["api_port"]),
        n=N_WORKERS,
        is_stateful=True,
        ports=("api_port",),
    ),
    Role(
        "clock",
        ("clock", _BOOTSTRAP, _ARTIFACTS, f"--metrics-port={_PORT['clock_port']}"),
        Needs("50m", "500m", "128Mi", "256Mi"),
        _metrics_of("clock"),
        _metrics_of("clock"),
    ),
    Role(
        "archive",
        ("archive", _BOOTSTRAP, _ARTIFACTS, f"--metrics-port={_PORT['archive_port']}"),
        Needs("100m", "1", "256Mi", "512Mi"),
        _metrics_of("archive"),
        _metrics_of("archive"),
    ),
    Role(
        "forensics",
        ("forensics", _BOOTSTRAP, f"--metrics-port={_PORT['forensics_port']}"),
        Needs("100m", "1", "256Mi", "512Mi"),
        _metrics_of("forensics"),
        _metrics_of("forensics"),
    ),
    Role(
        "explain",
        (
            *("worker", "--role=forensics", _BOOTSTRAP, _ARTIFACTS, "--data=/data/tables-explain"),
            f"--web-port={_PORT['explain_port']}",
        ),
        Needs("100m", "1", "512Mi", "1Gi"),
        _metrics_of("explain"),
        _metrics_of("explain"),
        is_stateful=True,
    ),
    Role(
        "web",
        (
            *("web", _BOOTSTRAP, "--host=web", f"--port={_PORT['web_port']}", "--label=live"),
            *(f"--metrics-port={_PORT['pages_port']}", f"--auth={STACK}/auth"),
            *(f"--stats-url=http://127.0.0.1:{_PORT['worker_port']}/", f"--home={STACK}"),
            f"--api-url=http://worker:{_PORT['api_port']}",
            "--learning-url=$(LEARNING_URL)",
            "--rollout-url=$(ROLLOUT_URL)",
        ),
        Needs("100m", "1", "256Mi", "512Mi"),
        _metrics_of("web"),
        ("/health", _PORT["web_port"]),
        hostname="web",
        ports=("web_port",),
    ),
)
LEARNING = Role(
    "learning",
    (
        *("learning", _BOOTSTRAP, "--host=learning"),
        f"--port={_PORT['learning_port']}",
        f"--metrics-port={_PORT['learning_metrics_port']}",
    ),
    Needs("500m", "2", "1Gi", "4Gi"),
    _metrics_of("learning"),
    _metrics_of("learning"),
    image="fitting",
    hostname="learning",
    ports=("learning_port",),
)

ROLLOUT = Role(
    "rollout",
    (
        *("worker", "--role=rollout", _BOOTSTRAP, _ARTIFACTS, f"--data={STACK}/rollout"),
        *(f"--web-port={_PORT['rollout_metrics_port']}", f"--api-port={_PORT['rollout_port']}"),
        f"--auth={STACK}/auth",
    ),
    Needs("100m", "1", "256Mi", "768Mi"),
    _metrics_of("rollout"),
    _metrics_of("rollout"),
    image="fitting",
    hostname="rollout",
    ports=("rollout_port",),
)


def of_role(role: Role) -> list[Manifest]:
    """Return a role's workload, its service if others ask it, its budget if there are several."""
    labels = {"app.kubernetes.io/name": role.name}
    chosen = {"matchLabels": {**OURS, **labels}}
    kind = "StatefulSet" if role.is_stateful else "Deployment"
    workload = named("apps/v1", kind, role.name, labels)
    spec: Manifest = {"replicas": role.n, "selector": chosen}
    if role.is_stateful:
        spec["serviceName"] = role.name
        spec["podManagementPolicy"] = "Parallel"
        spec["volumeClaimTemplates"] = [_own_claim()]
    else:
        # Two of one role would read the same partitions, and a second clock is refused.
        spec["strategy"] = {"type": "Recreate"}
    spec["template"] = _pod(role.name, labels, _container(role), role.hostname)
    workload["spec"] = spec
    made = [workload]
    if role.ports or role.is_stateful:
        made.append(_service(role, chosen["matchLabels"]))
    if role.n > 1:
        budget = named("policy/v1", "PodDisruptionBudget", role.name, labels)
        budget["spec"] = {"maxUnavailable": 1, "selector": chosen}
        made.append(budget)
    return made


def _service(role: Role, chosen: Mapping[str, str]) -> Manifest:
    service = named("v1", "Service", role.name, {"app.kubernetes.io/name": role.name})
    fields = role.ports or (METRICS_PORTS[role.name],)
    ports = [{"name": _port_name(field), "port": _PORT[field]} for field in fields]
    service["spec"] = {"selector": dict(chosen), "ports": ports}
    return service


def _port_name(field: str) -> str:
    return field.removesuffix("_port")


def _container(role: Role) -> Manifest:
    host = {"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    if role.hostname:
        host = {"value": role.hostname}
    name = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    made = _program(role.image, role.words, role.needs)
    made["name"] = role.name
    made["env"] = [{"name": "TRADEWIND_WEB_HOST", **host}, {"name": "POD_NAME", **name}]
    ports = [("metrics", METRICS_PORTS[role.name]), *((_port_name(f), f) for f in role.ports)]
    made["ports"] = [{"name": name, "containerPort": _PORT[field]} for name, field in ports]
    # Who does not answer /metrics hangs and is killed; who is not ready gets no requests, as a
    # worker before the first bar, which may be days away.
    made["startupProbe"] = {**_probe(role, role.alive), "periodSeconds": 5, "failureThreshold": 60}
    made["readinessProbe"] = {**_probe(role, role.ready), "periodSeconds": 5}
    made["livenessProbe"] = {**_probe(role, role.alive), "periodSeconds": 10, "failureThreshold": 6}
    if role.is_stateful:
        made["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    return made


def _probe(role: Role, at: tuple[str, int]) -> Manifest:
    path, port = at
    get: Manifest = {"path": path, "port": port}
    if role.hostname:
        # The pages refuse requests for another host.
        get["httpHeaders"] = [{"name": "Host", "value": role.hostname}]
    return {"httpGet": get, "timeoutSeconds": 3}


def _program(image: str, words: tuple[str, ...], needs: Needs) -> Manifest:
    return {
        "name": words[0],
        "image": f"tradewind/{image}:{VERSION}",
        "args": list(words),
        "envFrom": [{"configMapRef": {"name": "tradewind"}}],
        "resources": resources(needs),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tradewind", "mountPath": HOME},
            {"name": "secrets", "mountPath": "/run/secrets/tradewind", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  a volume of the pod's own
        ],
    }


def _pod(name: str, labels: Mapping[str, str], container: Manifest, hostname: str = "") -> Manifest:
    spec: Manifest = {
        "serviceAccountName": "tradewind",
        "automountServiceAccountToken": False,
        # The address of every service would be a variable, those of tradewind-kafka no settings.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "runAsGroup": _UID,
            "fsGroup": _UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "tradewind", "persistentVolumeClaim": {"claimName": "tradewind"}},
            {"name": "secrets", "secret": {"secretName": "tradewind", "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
        ],
    }
    if hostname:
        spec["hostname"] = hostname
    if name == "worker":
        spec["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {**OURS, **labels}},
            }
        ]
    return {"metadata": {"labels": {**OURS, **labels}}, "spec": spec}


def _own_claim() -> Manifest:
    return {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Gi"}},
        },
    }


def _job_spec(name: str, words: tuple[str, ...], image: str) -> Manifest:
    container = _program(image, words, Needs("250m", "1", "512Mi", "1Gi"))
    pod = _pod(name, {"app.kubernetes.io/name": name}, container)
    pod["spec"]["restartPolicy"] = "Never"
    return {"backoffLimit": 3, "activeDeadlineSeconds": 3_600, "template": pod}


def job(name: str, words: tuple[str, ...]) -> Manifest:
    """Return a job that is done once, before the roles."""
    return {**named("batch/v1", "Job", name), "spec": _job_spec(name, words, "fitting")}


def timed() -> list[Manifest]:
    """Return what is done by the clock: a run is kept and verified, days leave SQL, runs MLflow."""
    return [
        _at("7 */4 * * *", "checkpoint", ("checkpoint",), "serving"),
        _at("17 3 * * *", "shelve", ("audit", "shelve"), "serving"),
        _at("47 3 * * *", "retain", ("mlflow", "retain"), "fitting"),
        # Slices are kept for six hours.
        _at("37 */4 * * *", "verify", ("verify-run",), "serving"),
    ]


def _at(schedule: str, name: str, words: tuple[str, ...], image: str) -> Manifest:
    made = named("batch/v1", "CronJob", name)
    made["spec"] = {
        "schedule": schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "jobTemplate": {"spec": _job_spec(name, words, image)},
    }
    return made
