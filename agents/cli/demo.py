"""``tradewind demo``: a tape through the whole chain on a real broker, started for it."""

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.in_order import in_order
from agents.cli.times import asked_ns
from agents.run.session import Session
from streams.brokers import open_broker, stack_home
from streams.clock import monotonic_s
from streams.errors import SettingsError
from streams.sources.bridge import BridgeTape
from streams.sources.files import open_tape
from streams.sources.synthetic import SyntheticTape
from streams.sources.tape import Tape
from streams.timestamps import parse_ns

# The demo's models end with 2017, so that everything shown is out of sample.
_FIT_UNTIL = "2017-12-31T00:00:00Z"
_SHOW_FROM = "2018-01-03T00:00:00Z"

# The first half is fitted on, the second is shown.
_SYNTHETIC_BARS = 1_700
_SYNTHETIC_SEED = 7

_File = Annotated[Path | None, typer.Option("--file", help="CSV or Parquet of ticks or bars.")]
_Timeframe = Annotated[str | None, typer.Option(help="Base timeframe of a file's bars.")]
_From = Annotated[str | None, typer.Option("--from", help="First close to show, RFC 3339.")]
_Name = Annotated[str, typer.Option("--name", help="The stack.")]
_Synthetic = Annotated[
    str | None,
    typer.Option(help="Simulated market with planted regimes: SYMBOLSxTICKS a bar, as 200x5."),
]
_Once = Annotated[
    bool, typer.Option("--once", help="Exit at the end; the status tells the result.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(demo)


def demo(
    file: _File = None,
    timeframe: _Timeframe = None,
    show_from: _From = None,
    name: _Name = "demo",
    synthetic: _Synthetic = None,
    *,
    once: _Once = False,
) -> None:
    """Start a broker, fit or load models, replay a tape, verify every decision, open the pages."""
    started_s = monotonic_s()
    with in_order() as console:
        home = stack_home(name)
        tape = _tape(file, timeframe, synthetic)
        is_bridge = isinstance(tape, BridgeTape)
        fit_until_ns = parse_ns(_FIT_UNTIL) if is_bridge else None
        if show_from is None and is_bridge:
            show_from = _SHOW_FROM
        session = Session(
            console, home, tape, fit_until_ns, asked_ns("--from", show_from), started_s=started_s
        )
        session.check()
        broker = open_broker(home)
        try:
            console.print(f"Kafka at {broker.bootstrap_servers}: {broker.why}.")
            held = session.run(broker.bootstrap_servers, stay=not once)
        finally:
            broker.stop()
    raise typer.Exit(0 if held else 1)


def _tape(file: Path | None, timeframe: str | None, synthetic: str | None) -> Tape:
    if synthetic is not None:
        symbols, _, ticks = synthetic.partition("x")
        if not (symbols.isdecimal() and ticks.isdecimal() and file is None):
            raise SettingsError(
                f"--synthetic was {synthetic!r}; expected SYMBOLSxTICKS as 200x5, and no --file"
            )
        return SyntheticTape(
            symbols=int(symbols),
            bars=_SYNTHETIC_BARS,
            ticks_per_bar=int(ticks),
            seed=_SYNTHETIC_SEED,
            timeframe=timeframe or "1day",
        )
    return BridgeTape() if file is None else open_tape(file, timeframe=timeframe)
