"""``tradewind replay`` and ``tradewind verify-certificate``: a file or a recorded run once more."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from agents.cli.book_access import RUN_NAME, servers_of
from agents.cli.book_access import Run as RunName
from agents.cli.in_order import in_order
from agents.cli.times import asked_ns, asked_place
from agents.run.certify import certificate, verify
from agents.run.decided import identity_of
from agents.run.divergence import Difference, first_difference
from agents.run.drive import Run
from agents.run.progress import shown
from agents.run.recorded_range import recorded_from
from agents.run.resumed import alone, hold
from agents.run.session import Session
from agents.run.terms import Changes
from agents.run.topic_backtest import RECORDED, TopicBacktest
from agents.run.topic_replay import TopicReplay
from agents.topology import prefix_of
from streams.brokers import stack_home
from streams.clock import random_id, run_stamp
from streams.errors import SettingsError
from streams.settings import Settings
from streams.sources.files import open_tape
from streams.timestamps import format_ns
from streams.topics import MARKET_TICKS
from tables.identity import Identity
from tables.stores.signing_key import SigningKey

_MAX = "max"

_File = Annotated[Path | None, typer.Option("--file", help="CSV or Parquet of ticks or bars.")]
_Topic = Annotated[str | None, typer.Option(help="market-ticks of a run, instead of a file.")]
_From = Annotated[
    str | None, typer.Option("--from", help="First close to show, RFC 3339; of a topic or offset.")
]
_To = Annotated[str | None, typer.Option("--to", help="Last close of a topic, or an offset.")]
_Speed = Annotated[str, typer.Option(help="max, 1x for as it happened, or another as 60x.")]
_Into = Annotated[str | None, typer.Option(help="Name of the new run; its topics stay then.")]
_Workers = Annotated[int, typer.Option(min=1, max=16, help="Workers of a topic's replay.")]
_Partitions = Annotated[
    int | None, typer.Option(min=1, max=256, help="Partitions of it; default: the run's.")
]
_FreshBook = Annotated[
    bool, typer.Option("--fresh-book", help="Begin with empty books: a backtest of a topic.")
]
_Certificate = Annotated[
    Path | None,
    typer.Option("--certificate", help="File for a signed certificate of a topic."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(replay)
    app.command("verify-certificate")(verify_certificate)


def replay(  # noqa: PLR0913  one parameter an option
    *,
    file: _File = None,
    topic: _Topic = None,
    run: RunName = "",
    timeframe: Annotated[str | None, typer.Option(help="Base timeframe of a file's bars.")] = None,
    begin: _From = None,
    end: _To = None,
    speed: _Speed = _MAX,
    into: _Into = None,
    workers: _Workers = 1,
    partitions: _Partitions = None,
    fresh_book: _FreshBook = False,
    certified: _Certificate = None,
    name: Annotated[str, typer.Option("--name", help="The stack.")] = "default",
    once: Annotated[
        bool, typer.Option("--once", help="Exit at the end; the status tells the result.")
    ] = False,
) -> None:
    """Replay a file, or a range of a run's ticks, through fresh topics and workers of its own."""
    with in_order() as console:
        home = stack_home(name)
        if (file is None) == (topic is None):
            raise SettingsError("expected --file or --topic, and one of them")
        if file is not None:
            given = (("to", end), ("into", into), ("partitions", partitions), ("run", run or None))
            more = (("fresh-book", fresh_book or None), ("certificate", certified))
            _refuse((*given, *more), "--topic")
            tape = open_tape(file, timeframe=timeframe)
            show_from = asked_ns("--from", begin)
            # The champion of a live stack is whom `train` made it, not what this was fitted with.
            session = Session(console, home, tape, None, show_from, registers=False)
            session.check()
            held = session.run(servers_of(name), stay=not once)
        else:
            _refuse((("timeframe", timeframe),), "--file")
            if topic != MARKET_TICKS.name:
                raise SettingsError(f"--topic was {topic!r}; expected {MARKET_TICKS.name}")
            if certified is not None:
                _check_writable(certified)
                SigningKey.of(home)
            where, changes = (home, servers_of(name), run), Changes(n_partitions=partitions)
            if into is not None and not RUN_NAME.fullmatch(into):
                raise SettingsError(f"--into was {into!r}; expected letters, digits, - and _")
            asked = asked_place("--from", begin), asked_place("--to", end)
            source = _source(where, asked, changes, fresh_book=fresh_book)
            how = _How(asked, into, workers, pace_of(speed), certified)
            held = _replay(console, source, how)
    raise typer.Exit(0 if held else 1)


class _How(NamedTuple):
    """How a topic is replayed; ``certified`` is the file of a certificate."""

    asked: tuple[str | None, str | None]
    into: str | None
    n_workers: int
    pace: float
    certified: Path | None


def _source(
    where: tuple[Path, str, str],
    asked: tuple[str | None, str | None],
    changes: Changes,
    *,
    fresh_book: bool,
) -> TopicBacktest:
    """Return the checked range: with its books as they stood, or with empty ones."""
    begin, end = asked
    if begin is not None and not fresh_book:
        return recorded_from(*where, (begin, end), changes)
    source = TopicBacktest(*where, MARKET_TICKS.name, asked, changes, fresh_book=fresh_book)
    source.check()
    return source


