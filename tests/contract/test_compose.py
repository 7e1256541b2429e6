"""The compose file keeps its rules, and who breaks one is told."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.cli.live_plan import LivePlan
from agents.cli.roles import roles_of
from streams.brokers.kafka_jars import KAFKA_VERSION
from streams.settings import Settings
from tables.stores.logins import LOGINS, login_files
from tests.deployment import (
    DOCKER,
    PROFILES,
    compose_faults,
    compose_targets,
    composed,
    environment,
    in_profile,
    refused,
    target_faults,
    words_of,
)
from tests.systemd_units import options

TARGETS = compose_targets()


@pytest.mark.parametrize("profile", PROFILES)
def test_compose_when_read_then_has_no_fault(profile: str) -> None:
    """By the specification and by our rules, in both profiles."""
    said = composed(profile)
    assert compose_faults(said) == []
    assert target_faults(said, TARGETS) == []


# Path into a service, the value that is put there (None takes it away), and what must be said.
SLIPS: tuple[tuple[str, tuple[str, ...], Any, str], ...] = (
    ("worker", ("mem_limt",), "1g", "not of the specification"),
    ("worker", ("mem_limit",), None, "worker has no mem_limit"),
    ("worker", ("restart",), "no", "worker restarts 'no'"),
    ("worker", ("image",), "tradewind/serving:latest", "expected a tag with a whole version"),
    ("redis", ("image",), "redis", "expected a tag with a whole version"),
    ("redis", ("user",), None, "redis runs as root"),
    ("redis", ("cap_drop",), [], "redis keeps capabilities"),
    ("redis", ("security_opt",), [], "redis may gain privileges"),
    ("web", ("privileged",), True, "web is privileged"),
    ("web", ("read_only",), False, "web may write its image"),
    ("web", ("ports",), ["8090:8090"], "expected this machine's loopback alone"),
    ("web", ("ports",), ["127.0.0.1:8091:8090"], "and so does worker"),
    ("web", ("networks",), ["inner"], "from a network without a way out"),
    ("web", ("logging",), {"driver": "json-file"}, "keeps logs without an end"),
    ("web", ("healthcheck",), None, "web has no health check"),
    ("web", ("depends_on",), {}, "web does not wait for prepare"),
    ("web", ("depends_on", "prepare", "condition"), "service_started", "waits for prepare by"),
    ("web", ("depends_on", "learning"), {"condition": "service_healthy"}, "which is in the profil"),
    ("web", ("depends_on", "nobody"), {"condition": "service_healthy"}, "nobody, which is not the"),
    ("web", ("secrets",), ["redis_url"], "database_url_reader, which is no secret of"),
    ("web", ("secrets",), ["database_url_reader", "redis_url", "x"], "secret x, which is not"),
    ("web", ("environment", "GF_PASSWORD"), "hunter2", "expected a file"),
    ("web", ("command",), ["web", "--bootstrp=b"], "No such option"),
    ("web", ("healthcheck", "test"), ["CMD", "healthy", "http://web:1/"], "where nothing listens"),
)


@pytest.mark.parametrize(("name", "path", "value", "told"), SLIPS, ids=lambda one: str(one)[:40])
def test_compose_when_a_rule_is_broken_then_is_told(
    name: str, path: tuple[str, ...], value: object, told: str
) -> None:
    """A rule that finds nothing holds nothing."""
    said = composed("dev")
    place = said["services"][name]
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    assert [fault for fault in compose_faults(said) if told in fault]


def test_targets_when_a_role_moves_then_is_told() -> None:
    """Prometheus would wait for a port at which nobody answers."""
    said = composed("dev")
    said["services"]["clock"]["command"][-1] = "--metrics-port=9999"
    said["services"]["web"]["hostname"] = "pages"
    told = target_faults(said, [*TARGETS[1:], {"targets": ["x:1"], "labels": {"role": "x"}}])
    assert [fault.split(":")[1].strip() for fault in told] == [
        "clock does not answer at 9101",
        "web listens at another name",
        "worker at worker",
        "x at x",
    ]


def test_targets_when_no_profile_is_in_use_then_nobody_else_is_asked() -> None:
    """A role that was never started must not be told to be down."""
    mounts = composed("dev")["services"]["prometheus"]["volumes"]
    asked = {mount.split(":")[0] for mount in mounts if "targets" in mount}
    assert asked == {"./prometheus/compose-targets.json"}


@pytest.mark.parametrize("profile", PROFILES)
def test_brokers_when_counted_then_are_those_that_the_roles_are_told(profile: str) -> None:
    """As many as copies are wanted, all of one quorum, of the version that tests run on."""
    said, given = composed(profile), environment(profile)
    brokers = {
        name: service
        for name, service in said["services"].items()
        if service["image"].startswith("apache/kafka:") and in_profile(service, profile)
    }
    assert given["KAFKA_BOOTSTRAP_SERVERS"] == ",".join(f"{name}:9092" for name in brokers)
    assert len(brokers) == int(given["TRADEWIND_REPLICATION"])
    voters = ",".join(
        f"{service['environment']['KAFKA_NODE_ID']}@{name}:9093"
        for name, service in brokers.items()
    )
    for name, service in brokers.items():
        known = service["environment"]
        assert service["image"] == f"apache/kafka:{KAFKA_VERSION}"
        assert known["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters
        assert f"INNER://{name}:9092" in known["KAFKA_ADVERTISED_LISTENERS"]
        assert known["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
        for topic in ("OFFSETS_TOPIC", "TRANSACTION_STATE_LOG", "SHARE_COORDINATOR_STATE_TOPIC"):
            assert known[f"KAFKA_{topic}_REPLICATION_FACTOR"] == str(len(brokers))
    in_sync = {
        service["environment"].get("KAFKA_MIN_INSYNC_REPLICAS") for service in brokers.values()
    }
    assert in_sync == ({"2"} if profile == "production" else {None})


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_when_its_variables_are_set_then_are_settings(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the containers get is what the program takes."""
    given = environment(profile)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings.read()
    assert settings.partitions == int(given["TRADEWIND_PARTITIONS"])
    assert settings.replication == int(given["TRADEWIND_REPLICATION"])


