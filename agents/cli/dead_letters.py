"""``tradewind dead-letters``: what could not be used, why, and once more after it was mended."""

import asyncio
import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from agents.cli.admin_act import admin_act
from agents.cli.book_access import Run, Stack, servers_of
from agents.cli.letter_log import Found, Letter, LetterLog, Sent, checked_run, find
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
        shown, by_reason = _found(_log_of(stack, run), reason, limit)
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
    n = by_reason[reason] if reason else by_reason.total()
    said = ", ".join(f"{name} {n:,}" for name, n in by_reason.most_common()) or "none"
    typer.echo(f"{len(shown)} of {n:,} dead letters shown; by reason: {said}")


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
        _check_asked(ids, reason)
        home, log = stack_home(stack), _log_of(stack, run)
        known = ReplayedLetters(home, run)
        found = _named(log, ids) if ids else _of_reason(log, reason)
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
    # The name first: it is wrong whether or not the broker runs.
    name = checked_run(run)
    return LetterLog(servers_of(stack), name)


def _check_asked(ids: list[str] | None, reason: str) -> None:
    if ids and reason:
        raise SettingsError(
            f"replay was given ids and --reason {reason}; expected only one of the two"
        )
    if not ids and not reason:
        raise SettingsError(
            "replay was given neither ids nor --reason; expected ids as `tradewind dead-letters "
            "list` prints them, or a reason as LATE"
        )


def _found(log: LetterLog, reason: str, most: int = sys.maxsize) -> Found:
    return asyncio.run(find(log.letters(), lambda one: reason in {"", one.reason}, most))


def _of_reason(log: LetterLog, reason: str) -> list[Letter]:
    letters, by_reason = _found(log, reason)
    if not letters:
        raise SettingsError(
            f"no dead letter has the reason {reason!r}; reasons that there are: "
            f"{', '.join(sorted(by_reason)) or 'none, as there is no dead letter'}"
        )
    return letters


def _named(log: LetterLog, ids: list[str]) -> list[Letter]:
    letters, by_reason = asyncio.run(find(log.letters(), lambda one: one.id in ids))
    # Of a record that a role beside the stage refused too, the stage's own letter is meant.
    letters.sort(key=Letter.is_beside, reverse=True)
    known = {letter.id: letter for letter in letters}
    for one in ids:
        if one not in known:
            raise SettingsError(
                f"there is no dead letter {one!r} among {by_reason.total():,}; `tradewind "
                "dead-letters list` has the ids, and letters are kept for 7 days"
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
