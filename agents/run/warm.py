"""Warming a live run up: the last bars of a file pass through it before its clock starts.

Without this a live run says HOLD until its features have seen enough bars, on daily bars a year.
"""

from agents.run.drive import producing
from models.features.catalogue import WARMUP_BARS
from streams.clock import wall_ns
from streams.epochs import Epoch
from streams.errors import TapeError
from streams.sources.replay import Clock, Stretch, replay, ticks_topic
from streams.sources.tape import Interval, Tape
from streams.timestamps import format_ns

# With one bar less than the features need, history decides nothing and the first live bar does.
HISTORY_BARS = WARMUP_BARS - 1
_NAMED = 5


def check_history(tape: Tape, epoch: Epoch) -> Stretch:
    """Return the last bars of a tape, if they can precede the present.

    Raises
    ------
    TapeError
        If the tape has another timeframe or other symbols, or ends in the future.
    """
    if (tape.timeframe, tape.symbols) != (epoch.timeframe, epoch.symbols()):
        found, expected = set(tape.symbols), set(epoch.symbols())
        raise TapeError(
            f"history {tape.name} has bars of {tape.timeframe}, expected {epoch.timeframe}; "
            f"symbols that the models do not know: {_listed(found - expected)}; "
            f"symbols without bars: {_listed(expected - found)}"
        )
    closes = tape.closes_ns()[-HISTORY_BARS:]
    if closes[-1] > wall_ns():
        raise TapeError(
            f"history {tape.name} ends at {format_ns(closes[-1])}; expected a time in the past"
        )
    return Stretch(closes[0], closes[-1])


def _listed(symbols: set[str]) -> str:
    """Name the first of some symbols, and how many more there are."""
    named = ", ".join(sorted(symbols)[:_NAMED]) or "none"
    return named if len(symbols) <= _NAMED else f"{named} and {len(symbols) - _NAMED} more"


async def warm_up(servers: str, epoch: Epoch, digest: str, tape: Tape) -> int:
    """Send the history to the live run under its own clock; return the number of its bars."""
    stretch = check_history(tape, epoch)
    n_bars = 0

    def sent(_interval: Interval) -> None:
        nonlocal n_bars
        n_bars += 1

    async def gate(_close_ns: int) -> None:
        """Send without waiting: a few hundred bars fit into the topic."""

    async with producing(servers) as producer:
        clock = Clock(producer, ticks_topic(""), epoch.n_partitions, epoch.clock_id)
        await clock.announce(1, digest, 0)
        await replay(tape, clock, stretch, lateness_ms=epoch.lateness_ms, gate=gate, sent=sent)
    return n_bars
