"""What of docker/ can be judged without an engine: rules that every deployment keeps, its words.

A fault is a sentence: where, what was found, what was expected. A deployment without any has none.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import compose_spec
import yaml
from typer.main import get_command

from agents import cli
from agents.cli.live_plan import FIXED_PORTS, METRICS_PORTS

DOCKER = Path(__file__).parents[1] / "docker"
PROFILES = ("dev", "production")

# What live roles are called in METRICS_PORTS, and what learning and jobs by hand add to them.
ROLES = frozenset(METRICS_PORTS)
_JOBS = frozenset({"prepare", "train", "checkpoint", "retain", "shelve", "verify"})
_OURS = "tradewind/"
_LOOPBACK = "127.0.0.1:"

_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?+])([^}]*))?\}")
_PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*")
_URL = re.compile(r"https?://([\w.-]+):(\d+)")


def refused(words: Sequence[str]) -> str:
    """Return why the program would not take a command line; empty if it would.

    It is parsed by the very parser that runs it, so an option that was renamed is found.
    """
    command = _program()
    context, rest = command.context_class(command, info_name="tradewind"), list(words)
    try:
        # A group that does something by itself may be told options of its own.
        while hasattr(command, "resolve_command") and not (rest and rest[0].startswith("-")):
            name, command, rest = command.resolve_command(context, rest)
            context = command.context_class(command, parent=context, info_name=name)
        command.parse_args(context, rest)
    except Exception as error:  # noqa: BLE001  whatever the parser says of a line
        return str(getattr(error, "message", "") or error)
    return ""


@cache
def _program() -> Any:  # noqa: ANN401  of click
    """Return the whole program; importing its commands takes most of a line's time."""
    return get_command(cli.program())


def environment(profile: str, docker: Path = DOCKER) -> dict[str, str]:
    """Return the variables of a profile's file."""
    lines = (docker / f"{profile}.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def composed(profile: str, docker: Path = DOCKER, **more: str) -> dict[str, Any]:
    """Return the compose file as a profile's variables, and more, make it; anchors resolved."""
    given = {**environment(profile, docker), **more}

    def filled(found: re.Match[str]) -> str:
        name, sign, other = found.groups()
        if sign == "+":
            return str(other) if given.get(name) else ""
        return given.get(name, other or "")

    return copy.deepcopy(_parsed(_VARIABLE.sub(filled, (docker / "compose.yml").read_text())))


@cache
def _parsed(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text))


def in_profile(service: Mapping[str, Any], profile: str) -> bool:
    """Return whether a service is there in a profile; those without any always are."""
    return not service.get("profiles") or profile in service["profiles"]


def words_of(service: Mapping[str, Any]) -> list[str]:
    """Return what the program is told in one of our containers."""
    return [*service.get("entrypoint", [])[1:], *service.get("command", [])]


