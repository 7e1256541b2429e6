"""The images and the compose file where a Docker engine answers; skipped elsewhere."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.brokers.given import VARIABLE

ROOT = Path(__file__).parents[2]
COMPOSE = ("docker/compose.yml",)
BROKER = "127.0.0.1:19092"
_IMAGE = "tradewind/serving:test"

pytestmark = pytest.mark.timeout(1_800)


@pytest.fixture(scope="module")
def engine() -> None:
    """Skip where no engine answers."""
    if shutil.which("docker") is None:
        pytest.skip("no Docker engine: there is no program docker")
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.skip(f"no Docker engine answers: {(asked.stderr or asked.stdout)[-200:]}")


@pytest.fixture(scope="module")
def image(engine: None) -> str:  # noqa: ARG001  only where there is an engine
    """Build the image of the serving roles."""
    command = ["docker", "build", "-f", "docker/Dockerfile", "--target=serving", "-t", _IMAGE, "."]
    subprocess.run(command, cwd=ROOT, check=True)
    return _IMAGE


@pytest.fixture(scope="module")
def stores(engine: None) -> Iterator[None]:  # noqa: ARG001  only where there is an engine
    """Run broker, database and Redis of the profile `dev`, healthy all."""
    compose = pytest.importorskip(
        "testcontainers.compose", reason="the extra `containers` is not installed"
    ).DockerCompose
    subprocess.run([sys.executable, "docker/new_secrets.py"], cwd=ROOT, check=True)
    started = compose(
        str(ROOT),
        compose_file_name=list(COMPOSE),
        env_file="docker/dev.env",
        profiles=["dev"],
        services=["kafka", "timescaledb", "redis"],
        wait=True,
    )
    with started:
        yield


def test_image_when_run_then_serves_without_what_only_fitting_needs(image: str) -> None:
    """Its user is nobody's administrator, its root is read-only, PyTorch is not in it."""
    run = ["docker", "run", "--rm", "--read-only", "--network=none", "--cap-drop=ALL"]
    said = subprocess.run([*run, image, "--help"], check=True, capture_output=True, text=True)
    assert "prepare" in said.stdout
    code = "import importlib.util as u, os; print(os.getuid(), u.find_spec('torch'))"
    inside = [*run, "--entrypoint=python", image, "-c", code]
    said = subprocess.run(inside, check=True, capture_output=True, text=True)
    assert said.stdout.split() == ["10001", "None"]


@pytest.mark.usefixtures("stores")
def test_broker_when_in_a_container_then_passes_the_suite_of_topics(tmp_path: Path) -> None:
    """What holds on the embedded broker holds on that of the compose file."""
    suite = ["-m", "agents", "topics"]
    given = {**os.environ, VARIABLE: BROKER, "TRADEWIND_HOME": str(tmp_path)}
    for verb in ("apply", "plan"):
        done = subprocess.run([sys.executable, *suite, verb], cwd=ROOT, env=given, check=False)
        assert done.returncode == 0
