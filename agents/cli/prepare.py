"""``tradewind prepare``: everything that a live stack needs before its roles, and no role.

For roles that containers, systemd or Kubernetes start. ``tradewind up`` does the same before it
starts them itself.
"""

import asyncio
import logging
import time
from pathlib import Path
from typing import Annotated

import typer

from agents.cli.admin_act import admin_act
from agents.cli.book_access import Stack, servers_of
from agents.cli.live_models import live_models
from agents.cli.live_plan import FIXED_PORTS
from agents.cli.roles import planned
from agents.cli.spoken import spoken_errors
from agents.log_lines import log_lines
from agents.run.drive import declare_live
from agents.run.parity import remarks
from agents.run.serving import auth_folder
from streams.brokers import stack_home
from streams.brokers.given import await_broker, given_servers
from streams.settings import Settings
from streams.tls import tls_of
from tables.stores.errors import StoreUnavailable
from tables.stores.logins import login_files, open_logins
from tables.stores.migrations import bring_up_to_date
from tables.stores.servers.postgres import PostgresServer, is_usable, server_of
from tables.stores.token_keys import TokenKeys

log = logging.getLogger("tradewind.prepare")

_AGAIN_S = 5.0


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(prepare)


def prepare(
    models: Annotated[
        str | None,
        typer.Option(
            help="Digest to go live with, or champion, or champion:TIMEFRAME; default: what "
            "decides, at first the champion."
        ),
    ] = None,
    stack: Stack = "default",
    logins: Annotated[
        Path | None,
        typer.Option(
            help="Folder with database_url_archive and the like: roles are let in by the passwords "
            "of these addresses.",
        ),
    ] = None,
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for a given broker and database that are away.")
    ] = False,
) -> None:
    """Make the database, the topics, the epoch and the key of a live stack; start no role.

    A second time it changes what settings have changed, and models that are named: a new epoch,
    which decides once the clock has been started again.
    """
    with spoken_errors():
        settings, home = Settings.read(), stack_home(stack)
        tls_of(settings)  # a role would say it in its log only
        log_lines(settings)
        given = given_servers()
        if wait and given is not None:
            await_broker(given)
        servers = servers_of(stack)
        passwords = {} if logins is None else login_files(logins)
        with admin_act(home, "prepare", on=models or "the models that decide") as act:
            if is_usable(home):
                _bring_up_to_date(server_of(home), wait=wait)
                asyncio.run(open_logins(server_of(home), passwords))
            asyncio.run(declare_live(servers, settings))
            digest = live_models(stack, models)
            plan = planned(home, digest, settings)
            plan.learning, plan.rollouts = settings.learning, settings.rollouts
            for field, port in FIXED_PORTS.items():
                setattr(plan, field, port)
            TokenKeys(auth_folder(home)).signing_key()
            plan.keep(home)
            act.detail = f"epoch {len(plan.epochs)} with models {digest}"
    epoch = plan.decides(home)
    for told in remarks(epoch):
        typer.secho(told, fg=typer.colors.YELLOW)
    typer.echo(
        f"Stack {stack} is ready: epoch {len(plan.epochs)}, models {digest[:12]}, "
        f"{len(epoch.instruments)} symbols, bars of {epoch.timeframe}, topics at {servers}."
    )


def _bring_up_to_date(server: PostgresServer, *, wait: bool) -> None:
    while True:
        try:
            asyncio.run(bring_up_to_date(server))
        except StoreUnavailable as error:
            if not wait:
                raise
            log.warning("%s; waiting for it", error)
            time.sleep(_AGAIN_S)
        else:
            return