def compose_faults(said: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a compose file: by the specification, and by our rules."""
    try:
        compose_spec.PyCompose.from_json(json.dumps(said))
    except ValueError as error:
        return [f"compose: not of the specification: {error}"]
    faults = [
        fault
        for name, service in said["services"].items()
        for rule in (
            _of_image,
            _of_bounds,
            _of_rights,
            _of_ports,
            _of_order,
            _of_secrets,
            _of_words,
        )
        for fault in rule(name, service, said)
    ]
    return [f"compose: {fault}" for fault in faults]


def _of_image(name: str, service: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[str]:
    if not _PINNED.fullmatch(service["image"]):
        yield f"{name} has image {service['image']}; expected a tag with a whole version"


def _of_bounds(name: str, service: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[str]:
    for key in ("mem_limit", "cpus", "pids_limit", "stop_grace_period", "restart"):
        if key not in service:
            yield f"{name} has no {key}"
    if not service.get("logging", {}).get("options", {}).get("max-size"):
        yield f"{name} keeps logs without an end"
    if "healthcheck" not in service and name not in _JOBS:
        yield f"{name} has no health check"
    wanted = "no" if name in _JOBS else "unless-stopped"
    if service.get("restart") != wanted:
        yield f"{name} restarts {service.get('restart')!r}; expected {wanted!r}"


def _of_rights(name: str, service: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[str]:
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
        yield f"{name} keeps capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield f"{name} may gain privileges"
    if service.get("privileged"):
        yield f"{name} is privileged"
    # The image of Kafka runs as a user of its own and writes its configuration into itself.
    is_kafka = service["image"].startswith("apache/kafka:")
    if not service.get("read_only") and not is_kafka:
        yield f"{name} may write its image"
    is_own = service["image"].startswith(_OURS)
    if not is_own and not is_kafka and str(service.get("user", "0")).startswith("0"):
        yield f"{name} runs as root"


def _of_ports(name: str, service: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[str]:
    for port in service.get("ports", []):
        if not port.startswith(_LOOPBACK):
            yield f"{name} publishes {port}; expected this machine's loopback alone"
        if "edge" not in service.get("networks", []):
            yield f"{name} publishes {port} from a network without a way out"
    mine = {port.rsplit(":", 1)[0] for port in service.get("ports", [])}
    for other, one in said["services"].items():
        theirs = {port.rsplit(":", 1)[0] for port in one.get("ports", [])}
        if other != name and mine & theirs and _at_once(service, one):
            yield f"{name} publishes {', '.join(sorted(mine & theirs))}, and so does {other}"


def _at_once(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two services can run at once; one broker and three of them do not."""
    ours, theirs = set(one.get("profiles", [])), set(other.get("profiles", []))
    return not ours or not theirs or bool(ours & theirs)


def _of_order(name: str, service: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[str]:
    services = said["services"]
    for needed, how in service.get("depends_on", {}).items():
        other = services.get(needed)
        if other is None:
            yield f"{name} waits for {needed}, which is not there"
            continue
        is_optional = how.get("required") is False
        if other.get("profiles") and not is_optional:
            yield f"{name} needs {needed}, which is in the profiles {other['profiles']} only"
        ends = needed in _JOBS
        wanted = "service_completed_successfully" if ends else "service_healthy"
        if how["condition"] != wanted:
            yield f"{name} waits for {needed} by {how['condition']}; expected {wanted}"
    if name in ROLES and "prepare" not in service.get("depends_on", {}):
        yield f"{name} does not wait for prepare"


def _of_secrets(name: str, service: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[str]:
    for key, value in service.get("environment", {}).items():
        is_file = key.endswith("_FILE")
        if re.search(r"PASSWORD|SECRET|TOKEN|_KEY$", key) and not is_file:
            yield f"{name} has {key} in its environment; expected a file"
        if is_file and str(value).removeprefix("/run/secrets/") not in service.get("secrets", []):
            yield f"{name} reads {value}, which is no secret of it"
    for secret in service.get("secrets", []):
        if secret not in said.get("secrets", {}):
            yield f"{name} wants the secret {secret}, which is not declared"


def _of_words(name: str, service: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[str]:
    if not service["image"].startswith(_OURS):
        return
    words = words_of(service)
    # A job that is run by hand gets its file then.
    if why := refused([*words, "--file=x"] if name == "train" else words):
        yield f"{name} is told {' '.join(words)}: {why}"
    yield from _of_addresses(name, service, said)


def _of_addresses(name: str, service: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[str]:
    """Addresses in a service's words and health check lead to a service that listens there."""
    listening = {
        (other, port)
        for other, one in said["services"].items()
        for port in re.findall(r"port=(\d+)", " ".join(words_of(one)))
    }
    published = {
        ("127.0.0.1", port.split(":")[1])
        for one in said["services"].values()
        for port in one.get("ports", [])
    }
    check = service.get("healthcheck", {}).get("test", [])
    for found in _URL.findall(" ".join([*words_of(service), *check])):
        if found not in listening | published:
            yield f"{name} asks {':'.join(found)}, where nothing listens"


def compose_targets() -> list[dict[str, Any]]:
    """Return what Prometheus asks beside a compose file in which every profile is in use."""
    more = composed("dev", LEARNING_URL="http://learning:8092", ROLLOUT_URL="http://rollout:8093")
    mounts = [mount.split(":")[:2] for mount in more["services"]["prometheus"]["volumes"]]
    return [
        one
        for source, target in mounts
        if Path(target).match("targets*.json")
        for one in json.loads((DOCKER / source).read_text())
    ]


def target_faults(said: Mapping[str, Any], targets: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return where Prometheus would ask otherwise than the roles of a compose file answer."""
    wanted = {(role, f"{role}:{FIXED_PORTS[METRICS_PORTS[role]]}") for role in ROLES}
    found = {(one["labels"]["role"], target) for one in targets for target in one["targets"]}
    faults = [
        f"targets: {role} at {target} is asked for nothing" for role, target in found - wanted
    ]
    faults += [f"targets: {role} at {target} is not asked" for role, target in wanted - found]
    for role in sorted(ROLES):
        port = FIXED_PORTS[METRICS_PORTS[role]]
        words = " ".join(words_of(said["services"][role]))
        if not re.search(rf"--(metrics|web)-port={port}\b", words):
            faults.append(f"targets: {role} does not answer at {port}: {words}")
        if said["services"][role].get("hostname") != role:
            faults.append(f"targets: {role} listens at another name")
    return sorted(faults)
