"""The command lines that deployments give to the roles, run: prepared, healthy, ended in order."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.cli.live_plan import FIXED_PORTS, METRICS_PORTS, LivePlan
from agents.run.workers import free_port
from streams.brokers.waiting import wait_for
from tables.stores.servers.postgres import PostgresServer
from tests.systemd_units import units, words

pytestmark = [pytest.mark.broker, pytest.mark.postgres, pytest.mark.timeout(300)]

_STACK = "/var/lib/tradewind/default"
_PATIENCE_S = 60.0
_END_S = 30.0

# What says that a role runs, where that is not its /metrics.
_RUNS = {"web": ("web_port", "/health")}
_ROLES = ("worker", "clock", "archive", "forensics", "explain", "web")


class Deployed:
    """Roles as processes, told what the units of systemd tell them, at ports that are free here.

    Parameters
    ----------
    root
        Folder whose ``default`` is the stack's.
    given
        Further variables.
    """

    def __init__(self, root: Path, given: dict[str, str]) -> None:
        self.root = root
        self.ports = {field: free_port("127.0.0.1") for field in FIXED_PORTS}
        self.environment = {**os.environ, "TRADEWIND_HOME": str(root), **given}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def here(self, word: str) -> str:
        """Return a word of a unit with this machine's folder, broker and ports."""
        word = word.replace(_STACK, str(self.root / "default"))
        word = word.replace("kafka:9092", self.environment["KAFKA_BOOTSTRAP_SERVERS"])
        for field, port in FIXED_PORTS.items():
            word = word.replace(f"={port}", f"={self.ports[field]}")
            word = word.replace(f"127.0.0.1:{port}", f"127.0.0.1:{self.ports[field]}")
        return word

    def run(self, *arguments: str) -> str:
        """Run a command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "agents", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, role: str) -> None:
        """Start a role as its unit does."""
        told = [self.here(word) for word in words(units()[role])]
        with (self.root / f"{role}.log").open("wb") as log:
            self.running[role] = subprocess.Popen(
                [sys.executable, "-m", "agents", *told],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def answers(self, field: str, path: str) -> bool:
        """Return whether a role answers 200."""
        url = f"http://127.0.0.1:{self.ports[field]}{path}"
        try:
            with urllib.request.urlopen(url, timeout=3) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def log(self, role: str) -> str:
        """Return the end of what a role wrote."""
        return (self.root / f"{role}.log").read_text(errors="replace")[-3_000:]

    def end(self) -> dict[str, int]:
        """Ask all to end, as the last step of a unit; return how each did."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        return {role: process.wait(_END_S) for role, process in self.running.items()}


@pytest.fixture
def deployed(
    broker: str, postgres: PostgresServer, home: Path, tmp_path: Path
) -> Iterator[Deployed]:
    """Yield a stack whose addresses come from files, with no role running yet."""
    (tmp_path / "default").symlink_to(home)
    secret = tmp_path / "database_url"
    secret.write_text(f"{postgres.url}\n")
    made = Deployed(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": broker, "DATABASE_URL_FILE": str(secret)})
    yield made
    for process in made.running.values():
        process.kill()
        process.wait()


def test_roles_when_started_as_deployed_then_are_healthy_and_end_in_order(
    deployed: Deployed, fitted: str
) -> None:
    """Each runs before the next one starts, the clock after the worker; SIGTERM ends all with 0."""
    said = deployed.run("prepare", f"--models={fitted}")
    assert "is ready: epoch 1" in said
    plan = LivePlan.of(deployed.root / "default")
    assert plan is not None
    assert plan.api_port == FIXED_PORTS["api_port"]
    for role in _ROLES:
        deployed.start(role)
        field, path = _RUNS.get(role, (METRICS_PORTS[role], "/metrics"))
        assert wait_for(
            lambda field=field, path=path: deployed.answers(field, path), timeout_s=_PATIENCE_S
        ), deployed.log(role)
        assert deployed.answers(METRICS_PORTS[role], "/metrics")
    assert deployed.end() == dict.fromkeys(_ROLES, 0)
