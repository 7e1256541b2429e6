"""What a machine needs to run Tradewind, what it has, and how to get the rest."""

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path
from typing import Literal

import psutil

from streams.brokers import stack_home
from streams.brokers.given import VARIABLE, given_servers, open_given
from streams.brokers.java import JAVA_REMEDY, MAVEN_REMEDY, find_java, find_maven
from streams.brokers.kafka_jars import KAFKA_VERSION, jar_folder, jars_cached
from streams.errors import BrokerUnreachableError, ToolMissingError
from tables.stores.servers import mlflow, postgres

State = Literal["ok", "missing", "optional"]

_GB = 1024**3
# The demo's broker, its database and its roles together stay below this.
_MEMORY_GB = 2.0
# Jars, a day of demo topics and the log files.
_DISK_GB = 2.0
_PYTHON = (3, 11)
_SETUP = "make setup"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's table.

    Parameters
    ----------
    name
        What was looked for.
    state
        ``ok``; ``missing`` stops the demo; ``optional`` is absent and the demo runs without it.
    found
        What is there.
    remedy
        How to get it; empty if it is there.
    """

    name: str
    state: State
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at everything once; nothing is installed, fetched or started."""
    return [check() for check in CHECKS]


def python() -> Finding:
    """Check the interpreter: the lock files are made for one minor version."""
    found = platform.python_version()
    if tuple(int(part) for part in found.split(".")[:2]) == _PYTHON:
        return Finding("Python", "ok", found)
    return Finding("Python", "missing", found, "install Python 3.11, then `make setup`")


def java() -> Finding:
    """Check the Java of the embedded broker."""
    try:
        found = find_java()
    except ToolMissingError as error:
        return Finding("Java", _unless_given(), str(error), JAVA_REMEDY)
    return Finding("Java", "ok", f"{found.version} at {found.path}")


def maven() -> Finding:
    """Check Maven, which is needed until the jars are cached."""
    try:
        found = find_maven()
    except ToolMissingError as error:
        state = "optional" if jars_cached() else _unless_given()
        return Finding("Maven", state, str(error), MAVEN_REMEDY)
    return Finding("Maven", "ok", str(found))


def jars() -> Finding:
    """Check whether the broker's jars are fetched; the first start does it otherwise."""
    if jars_cached():
        return Finding("Kafka jars", "ok", f"{KAFKA_VERSION} in {jar_folder()}")
    return Finding(
        "Kafka jars", "optional", f"{KAFKA_VERSION} not cached", "`tradewind up` fetches 43 MB once"
    )


def kafka() -> Finding:
    """Say which broker a stack would use, and check a given one."""
    servers = given_servers()
    if servers is None:
        return Finding("Kafka", "ok", f"embedded: {VARIABLE} is not set")
    try:
        open_given(servers, timeout_s=2.0)
    except BrokerUnreachableError as error:
        return Finding("Kafka", "missing", str(error), f"start it, or unset {VARIABLE}")
    return Finding("Kafka", "ok", f"given: {VARIABLE}={servers}")


def disk() -> Finding:
    """Check the free space where the stacks' data goes."""
    folder = stack_home()
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / _GB
    found = f"{free_gb:.1f} GB free at {folder}"
    if free_gb >= _DISK_GB:
        return Finding("Disk", "ok", found)
    return Finding(
        "Disk", "missing", found, f"free {_DISK_GB:g} GB there, or set TRADEWIND_HOME elsewhere"
    )


def memory() -> Finding:
    """Check the memory that programs could take now."""
    available_gb = psutil.virtual_memory().available / _GB
    found = f"{available_gb:.1f} GB available"
    if available_gb >= _MEMORY_GB:
        return Finding("Memory", "ok", found)
    return Finding("Memory", "missing", found, f"end other programs; {_MEMORY_GB:g} GB are needed")


def aiokafka_compiled() -> Finding:
    """Check that records are encoded by compiled code; the Python fallback is far slower."""
    return _extension("aiokafka", "record/_crecords/default_records")


def faust_compiled() -> Finding:
    """Check that Faust delivers messages by compiled code."""
    return _extension("faust", "transport/_cython/conductor")


def uvloop() -> Finding:
    """Check the event loop of the serving roles."""
    return _extension("uvloop", "loop")


def torch() -> Finding:
    """Check the library for training; the serving roles do without it."""
    if PathFinder.find_spec("torch") is not None:
        return Finding("torch", "ok", "installed")
    return Finding("torch", "optional", "not installed: no training", f"{_SETUP} LOCK=all")


def postgresql() -> Finding:
    """Say which PostgreSQL a stack would use; the chain runs without, and keeps no SQL rows."""
    server = postgres.server_of(stack_home())
    if server.provider == "given":
        return Finding("PostgreSQL", "ok", f"given: {postgres.VARIABLE} is set")
    if postgres.installed() is not None:
        return Finding("PostgreSQL", "ok", f"embedded: {postgres.VARIABLE} is not set")
    return Finding("PostgreSQL", "optional", f"{postgres.PACKAGE} is not installed", _SETUP)


def registry() -> Finding:
    """Say where models are registered; training works without, and registers nothing."""
    tracking = mlflow.tracking_of(stack_home())
    if not mlflow.installed():
        return Finding("MLflow", "optional", f"{mlflow.PACKAGE} is not installed", _SETUP)
    return Finding("MLflow", "ok", f"{tracking.provider}: {tracking.why}")


def chromium() -> Finding:
    """Check the browser with which the page is tested."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return Finding("Chromium", "ok", path)
    return Finding(
        "Chromium", "optional", "not on PATH: browser tests cannot run", "apt-get install chromium"
    )


CHECKS: tuple[Callable[[], Finding], ...] = (
    python,
    java,
    maven,
    jars,
    kafka,
    disk,
    memory,
    aiokafka_compiled,
    faust_compiled,
    uvloop,
    torch,
    postgresql,
    registry,
    chromium,
)


def _unless_given() -> State:
    """Return how bad it is to lack a tool of the embedded broker."""
    return "missing" if given_servers() is None else "optional"


def _extension(package: str, module: str) -> Finding:
    """Look for a compiled module of this interpreter's kind; importing it would cost seconds."""
    name = f"{package} (compiled)"
    # Not importlib.util.find_spec: Faust, once imported, hides its own.
    spec = PathFinder.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return Finding(name, "missing", f"{package} is not installed", _SETUP)
    for folder in spec.submodule_search_locations:
        for suffix in EXTENSION_SUFFIXES:
            if Path(folder, module + suffix).is_file():
                return Finding(name, "ok", module)
    return Finding(
        name, "missing", f"{module} is not compiled", f"install a wheel of {package}: {_SETUP}"
    )
