"""``tradewind web``: the decisions page, in a process of its own so that no browser slows trading.

``trading-decisions, executions, portfolio-snapshots, dead-letters -> pages``; no group, no table.

It also tells /metrics what the last training and the last check came to, as their commands kept it,
which are over before anybody scrapes them, and whether models decide that were taken back.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
import uvloop
from aiohttp import web as http
from prometheus_client import start_http_server

from agents.cli.live_plan import LivePlan
from agents.cli.spoken import spoken_errors
from agents.log_lines import log_lines
from agents.run.check_shown import follow_checks
from agents.run.trainings import Trainings
from agents.taken_back import TakenBackWatch
from agents.topology import prefix_of
from streams.brokers import stack_id
from streams.clock import wall_ns
from streams.closed_connections import ask_again_when_closed
from streams.settings import Settings
from streams.tls import PLAIN, Tls, tls_of
from tables.archive import run_key
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tables.stores.audit_reader import AuditReader
from tables.stores.decision_log import DecisionLog
from tables.stores.disk import Disk
from tables.stores.entry_codes import EntryCodes
from tables.stores.servers import postgres, redis
from tables.stores.token_keys import TokenKeys
from tables.views.auth import Callers
from tables.views.behind import NOTHING, Behind
from tables.views.call_limits import CallLimits
from tables.views.endpoint import Endpoints
from tables.views.forwarding import Forwarder
from tables.views.pages import About, Pages
from tables.views.run_memory import RunMemory
from tables.views.sessions import Sessions
from tables.views.site import Served, site

log = logging.getLogger("tradewind.web")

DEFAULT_PORT = 8090

# An answer takes milliseconds; who still reads one after this is cut off at shutdown.
_SHUTDOWN_S = 2.0
_NS_PER_MS = 1_000_000
_URL_SCHEMES = ("http://", "https://")

_Follow = Callable[[], Coroutine[Any, Any, None]]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(web)


def web(  # noqa: PLR0913, PLR0917  one argument per option of the command
    bootstrap: Annotated[str, typer.Option(help="Kafka's address, host:port.")],
    run: Annotated[str, typer.Option(help="Run whose topics are shown; empty: live.")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any free one.")
    ] = DEFAULT_PORT,
    label: Annotated[str, typer.Option(help="What the data is, for the header.")] = "",
    stats_url: Annotated[str, typer.Option(help="A worker's stats page, to link to.")] = "",
    auth: Annotated[Path | None, typer.Option(help="Folder of the keys of tokens.")] = None,
    stack: Annotated[
        str, typer.Option(help="Id of the stack whose tokens are taken; default: that of --auth.")
    ] = "",
    api_url: Annotated[str, typer.Option(help="A worker's API, which answers the rest.")] = "",
    home: Annotated[
        Path | None, typer.Option(help="The stack's folder: its database and its models.")
    ] = None,
    learning_url: Annotated[str, typer.Option(help="Where updates of models are run.")] = "",
    rollout_url: Annotated[str, typer.Option(help="Where rollouts of models are moved.")] = "",
    metrics_port: Annotated[int, typer.Option(help="Port of /metrics; 0: none.")] = 0,
) -> None:
    """Serve the decisions page until told to stop."""
    for name, url in (
        *(("stats", stats_url), ("API", api_url)),
        *(("learning", learning_url), ("rollout", rollout_url)),
    ):
        if url and not url.startswith(_URL_SCHEMES):
            raise typer.BadParameter(f"{name} URL was {url!r}; expected http:// or https://")
    if auth is None and not _is_loopback(host):
        raise typer.BadParameter(
            f"--host was {host}: pages that others can reach ask who looks, so give --auth too"
        )
    with spoken_errors():
        settings = Settings.read()
        tls = tls_of(settings)
    whose = None
    if auth is not None:
        stack = stack or stack_id(auth.parent)
        behind = _behind(home, stack, run)._replace(
            worker_url=api_url,
            learning_url=learning_url,
            rollout_url=rollout_url,
            auth=auth,
            stack=stack,
        )
        whose = Stack(auth, stack, behind._replace(tls=tls.client))
    _configure_logging(settings)
    ask_again_when_closed()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if metrics_port:
                start_http_server(metrics_port, host)
            about = About(run, label, stats_url)
            runner.run(_serve(bootstrap, about, Listening(host, port, tls), whose))
    except asyncio.CancelledError:
        typer.echo("Stopped.")
    except OSError as error:
        typer.secho(f"{host}:{port} cannot be used: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error


class Listening(NamedTuple):
    """Where the pages listen, and how."""

    host: str
    port: int
    tls: Tls = PLAIN


class Stack(NamedTuple):
    """Whose keys callers have, and what is behind."""

    auth: Path
    id: str
    behind: Behind


def _behind(home: Path | None, stack: str, run: str) -> Behind:
    if home is None:
        return NOTHING
    Disk(home).show()
    if not postgres.is_usable(home):
        return Behind(home=home)
    of = run_key(stack, run)
    return Behind(reader=AuditReader(postgres.server_of(home), of, pooled=True), home=home)


@asynccontextmanager
async def serving(
    bootstrap: str, about: About, at: Listening, stack: Stack | None = None
) -> AsyncIterator[tuple[str, "asyncio.Task[None]"]]:
    """Serve the pages; yield their address and the task that reads, which never ends by itself."""
    memory = RunMemory(prefix_of(about.run), wall_ns() // _NS_PER_MS)
    decisions = DecisionLog(bootstrap, memory.topics, memory.take)
    forwarder = Forwarder(at.tls.client, "pages")
    behind = NOTHING if stack is None else stack.behind
    limits = CallLimits(redis.shared_url(behind.home) if behind.home.parts else "")
    served = None if stack is None else _served(stack, limits, forwarder)
    app = site(Pages(about, memory, decisions, behind), at.host, served)
    runner = http.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await limits.open()
    await runner.setup()
    try:
        await http.TCPSite(runner, at.host, at.port, ssl_context=at.tls.server).start()
        beside = _watching(bootstrap, about.run, behind.home) if behind.home.parts else []
        reading = asyncio.create_task(_together(decisions.follow, *beside), name="follow")
        try:
            yield _url("https" if at.tls.server else "http", runner.addresses[0]), reading
        finally:
            reading.cancel()
            await asyncio.wait([reading])
    finally:
        await runner.cleanup()
        await forwarder.close()
        await limits.close()
        if behind.reader is not None:
            await behind.reader.close()


def _watching(bootstrap: str, run: str, home: Path) -> list[_Follow]:
    """Return what is told to /metrics beside the pages."""
    epochs = Epochs(Artifacts(home / "artifacts"))

    def deciding() -> str:
        plan = LivePlan.of(home)
        return "" if plan is None or run else epochs.load(plan.epochs[-1]).epoch.models

    return [
        Trainings(home).follow,
        partial(follow_checks, home),
        partial(TakenBackWatch(epochs, deciding).follow, bootstrap, run),
    ]


async def _together(*follows: _Follow) -> None:
    """Follow all; what breaks ends the rest: restart is recovery, and a gauge must not lie."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for follow in follows:
                tasks.create_task(follow())
    except ExceptionGroup:
        log.critical("what the pages follow ended by an error", exc_info=True)
        raise


def _served(stack: Stack, limits: CallLimits, forwarder: Forwarder) -> Served:
    callers = Callers(TokenKeys(stack.auth), stack.id)
    return Served(
        Endpoints(callers, limits, forwarder),
        Sessions(callers, f"tradewind-{stack.id}"),
        EntryCodes(stack.auth),
    )


async def _serve(bootstrap: str, about: About, at: Listening, stack: Stack | None) -> None:
    loop = asyncio.get_running_loop()
    async with serving(bootstrap, about, at, stack) as (url, reading):
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, reading.cancel)
        typer.echo(f"Decisions of run {about.run_name}: {url}")
        try:
            await reading
        except ExceptionGroup as error:  # said already
            raise typer.Exit(1) from error


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(scheme: str, address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"


def _configure_logging(settings: Settings) -> None:
    log_lines(settings)
    # The reader says once that the broker is away; aiokafka would say so at every attempt.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