# What `up` must say and a role finds in its own folder or settings, and what is of one machine.
_OF_UP = {"--stack", "--redis", "--epoch", "--number", "--name", "--host", "--mode"}


def test_roles_when_started_by_up_then_are_told_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option that `tradewind up` gives a role from now on is missed here."""
    monkeypatch.setattr("agents.cli.roles.is_usable", lambda _home: True)
    plan = LivePlan(["e" * 64], "live", 1, 2, learning="safe", rollouts="on")
    plan.complete("127.0.0.1")
    services = composed("dev")["services"]
    started = {role.name: role.arguments for role in roles_of(tmp_path, plan, "b:1", Settings())}
    differing = {
        name: (options(list(words)) ^ options(words_of(services[name]))) - _OF_UP
        for name, words in started.items()
    }
    assert started
    assert not any(differing.values()), differing


def test_words_when_the_program_knows_them_not_then_says_why() -> None:
    """A renamed option, a missing one, a command that is gone."""
    assert refused(["clock", "--bootstrap=b:1", "--artifacts=/a"]) == ""
    assert "No such option" in refused(["worker", "--bootstrp=b"])
    assert "Missing parameter" in refused(["token", "issue"])
    assert "No such command" in refused(["wrker"])


def test_secrets_when_drawn_then_fit_each_other_and_stay(tmp_path: Path) -> None:
    """All that compose wants is there, for containers to read and for nobody else to reach."""
    folder = tmp_path / "secrets"
    code = f"import new_secrets, pathlib; new_secrets.main(pathlib.Path({str(folder)!r}))"

    def drawn() -> tuple[str, dict[str, str]]:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=DOCKER, capture_output=True, text=True, check=True
        )
        return done.stdout, {path.name: path.read_text() for path in folder.iterdir()}

    told, first = drawn()
    assert "alerts reach nobody" in told
    wanted = {Path(each["file"]).name for each in composed("dev")["secrets"].values()}
    assert wanted <= set(first)
    assert f":{first['database_password']}@timescaledb:5432/" in first["database_url"]
    assert f":{first['redis_password']}@redis:6379/" in first["redis_url"]
    for login in LOGINS:
        assert f"//tradewind_{login}:" in first[f"database_url_{login}"]
    assert login_files(folder).keys() == set(LOGINS)
    assert first["redis_password"] not in first["redis_acl"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    assert drawn()[1] == first


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on PATH")
def test_prometheus_when_it_reads_what_is_mounted_then_takes_it(tmp_path: Path) -> None:
    """Configuration, rules and targets lie beside each other in the container, as they do here."""
    mounts = composed("dev")["services"]["prometheus"]["volumes"]
    for source, target, *_ in (mount.split(":") for mount in mounts if mount.startswith("./")):
        shutil.copy(DOCKER / source, tmp_path / Path(target).name)
    told = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "SUCCESS: 1 rule files found" in told.stdout


def test_probe_when_asked_then_its_exit_says_whether_it_answered() -> None:
    """Nothing listens at port 1 of loopback."""
    done = subprocess.run(
        [sys.executable, str(DOCKER / "healthy.py"), "http://127.0.0.1:1/"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "refused" in done.stderr) == (1, True)
