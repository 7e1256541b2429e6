"""``tradewind dead-letters``: what could not be used, why, and once more after it was mended."""

import asyncio
import json
from collections import Counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from agents.cli.admin_act import admin_act
from agents.cli.book_access import Run, Stack, servers_of
from agents.cli.letter_log import Letter, LetterLog, Sent
from agents.cli.spoken import spoken_errors
from streams.brokers import stack_home
from streams.errors import SettingsError
from streams.timestamps import format_ns
from tables.stores.replayed_letters import ReplayedLetters

_NS_PER_MS = 1_000_000

_Ids = Annotated[list[str] | None, typer.Argument(help="Ids as `list` prints them.")]
_Id = Annotated[str, typer.Argument(help="An id as `list` prints it.")]
_Reason = Annotated[str, typer.Option(help="Only those of this reason, as LATE.")]
_Limit = Annotated[int, typer.Option(min=1, help="As many at most, the newest.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

commands = typer.Typer(help="Records that could not be used.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(commands, name="dead-letters")


@commands.command("list")
def list_letters(
    stack: Stack = "default",
    run: Run = "",
    reason: _Reason = "",
    limit: _Limit = 20,
    *,
    as_json: _Json = False,
) -> None:
    """List the newest dead letters, the latest last, and how many there are by reason."""
    with spoken_errors():
        found = _found(_log_of(stack, run), reason)
    shown = found[-limit:]
    if as_json:
        for letter in shown:
            typer.echo(json.dumps(_plain(letter)))
        return
    table = Table("time", "reason", "stage")
    table.add_column("id", overflow="fold")
    table.add_column("detail", overflow="fold")
    for letter in shown:
        time = format_ns(letter.timestamp_ms * _NS_PER_MS)
        table.add_row(time, letter.reason, letter.stage, letter.id, letter.detail)
    if shown:
        Console().print(table)
    by_reason = Counter(letter.reason for letter in found).most_common()
    said = ", ".join(f"{name} {n:,}" for name, n in by_reason) or "none"
    typer.echo(f"{len(shown)} of {len(found):,} dead letters shown; by reason: {said}")


@commands.command()
def show(
    letter_id: _Id, stack: Stack = "default", run: Run = "", *, as_json: _Json = False
) -> None:
    """Show one dead letter with its bytes."""
    with spoken_errors():
        (letter,) = _named(_log_of(stack, run), [letter_id])
    if as_json:
        typer.echo(json.dumps(_plain(letter)))
        return
    for name, value in _plain(letter).items():
        typer.echo(f"{name:12} {value}")


@commands.command()
def replay(
    ids: _Ids = None,
    stack: Stack = "default",
    run: Run = "",
    reason: _Reason = "",
    *,
    again: Annotated[bool, typer.Option(help="Also those that were sent again before.")] = False,
    as_json: _Json = False,
) -> None:
    """Send dead letters once more to where they came from, by id or by reason.

    What was wrong must be mended first, or they come back. What was sent again before is left out,
    unless --again asks for it: a tick without trade_id or seq counts twice then.
    """
    sent: list[Sent] = []
    with spoken_errors():
        if bool(ids) == bool(reason):
            raise SettingsError("replay was given neither ids nor --reason, or both; expected one")
        home, log = stack_home(stack), _log_of(stack, run)
        known = ReplayedLetters(home, run)
        found = _named(log, ids) if ids else _found(log, reason)
        before = set() if again else known.ids()
        letters = [one for one in found if one.id not in before]

        def note(one: Sent) -> None:
            known.note(one.id)
            sent.append(one)

        with admin_act(home, "dead-letters replay", on=reason or "by id") as outcome:
            try:
                asyncio.run(log.replay(letters, note))
            finally:
                outcome.detail = f"{len(sent)} records"
    for one in sent:
        if as_json:
            typer.echo(json.dumps(one._asdict()))
        else:
            typer.echo(f"{one.id} stands in {one.topic}:{one.partition}:{one.offset} now")
    if not as_json:
        left = len(found) - len(letters)
        told = f", {left} were before and are left out; --again sends them too" if left else ""
        typer.echo(f"{len(sent)} records sent again{told}.")


def _log_of(stack: str, run: str) -> LetterLog:
    return LetterLog(servers_of(stack), run)


def _found(log: LetterLog, reason: str) -> list[Letter]:
    return [one for one in asyncio.run(log.read()) if reason in {"", one.reason}]


def _named(log: LetterLog, ids: list[str]) -> list[Letter]:
    # Of a record that a role beside the stage refused too, the stage's own letter is meant.
    found = sorted(asyncio.run(log.read()), key=Letter.is_beside, reverse=True)
    known = {letter.id: letter for letter in found}
    for one in ids:
        if one not in known:
            raise SettingsError(
                f"there is no dead letter {one!r} among {len(known):,}; `tradewind dead-letters "
                "list` has the ids, and letters are kept for 7 days"
            )
    return [known[one] for one in ids]


def _plain(letter: Letter) -> dict[str, Any]:
    """Return a letter as JSON can say it; bytes that are no text keep their escapes."""
    return {
        **letter._asdict(),
        "key": None if letter.key is None else letter.key.decode(errors="backslashreplace"),
        "raw": letter.raw.decode(errors="backslashreplace"),
        "n_bytes": len(letter.raw),
    }
