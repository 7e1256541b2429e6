"""The role that learns as a program: what it starts, refuses, and ends."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import typer
from typer.testing import CliRunner

from agents.cli import learning as command
from agents.cli.role_api import Listening
from agents.learning import Learning
from streams.brokers.ports import free_port
from streams.brokers.processes import Launch, Process
from streams.brokers.processes import start as really_start
from tables.stores.jobs import Job


class Client:
    """A consumer or a producer that remembers how it was made and what became of it."""

    made: list["Client"]

    def __init__(self, *topics: str, **options: Any) -> None:  # noqa: ANN401  aiokafka's
        self.topics, self.options, self.events = topics, options, list[str]()
        self.made.append(self)

    async def start(self) -> None:
        """Start."""
        self.events.append("start")

    async def stop(self) -> None:
        """Stop."""
        self.events.append("stop")


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Client]]:
    """Put clients that remember in place of Kafka's."""
    Client.made = []
    monkeypatch.setattr(command, "AIOKafkaConsumer", Client)
    monkeypatch.setattr(command, "AIOKafkaProducer", Client)
    yield Client.made
    Client.made = []


def program() -> typer.Typer:
    """Return a program with this command alone."""
    app = typer.Typer(pretty_exceptions_enable=False)
    command.register(app)
    return app


def test_learning_when_the_mode_is_unknown_then_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slip of the pen must not become a day of another update."""
    monkeypatch.setattr(command, "run_role", lambda *_: pytest.fail("it started"))
    found = CliRunner().invoke(program(), ["--bootstrap=b:1", "--mode=fast"])
    assert found.exit_code == 2
    assert "expected one of safe, recommended" in " ".join(found.output.split())


def test_learning_when_asked_then_serves_the_named_stack_with_its_metrics(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every option arrives where it is needed."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", "redis://r:1/0")
    served: list[tuple[Any, ...]] = []

    async def serve(*arguments: Any) -> None:  # noqa: ANN401  what `learning` passes on
        served.append(arguments)

    def run(bootstrap: str, work: Any, metrics_port: int) -> None:  # noqa: ANN401  a coroutine's maker
        served.append((bootstrap, metrics_port))
        asyncio.run(work())

    monkeypatch.setattr(command, "_serve", serve)
    monkeypatch.setattr(command, "run_role", run)
    arguments = ["--bootstrap=b:1", "--run=r", "--name=s", "--mode=recommended", "--port=7"]
    arguments.append("--host=0.0.0.0")
    found = CliRunner().invoke(program(), [*arguments, "--metrics-port=8"])
    assert found.exit_code == 0, found.output
    at = ("0.0.0.0", 7, None, "redis://r:1/0")  # noqa: S104  nothing listens
    assert served == [("b:1", 8), ("b:1", "r", tmp_path / "s", "recommended", at)]


@pytest.mark.parametrize(
    ("setting", "mode"), [("off", "safe"), ("safe", "safe"), ("recommended", "recommended")]
)
def test_learning_when_no_mode_is_given_then_the_setting_says_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setting: str, mode: str
) -> None:
    """A container is told by its settings alone; one that is started all the same is safe."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv("TRADEWIND_LEARNING", setting)
    served: list[str] = []

    async def serve(_servers: str, _run: str, _home: Path, how: str, _at: Listening) -> None:
        served.append(how)

    monkeypatch.setattr(command, "_serve", serve)
    monkeypatch.setattr(command, "run_role", lambda _servers, work, _port: asyncio.run(work()))
    found = CliRunner().invoke(program(), ["--bootstrap=b:1"])
    assert (found.exit_code, served) == (0, [mode]), found.output


async def test_serve_when_it_ends_then_its_clients_stop_behind_its_work(
    clients: list[Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads the run's regimes from the start, in a group of its own, and commits by itself."""
    worked: list[list[str]] = []

    async def work(_self: Learning) -> None:
        worked.append([event for client in clients for event in client.events])
        raise asyncio.CancelledError

    monkeypatch.setattr(Learning, "work", work)
    with contextlib.suppress(asyncio.CancelledError):
        await command._serve("b:1", "r", tmp_path, "safe", Listening("", 0))
    consumer = next(client for client in clients if client.topics)
    assert consumer.topics == ("r.regime-probabilities",)
    assert consumer.options == {
        "bootstrap_servers": "b:1",
        "group_id": "r.tradewind-learning",
        "group_instance_id": "learning",
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
    }
    (producer,) = (client for client in clients if not client.topics)
    assert producer.options["enable_idempotence"] is True
    assert worked == [["start", "start"]]
    assert [client.events for client in clients] == [["start", "stop"]] * 2


async def test_serve_when_it_has_a_port_then_asks_who_calls(
    clients: list[Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update is an act of somebody: without a token there is none, and the port is freed."""
    assert clients == []
    port, said = free_port("127.0.0.1"), list[int]()

    async def work(_self: Learning) -> None:
        async with aiohttp.ClientSession() as session:
            address = f"http://127.0.0.1:{port}/api/v1/models/online-update"
            async with session.post(address, json={}) as answer:
                said.append(answer.status)

    monkeypatch.setattr(Learning, "work", work)
    await command._serve("b:1", "", tmp_path, "safe", Listening("127.0.0.1", port))
    assert said == [401]
    with pytest.raises(OSError, match=r"refused|Connect"):
        await asyncio.open_connection("127.0.0.1", port)


JOB = Job(job_id="j1", trigger="request", requested_ns=1)


class Started:
    """Processes that were started in place of updates."""

    def __init__(self, program_: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.launches: list[Launch] = []
        self.processes: list[Process] = []
        self._program = program_
        monkeypatch.setattr(command, "start", self._start)
        monkeypatch.setattr(command, "_POLL_S", 0.01)

    def _start(self, launch: Launch) -> Process:
        self.launches.append(launch)
        other = replace(launch, command=(sys.executable, "-c", self._program))
        self.processes.append(really_start(other))
        return self.processes[-1]


async def test_process_when_it_ends_then_the_run_ends_and_its_words_are_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job is ``tradewind learn`` of the stack, in a process of its own."""
    started = Started("print('learned')", monkeypatch)
    home = tmp_path / "s"
    for _ in range(2):
        await asyncio.wait_for(command.process_of(home)(JOB), 30)
    (launch, _) = started.launches
    assert launch.command[1:] == ("-m", "agents", "learn", "--name=s", "--job=j1")
    assert (home / "logs/learn.log").read_text().split() == ["learned", "learned"]


async def test_process_when_the_job_is_cancelled_then_it_is_gone_before_the_run_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update that nobody waits for would register a model all the same."""
    started = Started("import time; time.sleep(600)", monkeypatch)
    run = asyncio.ensure_future(command.process_of(tmp_path / "s")(JOB))
    async with asyncio.timeout(30):
        while not started.processes:  # noqa: ASYNC110  a thread tells nobody
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not started.processes[0].alive()
