"""``tradewind learning``: one process that keeps days of bars and lets the models learn."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from agents.cli.role_api import Listening, listen
from agents.cli.role_process import run_role
from agents.learning import SOURCE, STAGE, Learning, Run, group_of
from agents.run.serving import LEARNING_HOST, auth_folder
from agents.topology import prefix_of
from models.learning.settings import MODES
from streams.brokers import stack_home, stack_id
from streams.brokers.processes import Launch, start
from streams.kafka_access import kafka
from streams.settings import OFF, Settings
from streams.tls import tls_of
from tables.stores.admin_log import AdminLog
from tables.stores.bar_journal import BarJournal
from tables.stores.disk import Disk
from tables.stores.jobs import Job, Jobs
from tables.stores.servers import redis
from tables.stores.token_keys import TokenKeys
from tables.views.auth import Callers
from tables.views.online_update import update_endpoints

_POLL_S = 0.5


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(learning)


def learning(  # noqa: PLR0913, PLR0917  one argument per option of the command
    bootstrap: Annotated[str, typer.Option(help="Kafka's address, host:port.")],
    run: Annotated[str, typer.Option(help="Run whose bars are learned from; empty: live.")] = "",
    name: Annotated[str, typer.Option("--name", help="Stack whose models learn.")] = "default",
    mode: Annotated[
        str, typer.Option(help=f"One of {', '.join(MODES)}; default: the setting, or safe.")
    ] = "",
    port: Annotated[int, typer.Option(help="Port of the API; 0: none.")] = 0,
    host: Annotated[str, typer.Option(help="Address that the API listens on.")] = LEARNING_HOST,
    metrics_port: Annotated[int, typer.Option(help="Port of /metrics; 0: none.")] = 0,
) -> None:
    """Keep days of bars, and update the models when a day is over, until told to stop."""
    settings = Settings.read()
    mode = mode or (next(iter(MODES)) if settings.learning == OFF else settings.learning)
    if mode not in MODES:
        raise typer.BadParameter(f"mode was {mode!r}; expected one of {', '.join(MODES)}")
    home = stack_home(name)
    # On this machine's own loopback a certificate has another name, and nobody listens in.
    tls = None if host == LEARNING_HOST else tls_of(settings).server
    at = Listening(host, port, tls, redis.shared_url(home))
    run_role(bootstrap, lambda: _serve(bootstrap, run, home, mode, at), metrics_port)


async def _serve(bootstrap: str, run: str, home: Path, mode: str, at: Listening) -> None:
    consumer = AIOKafkaConsumer(
        prefix_of(run) + SOURCE,
        **kafka(bootstrap),
        group_id=group_of(run),
        group_instance_id=STAGE,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(**kafka(bootstrap), enable_idempotence=True)
    async with contextlib.AsyncExitStack() as stack:
        await producer.start()
        stack.push_async_callback(producer.stop)
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        folder = home / STAGE
        Disk(home).show()
        learner = Learning(
            consumer,
            producer,
            prefix_of(run),
            BarJournal(folder / "bars"),
            Jobs(folder / "jobs"),
            mode,
            process_of(home),
        )
        if at.port:
            callers = Callers(TokenKeys(auth_folder(home)), stack_id(home))
            bound = update_endpoints(learner, AdminLog(home))
            await listen(stack, bound, callers, at)
        await learner.work()


def process_of(home: Path) -> Run:
    """Return what runs a job as ``tradewind learn``, and ends it when it is cancelled."""

    async def run(job: Job) -> None:
        command = (
            *(sys.executable, "-m", "agents", "learn"),
            *(f"--name={home.name}", f"--job={job.job_id}"),
        )
        logs = home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        launch = Launch(command, Path.cwd(), logs / "learn.log", dict(os.environ), append=True)
        process = await asyncio.to_thread(start, launch)
        try:
            while process.alive():  # noqa: ASYNC110  a process tells nobody that it ended
                await asyncio.sleep(_POLL_S)
        except asyncio.CancelledError:
            await asyncio.to_thread(process.end)
            raise

    return run
