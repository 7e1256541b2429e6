"""``tradewind worker``: one process of a role; restart is its recovery."""

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import faust
import typer
import uvloop
from aiokafka.record._crecords import default_records  # noqa: F401  assert: compiled, or stop here

from agents import waits
from agents.cli.role_process import run_role
from agents.cli.spoken import spoken_errors
from agents.log_lines import log_lines
from agents.run.workers import GIVES_WAY_NICE
from agents.serving import ServingPlace
from agents.topology import Place, explain_app, trading_app
from agents.traces import spans_to
from streams.brokers import stack_id
from streams.brokers.given import await_broker
from streams.settings import Settings
from streams.tls import tls_of
from tables.stores.disk import Disk

# Faust and its parts emit debug records even at `warn`; each level is set by name.
_NOISY = ("faust", "mode", "aiokafka", "aiohttp.access", "asyncio", "kafka")

log = logging.getLogger("tradewind.worker")

SWITCH_INTERVAL_S = 0.0005

ROLES = {"trading": trading_app, "forensics": explain_app}
# Of processes that are no Faust app.
ROLLOUT = "rollout"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(worker)


def worker(  # noqa: PLR0913, PLR0917  one argument per option of the command
    bootstrap: Annotated[str, typer.Option(help="Kafka's address, host:port.")],
    data: Annotated[Path, typer.Option(help="Directory of this worker's local tables.")],
    artifacts: Annotated[Path, typer.Option(help="Directory of models and epochs.")],
    run: Annotated[str, typer.Option(help="Run whose topics are used; empty: live.")] = "",
    role: Annotated[str, typer.Option(help=f"One of {', '.join((*ROLES, ROLLOUT))}.")] = "trading",
    web_port: Annotated[int, typer.Option(help="Port of the stats page.")] = 6066,
    instance: Annotated[str, typer.Option(help="Name of this worker within the run.")] = "0",
    api_port: Annotated[int, typer.Option(help="Port of the API; 0: none.")] = 0,
    auth: Annotated[Path | None, typer.Option(help="Folder of the keys of tokens.")] = None,
    stack: Annotated[
        str, typer.Option(help="Id of the stack whose tokens are taken; default: that of --auth.")
    ] = "",
    redis: Annotated[
        str, typer.Option(envvar="REDIS_URL", help="Address of Redis; empty: do without.")
    ] = "",
    pages_url: Annotated[str, typer.Option(help="Where the pages are, which know decisions.")] = "",
    learning_url: Annotated[str, typer.Option(help="Where updates of models are run.")] = "",
    rollout_url: Annotated[str, typer.Option(help="Where rollouts of models are moved.")] = "",
    *,
    alone: Annotated[
        bool, typer.Option("--alone", help="No other worker exists: decide through an outage.")
    ] = False,
) -> None:
    """Run one worker until it is told to stop; exit 1 if a stage failed."""
    # Until the app says more: the signal would end a process that still starts.
    faulthandler.register(signal.SIGUSR1)
    if role not in {*ROLES, ROLLOUT}:
        expected = ", ".join((*ROLES, ROLLOUT))
        raise typer.BadParameter(f"role was {role!r}; expected one of {expected}")
    with spoken_errors():
        settings = Settings.read()
        tls = tls_of(settings)
        spans = spans_to(settings.traces_url, role)
    data.mkdir(parents=True, exist_ok=True)
    disk = Disk(data, settings.disk_full_fraction)
    disk.show()
    log_lines(settings)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    place = Place(
        bootstrap_servers=bootstrap,
        run=run,
        n_partitions=settings.partitions,
        data=data,
        artifacts=artifacts,
        web_host=settings.web_host,
        web_port=web_port,
        instance=instance,
        disk=disk,
        spans=spans,
        serving=_serving(
            api_port,
            auth,
            host=settings.web_host,
            url=f"{settings.scheme}://{settings.web_host}:{api_port}",
            tls=tls,
            stack=stack,
            spill=data.parent / "spill" / f"{data.name}-decided",
            redis_url=redis,
            pages_url=pages_url,
            learning_url=learning_url,
            rollout_url=rollout_url,
            is_alone=alone,
            disk=disk,
        ),
    )
    if role == ROLLOUT:
        # Only then: a worker needs none of it, and starts again after a crash.
        rollout_role = import_module("agents.cli.rollout_role")
        run_role(bootstrap, lambda: rollout_role.serve(place), web_port)
        return
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    # The consumer's thread must not wait for a step in the main one; the default is 5 ms.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    if role != "trading":
        os.nice(GIVES_WAY_NICE)
    with spoken_errors():
        await_broker(bootstrap)
    app = ROLES[role](place)
    # What start-up made lives as long as the process: no need to walk it at every collection.
    gc.collect()
    gc.freeze()
    program = _Worker(
        app,
        loop=asyncio.new_event_loop(),
        # Else Faust would put its own handlers in the place of ours, and leave out what they say.
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
        debug=False,
    )
    raise SystemExit(program.execute_from_commandline())


def _serving(port: int, auth: Path | None, **place: Any) -> ServingPlace | None:  # noqa: ANN401  fields of the place
    if not port:
        return None
    if auth is None:
        raise typer.BadParameter("--api-port needs --auth: who calls must be known")
    place["stack"] = place["stack"] or stack_id(auth.parent)
    return ServingPlace(port=port, auth=auth, **place)


class _Worker(faust.Worker):
    """Faust's program, which ends when all of it has ended."""

    async def _cry(self) -> None:
        """Answer SIGUSR1: say where all tasks wait; mode leaves a thread out and prints values."""
        log.warning("asked where all tasks wait:\n%s", waits.of_worker(self.app))

    async def _sentinel_task(self) -> None:
        """Do without the second that mode sleeps here, after everything was awaited."""
