"""``tradewind topics``: what of the declared topics a cluster has otherwise, and the change."""

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from agents.cli.admin_act import admin_act
from agents.cli.book_access import Run, Stack, servers_of
from agents.cli.spoken import spoken_errors
from agents.topology import all_changelogs, prefix_of
from streams.brokers import stack_home
from streams.settings import Settings
from streams.topic_changes import administering, carry_out, declared, described
from streams.topic_plan import Change, Kind, TopicState, changes

# As `diff` and `terraform plan -detailed-exitcode`: not a failure, and not nothing.
DIFFERENT = 2

_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_COLOURS = {Kind.SAFE: "green", Kind.DESTRUCTIVE: "bold red", Kind.BY_HAND: "yellow"}

commands = typer.Typer(help="Topics as code: the declared ones against those of the cluster.")


class _Outcome(NamedTuple):
    plan: list[Change]
    left: list[Change]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(commands, name="topics")


@commands.command()
def plan(stack: Stack = "default", run: Run = "", *, as_json: _Json = False) -> None:
    """Show what differs, and change nothing; exit 2 if anything does."""
    with spoken_errors():
        wanted = _declared(run)
        found = asyncio.run(_planned(servers_of(stack), wanted))
    _show(found, as_json=as_json)
    if not as_json:
        typer.echo(_summed(found, len(wanted)))
    if found:
        raise typer.Exit(DIFFERENT)


@commands.command()
def apply(
    stack: Stack = "default",
    run: Run = "",
    *,
    destructive: Annotated[
        bool,
        typer.Option(
            "--destructive",
            help="Also what loses something: shorter retention, fewer copies, moved keys; fewer "
            "partitions delete the topic with its records.",
        ),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Create and alter what differs; exit 2 if something is left that needs a flag or a hand."""
    with spoken_errors():
        wanted, servers = _declared(run), servers_of(stack)
        what = "topics apply --destructive" if destructive else "topics apply"
        with admin_act(stack_home(stack), what, on=run or "live") as act:
            plan, left = asyncio.run(_applied(servers, wanted, destructive=destructive))
            act.detail = f"{len(plan) - len(left)} changes, {len(left)} left"
    _show(left, as_json=as_json)
    if not as_json:
        typer.echo(f"{len(plan) - len(left)} changes made. {_summed(left, len(wanted))}")
    if left:
        raise typer.Exit(DIFFERENT)


def _declared(run: str) -> dict[str, TopicState]:
    settings = Settings.read()
    return declared(
        prefix=prefix_of(run),
        n_partitions=settings.partitions,
        replication=settings.replication,
        changelogs=all_changelogs(run),
    )


async def _planned(servers: str, wanted: dict[str, TopicState]) -> list[Change]:
    async with administering(servers) as admin:
        return changes(wanted, await described(admin, wanted))


async def _applied(servers: str, wanted: dict[str, TopicState], *, destructive: bool) -> _Outcome:
    async with administering(servers) as admin:
        plan = changes(wanted, await described(admin, wanted))
        left = await carry_out(admin, plan, wanted, destructive=destructive)
        return _Outcome(plan, left)


def _show(found: Sequence[Change], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([change._asdict() for change in found]))
        return
    if not found:
        return
    table = Table()
    for column in ("topic", "what", "found", "wanted", "kind", "why"):
        table.add_column(column, overflow="fold")
    for change in found:
        shown = change._replace(found=change.found or "-", wanted=change.wanted or "-")
        colour = _COLOURS[change.kind]
        table.add_row(*shown[:4], f"[{colour}]{change.kind}[/]", change.cost)
    Console().print(table)


def _summed(found: Sequence[Change], n_topics: int) -> str:
    """Say how many differences there are, by what they take."""
    if not found:
        return f"{n_topics} topics are as declared."
    counts = ((kind, sum(change.kind is kind for change in found)) for kind in Kind)
    said = ", ".join(f"{n} {kind}" for kind, n in counts if n)
    topics = len({change.topic for change in found})
    return f"{len(found)} differences in {topics} of {n_topics} topics: {said}."