def _replay(console: Console, source: TopicBacktest, how: _How) -> bool:
    """Replay a topic; tell whether it decided what the run did, where that can be said."""
    for told in source.range.remarks:
        console.print(told, style="yellow")
    epoch = source.epochs.load(source.digests[source.range.digests[0]]).epoch
    name = how.into or f"replay-{run_stamp()}-{random_id()[:6]}"
    run = Run(name, source.servers, source.home, epoch)
    with alone(run):
        return _played(console, source, run, how)


def _played(console: Console, source: TopicBacktest, run: Run, how: _How) -> bool:
    if how.into is not None and hold(source, run):
        console.print(f"Run {run.name} was begun; what it has already is not sent again.")
    playing = TopicReplay(source, run, how.n_workers, how.pace)
    n_bars = source.counted.n_bars
    console.print(f"{n_bars:,} bars of {source.source} into run {run.name}; {_book(source)}.")
    try:
        with shown(console) as progress:
            playing.advanced = lambda n: progress("bars", min(n / n_bars, 1.0))
            decided = asyncio.run(playing.play(Settings.read().replication))
    finally:
        if how.into is None:
            asyncio.run(playing.remove())
    for reason, n in sorted(playing.watch.seen.dead_letters.items()):
        console.print(f"{n:,} dead letters {reason}", style="yellow")
    if playing.n_restarts:
        console.print(f"{playing.n_restarts} workers ended by themselves and were started again.")
    console.print(f"SHA-256 of {decided.n_decisions():,} decisions: {decided.total()}")
    held = _compared(console, source, decided)
    if how.certified is not None and not held:
        console.print("[red]No certificate: this is not what the run decided.")
    elif how.certified is not None:
        written = certificate(source, how.asked, decided, playing.n_spoken)
        how.certified.write_bytes(written.encode())
        console.print(f"Certificate {how.certified}, signed by {written.public_key}.")
    return held


def _book(source: TopicBacktest) -> str:
    """Say how the books begin."""
    if not source.is_recorded:
        return "a fresh book: a backtest, and no record of what was traded"
    said = "what people and venues said acts again"
    if source.middle is None:
        return said
    begin = source.begin
    start = (
        "the first record" if begin is None else f"the checkpoint of {format_ns(begin.close_ns)}"
    )
    stood = format_ns(source.middle.close_ns)
    return f"the books as they stood at {stood}, folded from {start} on; {said}"


def _compared(console: Console, source: TopicBacktest, decided: Identity) -> bool:
    if not source.is_recorded:
        return True
    prefix = prefix_of(source.run_name)
    live = asyncio.run(
        identity_of(source.servers, prefix, after_ns=source.after_ns, before_ns=source.before_ns)
    )
    if live.total() == decided.total():
        console.print("Equal, byte for byte, to what the run decided.")
        return True
    console.print(f"[red]The run itself decided {live.n_decisions():,}: {live.total()}")
    _tell(console, asyncio.run(first_difference(source)))
    return False


def verify_certificate(
    file: Annotated[Path, typer.Argument(help="A certificate.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option("--name", help="The stack.")] = "default",
) -> None:
    """Check a certificate's signature, fold its range again, and compare; exit 1 if it differs."""
    with in_order() as console:
        found, verified = verify(file, stack_home(name), servers_of(name))
    body = found.body
    console.print(f"Signed by {found.public_key}; the body is as it was signed.")
    if not verified.is_ours:
        told = "That is not this stack's key: whose it is must be known from elsewhere."
        console.print(told, style="bold yellow")
    for what, there, here in verified.machine:
        console.print(f"{what} was {there}, here it is {here}", style="yellow")
    console.print(f"{body.n_decisions:,} decisions there, {body.total}")
    console.print(f"{verified.n_decisions:,} decisions here,  {verified.total}")
    if not verified.differing:
        console.print("[green]The certificate holds.")
        return
    table = Table("what differs", "certified", "here")
    for field, there, here in verified.differing:
        table.add_row(field, str(there), str(here))
    console.print(table)
    if body.book == RECORDED:
        _tell(console, verified.difference)
    raise typer.Exit(1)


def _check_writable(file: Path) -> None:
    """Refuse a place at which no file can be written, before anything runs."""
    if file.is_dir() or not os.access(file.parent, os.W_OK):
        raise SettingsError(f"--certificate was {file}; expected a file that can be written")


def _tell(console: Console, difference: Difference | None) -> None:
    if difference is None:
        console.print("What the run itself decided is what its log gives here.")
        return
    slot = difference.slot
    table = Table("field", "recorded", "here")
    table.title = f"{slot.portfolio} {slot.symbol} {format_ns(slot.ts_ns)} {slot.decision_id}"
    for field, there, here in difference.fields:
        table.add_row(field, str(there), str(here))
    console.print(table)
    if difference.stage:
        console.print(f"The earliest stage that differs: {difference.stage}.")
    else:
        console.print("The slices of that bar are gone: which stage differs cannot be told.")


def pace_of(text: str) -> float:
    """Return how many times faster than it happened; 0 for as fast as can be.

    Examples
    --------
    >>> pace_of("max"), pace_of("60x")
    (0.0, 60.0)
    """
    if text == _MAX:
        return 0.0
    try:
        pace = float(text.removesuffix("x"))
    except ValueError:
        pace = 0.0
    if not 0.0 < pace < float("inf"):
        raise SettingsError(f"--speed was {text!r}; expected max, 1x or another as 60x")
    return pace


def _refuse(given: tuple[tuple[str, object], ...], goes_with: str) -> None:
    for name, value in given:
        if value is not None:
            raise SettingsError(f"--{name} goes with {goes_with}")
