"""``tradewind token``: who may call the API; issue, list and revoke tokens, change the key.

A token is shown once and kept nowhere. What was issued and revoked, when and by whom, is in the
stack's folder ``auth``.
"""

import getpass
import json
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from agents.cli.admin_act import admin_act
from agents.cli.book_access import Stack
from agents.cli.live_plan import LivePlan
from agents.cli.spoken import spoken_errors
from agents.cli.token_terms import terms_of
from streams.brokers import existing_home, stack_id
from streams.clock import wall_ns
from streams.errors import SettingsError
from streams.settings import Settings
from streams.timestamps import format_ns
from tables.stores.entry_codes import EntryCodes
from tables.stores.token_keys import TokenKeys
from tables.views.auth import issue
from tables.views.entrance import entry_path

_NS_PER_S = 1_000_000_000

Role = Annotated[str, typer.Option("--role", help="trader, researcher or admin.")]
Portfolios = Annotated[
    list[str] | None,
    typer.Option(
        "--portfolio", help="May be given several times; '*' is all, as without for an admin."
    ),
]
Days = Annotated[float, typer.Option("--days", help="How long it is good; at most 366.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

commands = typer.Typer(help="Issue, list and revoke tokens of the API; change the signing key.")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(commands, name="token")


@commands.command("issue")
def issue_one(
    subject: Annotated[str, typer.Option("--subject", help="Who will use it.")],
    role: Role = "trader",
    portfolio: Portfolios = None,
    days: Days = 30.0,
    stack: Stack = "default",
    *,
    as_json: Json = False,
) -> None:
    """Print a new token; it is shown this once."""
    with spoken_errors():
        home, _, wanted, mine = terms_of(stack, subject, role, portfolio)
        with admin_act(home, "token issue", on=f"{subject} as {wanted}") as outcome:
            keys = TokenKeys(home / "auth")
            token, issued = issue(keys, stack_id(home), subject, wanted, mine, days)
            outcome.detail = f"{issued.jti} for {', '.join(mine)}, {days:g} days"
    if as_json:
        typer.echo(json.dumps({"token": token, **msgspec.to_builtins(issued)}))
        return
    typer.echo(token)
    until = format_ns(issued.expires_s * _NS_PER_S)
    typer.echo(f"Token {issued.jti} of {subject}, {role}, good until {until}.", err=True)


@commands.command()
def link(
    subject: Annotated[str, typer.Option("--subject", help="Who will look.")],
    role: Role = "researcher",
    portfolio: Portfolios = None,
    days: Days = 1.0,
    stack: Stack = "default",
) -> None:
    """Print a link to the pages of a live stack that lets in once, within an hour."""
    with spoken_errors():
        home, _, wanted, given = terms_of(stack, subject, role, portfolio)
        settings, plan = Settings.read(), LivePlan.of(home)
        if plan is None:
            raise SettingsError(f"stack {stack} was never started live: tradewind up")
        folder = home / "auth"
        with admin_act(home, "token link", on=f"{subject} as {wanted}") as outcome:
            _, issued = issue(TokenKeys(folder), stack_id(home), subject, wanted, given, days)
            path = entry_path(EntryCodes(folder).issue(issued))
            outcome.detail = f"{issued.jti} for {', '.join(given)}, {days:g} days"
    typer.echo(f"{settings.scheme}://{settings.web_host}:{plan.web_port}{path}")
    typer.echo(
        f"It lets {subject} in once; `tradewind token revoke {issued.jti}` ends it.", err=True
    )


@commands.command("list")
def list_all(stack: Stack = "default", *, as_json: Json = False) -> None:
    """Show what was issued, and what of it is still accepted."""
    with spoken_errors():
        keys = TokenKeys(existing_home(stack) / "auth")
        issued, revoked = keys.issued(), {one.jti: one for one in keys.revocations()}
    now_s = wall_ns() // _NS_PER_S
    states = {
        one.jti: "revoked" if one.jti in revoked else "expired" if one.expires_s < now_s else "good"
        for one in issued
    }
    if as_json:
        rows = [{**msgspec.to_builtins(one), "state": states[one.jti]} for one in issued]
        typer.echo(json.dumps(rows))
        return
    # An id is copied into other commands: it stays whole, and what is around it breaks.
    table = Table(Column("token", no_wrap=True))
    for name in ("of", "role", "portfolios", "issued", "until", "state"):
        table.add_column(name, overflow="fold")
    for one in issued:
        times = (format_ns(seconds * _NS_PER_S) for seconds in (one.issued_s, one.expires_s))
        names = ", ".join(one.portfolios)
        table.add_row(one.jti, one.subject, one.role, names, *times, states[one.jti])
    Console().print(table)


@commands.command()
def revoke(
    jti: Annotated[str, typer.Argument(help="Id of the token, as `list` shows it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    stack: Stack = "default",
) -> None:
    """Accept a token no more; running workers see it with the next request."""
    with spoken_errors():
        home = existing_home(stack)
        with admin_act(home, "token revoke", on=jti, reason=reason):
            TokenKeys(home / "auth").revoke(jti, getpass.getuser(), reason)
    typer.echo(f"Token {jti} is revoked.")


@commands.command()
def retire(
    kid: Annotated[str, typer.Argument(help="Id of the key, as `list --json` shows it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    stack: Stack = "default",
) -> None:
    """Accept no token of a key any more: for one that was stolen."""
    with spoken_errors():
        home = existing_home(stack)
        with admin_act(home, "token retire", on=kid, reason=reason):
            TokenKeys(home / "auth").retire(kid)
    typer.echo(f"Key {kid} is retired; issue new tokens to those whose were signed by it.")


@commands.command()
def rotate(stack: Stack = "default") -> None:
    """Sign with a new key from now on; tokens of older keys stay good until they expire."""
    with spoken_errors():
        home = existing_home(stack)
        with admin_act(home, "token rotate") as outcome:
            kid, _ = TokenKeys(home / "auth").rotate()
            outcome.detail = f"key {kid}"
    typer.echo(f"New tokens are signed with key {kid}.")
