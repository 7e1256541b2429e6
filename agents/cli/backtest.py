"""``tradewind backtest``: a range of market data through the live stages, in this process."""

import os
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from agents.cli.book_access import Run, one_of, servers_of
from agents.cli.in_order import in_order
from agents.cli.models import named
from agents.cli.times import asked_ns, asked_place
from agents.run.backtest import FileBacktest, Result, Span
from agents.run.progress import shown
from agents.run.survey import SOURCES
from agents.run.sweep import Sweep
from agents.run.terms import Changes, limit_of, limits_of
from agents.run.topic_backtest import TopicBacktest
from streams.brokers import stack_home
from streams.clock import run_stamp
from streams.errors import SettingsError
from streams.settings import CONFIG
from streams.sources.bridge import BridgeTape
from streams.sources.files import open_tape
from streams.sources.tape import Tape
from tables.stores.backtest_folder import BacktestFolder, equity_in, summary_in
from tables.stores.model_registry import CHAMPION
from tables.views.backtest_charts import check_installed
from tables.views.backtest_report import Portfolio, compared, comparison_report, report, rows_of

_REPORT = "report.html"

Backtest = FileBacktest | TopicBacktest

_File = Annotated[
    Path | None, typer.Option("--file", help="CSV or Parquet; default: the demo's stocks.")
]
_Models = Annotated[
    str | None,
    typer.Option(help="Digest, champion or champion:TIMEFRAME; default: fitted before the range."),
]
_Set = Annotated[
    list[str] | None, typer.Option("--set", help="Another limit, as risk.max_leverage=1.2.")
]
_SweepOption = Annotated[
    list[str] | None,
    typer.Option("--sweep", help="Limits to compare, as risk.max_asset_fraction=0.1,0.2,0.3."),
]
_Out = Annotated[Path | None, typer.Option(help="New folder for the results.")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(backtest)


def backtest(  # noqa: PLR0913  one parameter an option
    *,
    file: _File = None,
    timeframe: Annotated[str | None, typer.Option(help="Length of a bar.")] = None,
    topic: Annotated[
        str | None, typer.Option(help="market-ticks or market-bars of a run, instead of a file.")
    ] = None,
    run: Run = "",
    models: _Models = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="First close, RFC 3339; or an offset.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Last close, RFC 3339; or an offset.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file; default: as up.")] = None,
    limits: _Set = None,
    sweep: _SweepOption = None,
    cash: Annotated[str | None, typer.Option(help="Cash of every portfolio.")] = None,
    out: _Out = None,
    name: Annotated[str, typer.Option("--name", help="The stack.")] = "default",
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no HTML.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Fold a range through the live stages, and measure what comes of it.

    The book is a fresh one, but for all of a run's topic, on which its people speak again.
    """
    with in_order(stderr=True, interrupted="Interrupted: no result was written.") as console:
        if not no_report:
            check_installed()
        if config is not None:
            os.environ[CONFIG] = str(config)
        home = stack_home(name)
        folder = home / "backtests" / run_stamp() if out is None else out.absolute()
        changes = Changes(limits_of(_single(limits or [])), cash)
        swept = Sweep.of(sweep, folder) if sweep else None
        digest = named(name, models) if models and models.startswith(CHAMPION) else models
        tested: Backtest
        if topic is None:
            tape = _tape(file, timeframe)
            tested = FileBacktest(
                home, tape, digest, asked_ns("--from", begin), asked_ns("--to", end), changes
            )
        else:
            _refuse(file=file, timeframe=timeframe, config=config)
            topic = one_of("topic", topic, SOURCES)
            servers = servers_of(name)
            asked = asked_place("--from", begin), asked_place("--to", end)
            tested = TopicBacktest(home, servers, run, topic, asked, changes, digest)
        span = tested.check()
        with shown(console) as progress:
            fitted = tested.fitted(progress)
        console.print(f"{span.n_bars:,} bars of {tested.source}; models {fitted}.")
        if swept is not None:
            if topic is None:
                digest = fitted
            given = _Given(file, timeframe, topic, run, digest, begin, end, config, cash, name)
            _compare(
                console, swept, [*given.arguments(), *(f"--set={each}" for each in limits or [])]
            )
            return
        result = _run(console, tested, span, folder, with_report=not no_report)
    if as_json:
        typer.echo((folder / "summary.json").read_text())
    else:
        _print(console, result, folder)


def _run(
    console: Console, tested: Backtest, span: Span, root: Path, *, with_report: bool
) -> Result:
    folder = BacktestFolder(root)
    try:
        with shown(console) as progress:
            result = tested.run(folder, span, progress)
        page = _page(result) if with_report else ""
        series = {name: found.series for name, found in result.measured.items()}
        folder.finish(result.summary, series, {_REPORT: page} if page else {})
    except BaseException:
        folder.discard()
        raise
    return result


def _page(result: Result) -> str:
    digests = result.recorder.identity.digests()
    return report(
        result.summary,
        [
            Portfolio(name, digests[name], result.recorder.kept[name], found)
            for name, found in sorted(result.measured.items())
        ],
    )


def _print(console: Console, result: Result, folder: Path) -> None:
    for told in result.summary["remarks"]:
        console.print(told, style="bold red" if told.startswith("IN SAMPLE") else "yellow")
    table = Table("", *sorted(result.measured))
    sheets = [rows_of(result.measured[name].sheet) for name in sorted(result.measured)]
    for rows in zip(*sheets, strict=True):
        table.add_row(rows[0][0], *(text for _, text in rows))
    console.print(table if all(sheets) else "Nothing but warming up: no bar had all features.")
    console.print(
        f"SHA-256 of {result.summary['n_decisions']:,} decisions {result.summary['hash']}"
    )
    console.print(f"Results in {folder}")


class _Given(NamedTuple):
    """The options that every configuration of a sweep has."""

    file: Path | None
    timeframe: str | None
    topic: str | None
    run: str
    models: str | None
    begin: str | None
    end: str | None
    config: Path | None
    cash: str | None
    name: str

    def arguments(self) -> list[str]:
        """Return them as they are given to the program."""
        keys = {"begin": "from", "end": "to"}
        return [
            "--no-report",
            *(
                f"--{keys.get(key, key)}={value}"
                for key, value in self._asdict().items()
                if value is not None
            ),
        ]


def _refuse(**given: object) -> None:
    """Refuse options of a file where a topic is asked for: its epochs say all that."""
    for name, value in given.items():
        if value is not None:
            raise SettingsError(f"--{name} and --topic were both given; expected one of them")


def _compare(console: Console, swept: Sweep, arguments: list[str]) -> None:
    with shown(console) as progress:
        swept.run(arguments, progress)
    summaries = {each.name: summary_in(swept.folder / each.name) for each in swept.configurations}
    names = sorted({name for each in summaries.values() for name in each["portfolios"]})
    for name in names:
        header, rows = compared(name, summaries)
        table = Table(*header, title=f"Portfolio {name}")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    page = comparison_report(
        names, summaries, {each: equity_in(swept.folder / each) for each in summaries}
    )
    (swept.folder / _REPORT).write_text(page)
    console.print(
        "The best of several looks better than it is: choose on one range, judge on another."
    )
    console.print(f"Results in {swept.folder}")


def _single(texts: list[str]) -> dict[str, str]:
    found = dict(limit_of(text) for text in texts)
    for name, values in found.items():
        if len(values) != 1:
            raise SettingsError(
                f"--set risk.{name} has {len(values)} values; --sweep takes several"
            )
    return {name: values[0] for name, values in found.items()}


def _tape(file: Path | None, timeframe: str | None) -> Tape:
    return BridgeTape() if file is None else open_tape(file, timeframe=timeframe)
