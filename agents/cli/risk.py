"""``tradewind risk``: ask a book about an order, see and change its limits, stop it and go on.

A change is a record of the book's log: it acts where it stands there, for every record behind it,
and is kept with who made it and why. The role is what is said with --role; who may say so is
checked where callers are authenticated, which the terminal does not.
"""

import asyncio
import json
from typing import Annotated, Any, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from agents.cli import book_access
from agents.cli.book_access import Run, Stack
from agents.cli.spoken import spoken_errors
from streams.clock import wall_ns
from streams.errors import SettingsError
from streams.instructions import LimitChange, OrderIntent, RiskParity, TradingState
from streams.questions import RiskAnswer
from tables.views.risk_answer import answer, as_of

PortfolioId = Annotated[str, typer.Option("--portfolio", help="The portfolio.")]
Actor = Annotated[str | None, typer.Option("--actor", help="Who does it; default: the OS user.")]
Role = Annotated[str, typer.Option("--role", help="trader, researcher or admin.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the change.")]
Scope = Annotated[str, typer.Option("--scope", help="global, portfolio, strategy or symbol.")]
Target = Annotated[str, typer.Option("--target", help="Name of the strategy or symbol.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Price = Annotated[float | None, typer.Option("--price", help="Limit price; none: at the market.")]

# A question that was answered with no, for scripts: neither success nor an error.
REFUSED_STATUS = 2

commands = typer.Typer(help="Check orders, see and change limits, halt, resume, rebalance.")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(commands, name="risk")


@commands.command()
def check(  # noqa: PLR0913, PLR0917  one argument per option of the command
    symbol: Annotated[str, typer.Option("--symbol", help="What is to be traded.")],
    side: Annotated[str, typer.Option("--side", help="BUY or SELL.")],
    quantity: Annotated[float, typer.Option("--quantity", help="In units of the instrument.")],
    price: Price = None,
    strategy: Annotated[str, typer.Option("--strategy", help="Whose order it is.")] = "manual",
    portfolio: PortfolioId = "main",
    stack: Stack = "default",
    run: Run = "",
    *,
    as_json: Json = False,
) -> None:
    """Say what the book would answer to an order now; nothing is reserved. Exit 2: refused."""
    with spoken_errors():
        asked = OrderIntent(
            portfolio=portfolio,
            ts_event=wall_ns(),
            intent_id="question",
            symbol=symbol,
            side=book_access.one_of("side", side, ("BUY", "SELL")),
            quantity=quantity,
            price=price,
            strategy=strategy,
        )
        found = asyncio.run(book_access.log_of(stack, run).read(portfolio))
        account = found.book.account
        position = as_of(account, found.partition, found.next_offset)
        said = answer(account, found.book.slot, asked, position)
    if as_json:
        typer.echo(msgspec.json.encode(said).decode())
    else:
        _print_answer(said)
    raise typer.Exit(0 if said.approved else REFUSED_STATUS)


@commands.command()
def limits(  # noqa: PLR0913, PLR0917  one argument per option of the command
    change: Annotated[
        list[str] | None, typer.Option("--set", help="key=value; may be given several times.")
    ] = None,
    reason: Reason = "",
    portfolio: PortfolioId = "main",
    role: Role = "trader",
    actor: Actor = None,
    stack: Stack = "default",
    run: Run = "",
    *,
    as_json: Json = False,
) -> None:
    """Show the limits in force, or change some (admin)."""
    with spoken_errors():
        if change:
            wanted = dict(_setting(one) for one in change)
            by = book_access.By(portfolio, actor, role, reason)
            said = LimitChange(limits=wanted, **by.fields())
            book_access.append(stack, run, said, as_json=as_json)
            return
        account = asyncio.run(book_access.log_of(stack, run).read(portfolio)).book.account
    shown = account.limits._asdict()
    if as_json:
        typer.echo(json.dumps(shown))
        return
    table = Table("limit", "value", "set by a record")
    for key, value in shown.items():
        table.add_row(key, str(value), "yes" if key in account.kept.changed else "")
    Console().print(table)


@commands.command()
def halt(  # noqa: PLR0913, PLR0917  one argument per option of the command
    reason: Reason,
    scope: Scope = "portfolio",
    target: Target = "",
    portfolio: PortfolioId = "main",
    role: Role = "trader",
    actor: Actor = None,
    stack: Stack = "default",
    run: Run = "",
    *,
    reduce_only: Annotated[
        bool, typer.Option("--reduce-only", help="Let orders pass that only reduce.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Stop trading, or all of it but reductions; any role may."""
    by = book_access.By(portfolio, actor, role, reason)
    with spoken_errors():
        _switch("reduce" if reduce_only else "halt", scope, target, by, _To(stack, run, as_json))


@commands.command()
def resume(  # noqa: PLR0913, PLR0917  one argument per option of the command
    reason: Reason,
    scope: Scope = "portfolio",
    target: Target = "",
    portfolio: PortfolioId = "main",
    role: Role = "trader",
    actor: Actor = None,
    stack: Stack = "default",
    run: Run = "",
    *,
    as_json: Json = False,
) -> None:
    """Go on after a halt of the same scope (admin)."""
    by = book_access.By(portfolio, actor, role, reason)
    with spoken_errors():
        _switch("resume", scope, target, by, _To(stack, run, as_json))


@commands.command()
def rebalance(  # noqa: PLR0913  one argument per option of the command
    reason: Reason,
    portfolio: PortfolioId = "main",
    role: Role = "trader",
    actor: Actor = None,
    stack: Stack = "default",
    run: Run = "",
    *,
    as_json: Json = False,
) -> None:
    """Compute risk-parity weights from the book's window of returns and set them (admin)."""
    # Imported here: only this command needs the optimiser.
    from models.allocation import risk_parity  # noqa: PLC0415  heavy

    with spoken_errors():
        account = asyncio.run(book_access.log_of(stack, run).read(portfolio)).book.account
        found = risk_parity(
            account.rules.symbols,
            account.scenarios.window.T,
            max_asset=account.limits.max_asset_fraction,
            sectors=account.rules.sectors,
            max_sector=account.limits.max_sector_fraction,
        )
        by = book_access.By(portfolio, actor, role, reason)
        said = RiskParity(weights=dict(found.weights), **by.fields())
        book_access.append(stack, run, said, as_json=as_json)
    if not as_json:
        for symbol, weight in sorted(found.weights.items(), key=lambda pair: -pair[1]):
            typer.echo(f"{symbol:12} {weight:.4f}")
        if found.over:
            typer.echo(f"Above their caps, left to the controls: {', '.join(found.over)}.")


class _To(NamedTuple):
    """Where a record goes, and how that is told."""

    stack: str
    run: str
    as_json: bool


def _switch(action: str, scope: str, target: str, by: book_access.By, to: _To) -> None:
    """Append a switch to the portfolio's log, or to every portfolio's where it is a global one."""
    scopes = ("global", "portfolio", "strategy", "symbol")
    if target and scope in scopes[:2]:
        raise SettingsError(
            f"--target was {target!r}; expected none with --scope {scope}: "
            "--portfolio names a portfolio"
        )
    said = TradingState(
        action=book_access.one_of("action", action, ("halt", "reduce", "resume")),
        scope=book_access.one_of("scope", scope, scopes),
        name=target,
        **by.fields(),
    )
    portfolios = [by.portfolio]
    if scope == "global":
        log = book_access.log_of(to.stack, to.run)
        portfolios = asyncio.run(log.portfolios(by.portfolio))
    for portfolio in portfolios:
        one = msgspec.structs.replace(said, portfolio=portfolio)
        book_access.append(to.stack, to.run, one, as_json=to.as_json)


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"--set was {text!r}; expected key=value")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError as error:
        raise SettingsError(f"--set {key} was {value!r}; expected a number, true or []") from error


def _print_answer(said: RiskAnswer) -> None:
    verdict = "approved" if said.approved else "refused"
    typer.echo(
        f"{verdict}: {said.symbol} in {said.portfolio} ({said.state}); allowed "
        f"{said.allowed_quantity:g}, position after the trade {said.position_after_trade:g}."
    )
    for reason in said.rejection_reasons:
        typer.echo(f"  {reason.code}: {reason.message}")
    for key, used in said.limit_utilization.items():
        typer.echo(f"  {key:24} {used:8.1%} used")
    typer.echo(
        f"As of offset {said.as_of.next_offset} of partition {said.as_of.partition}, "
        f"last bar {said.as_of.last_bar}. Nothing is reserved."
    )
