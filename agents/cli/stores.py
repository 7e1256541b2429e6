"""The stores of a stack: PostgreSQL, Redis and MLflow, as parts that `up` starts and as programs.

``tradewind postgres``, ``redis`` and ``mlflow`` (``agents/cli/mlflow.py``) prepare a store and then
become its server, so a store is a process like any role: tied to a demo, or outliving
``tradewind up``.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from agents.cli.parts import Part, PartState
from agents.cli.role_part import RolePart
from agents.cli.spoken import spoken_errors
from agents.run.stores import ASK_POSTGRES
from agents.run.workers import GIVES_WAY_NICE
from streams.brokers import stack_home
from streams.brokers.ports import free_port
from tables.stores.servers import mlflow as mlflow_server
from tables.stores.servers import postgres as postgres_server
from tables.stores.servers import redis as redis_server

HOST = "127.0.0.1"

_Home = Annotated[str, typer.Option("--name", help="The stack.")]


def register(app: typer.Typer) -> None:
    """Add the programs."""
    for command in (postgres, redis):
        app.command()(command)


def postgres(name: _Home = "default") -> None:
    """Run the stack's PostgreSQL in the foreground; its socket is in the stack's folder."""
    with spoken_errors():
        command = postgres_server.prepared(stack_home(name))
    os.nice(GIVES_WAY_NICE)
    os.execvp(command[0], command)  # noqa: S606  our own command, as a list


def redis(name: _Home = "default") -> None:
    """Run the stack's Redis in the foreground; its socket is in the stack's folder."""
    with spoken_errors():
        command = redis_server.prepared(stack_home(name))
    os.execvp(command[0], command)  # noqa: S606  our own command, as a list


def stores_of(name: str) -> list[Part]:
    """Return a stack's stores in the order in which they start."""
    return [_postgres_part(name), _redis_part(name), _mlflow_part(name)]


def _postgres_part(name: str) -> Part:
    home = stack_home(name)
    server = postgres_server.server_of(home)

    def answers() -> bool:
        return asyncio.run(server.answers())

    if server.provider == "given":
        return GivenPart("postgres", server.spoken, server.why, answers())
    if postgres_server.installed() is None:
        return _missing("postgres", postgres_server.VARIABLE, postgres_server.PACKAGE)
    arguments = ("postgres", f"--name={name}")
    return RolePart(
        "postgres",
        home,
        arguments,
        address=server.url,
        listens=answers,
        ready_s=postgres_server.READY_S,
        ask=ASK_POSTGRES,
    )


def _redis_part(name: str) -> Part:
    home = stack_home(name)
    server = redis_server.server_of(home)

    def answers() -> bool:
        return asyncio.run(server.answers())

    if server.provider == "given":
        return GivenPart("redis", server.spoken, server.why, answers())
    if redis_server.installed() is None:
        return _missing("redis", redis_server.VARIABLE, redis_server.PACKAGE)
    return RolePart(
        "redis",
        home,
        ("redis", f"--name={name}"),
        address=server.url,
        listens=answers,
        ready_s=redis_server.READY_S,
    )


def _mlflow_part(name: str) -> Part:
    home = stack_home(name)
    tracking = mlflow_server.tracking_of(home)
    if tracking.provider == "given":
        return GivenPart("mlflow", tracking.spoken, tracking.why, running=True)
    if not mlflow_server.installed():
        return _missing("mlflow", mlflow_server.VARIABLE, mlflow_server.PACKAGE)
    port = _kept_port(home)
    return RolePart(
        "mlflow",
        home,
        ("mlflow", f"--name={name}", f"--port={port}"),
        port,
        ready_s=mlflow_server.READY_S,
    )


def _kept_port(home: Path) -> int:
    """Return the port of the first start: bookmarks outlive a restart."""
    path = home / "mlflow.port"
    if path.exists():
        return int(path.read_text())
    port = free_port(HOST)
    home.mkdir(parents=True, exist_ok=True)
    path.write_text(str(port))
    return port


def _missing(name: str, variable: str, package: str) -> "GivenPart":
    why = f"{variable} is not set, {package} is not installed: the chain runs without"
    return GivenPart(name, None, why, running=False, provider="none")


@dataclass(frozen=True)
class GivenPart:
    """A store that is not ours to start or stop."""

    name: str
    address: str | None
    why: str
    running: bool
    provider: str = "given"

    def start(self) -> PartState:
        """Say how it is."""
        return self.state()

    def stop(self) -> str | None:
        """Do nothing: who started it stops it."""
        return None

    def state(self) -> PartState:
        """Say how it is."""
        return PartState(
            self.name, self.provider, running=self.running, why=self.why, address=self.address
        )
