"""What a person sees while a run goes on, and at its end."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from agents.run.observer import Seen
from models.verification import Findings
from streams.sources.tape import Interval
from streams.timestamps import format_ns

_QUANTILES = (("P50", 0.50), ("P95", 0.95), ("P99", 0.99))

# A terminal is repainted this often; a log gets one line per this many bars instead.
_REPAINTS_PER_S = 4
_LINE_EVERY_BARS = 250


@dataclass
class Screen:
    """Shows a run; a plain log where the output is no terminal."""

    console: Console
    seen: Seen
    n_bars: int
    n_ticks: int = 0
    n_sent: int = 0
    newest_ns: int = -1
    progress: Progress = field(init=False)
    live: Live = field(init=False)

    def __post_init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
        )
        self.task = self.progress.add_task("bars replayed", total=self.n_bars)
        self.live = Live(
            get_renderable=self._render,
            console=self.console,
            refresh_per_second=_REPAINTS_PER_S,
            auto_refresh=self.console.is_terminal,
            transient=True,
        )

    def sent(self, interval: Interval) -> None:
        """Count an interval that is on the broker."""
        self.n_sent += 1
        self.n_ticks += interval.n_ticks()
        self.newest_ns = interval.close_ns
        self.progress.update(self.task, completed=self.n_sent)
        if not self.console.is_terminal and self.n_sent % _LINE_EVERY_BARS == 0:
            self.console.print(
                f"{self.n_sent}/{self.n_bars} bars, {self.n_ticks:,} ticks, "
                f"{sum(self.seen.verdicts.values()):,} decisions, to {format_ns(interval.close_ns)}"
            )

    def _render(self) -> RenderableType:
        return Group(self.progress, summary(self.seen, self.n_ticks, self._lag()))

    def _lag(self) -> str:
        if self.newest_ns < 0 or self.seen.decided_ns < 0:
            return "-"
        return f"{format_ns(self.seen.decided_ns)} of {format_ns(self.newest_ns)}"


def summary(seen: Seen, n_ticks: int, lag: str) -> Table:
    """Return the table of what happened."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("ticks in", f"{n_ticks:,}")
    slices = ", ".join(f"{name} {n:,}" for name, n in seen.slices.items())
    table.add_row("slices", slices or "-")
    table.add_row("decisions", _counts(seen.verdicts))
    table.add_row("refused because", _counts(seen.rejections))
    table.add_row("dead letters", _counts(seen.dead_letters))
    table.add_row("decided to", lag)
    table.add_row(
        "heartbeat to decision, queue of the replay included", quantiles(seen.latencies_ms)
    )
    return table


def quantiles(latencies_ms: Iterable[float]) -> str:
    """Return P50, P95 and P99 in milliseconds.

    Examples
    --------
    >>> quantiles(range(1, 101))
    'P50 50 ms, P95 95 ms, P99 99 ms (n = 100)'
    """
    ordered = sorted(latencies_ms)
    if not ordered:
        return "-"
    shown = (
        f"{name} {ordered[round(share * len(ordered)) - 1]:.0f} ms" for name, share in _QUANTILES
    )
    return f"{', '.join(shown)} (n = {len(ordered):,})"


def _counts(counts: dict[str, int]) -> str:
    shown = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {n:,}" for name, n in shown) or "none"


def verification(findings: dict[str, Findings]) -> Table:
    """Return the table of the verification, one column a portfolio."""
    table = Table("verification", *findings, title_justify="left")
    for name in Findings._fields:
        values = [getattr(found, name) for found in findings.values()]
        is_bad = name not in {"n_decisions", "n_repeats"} and any(values)
        style = "bold red" if is_bad else ""
        table.add_row(name.replace("_", " "), *(f"{value:,}" for value in values), style=style)
    held = all(found.holds() for found in findings.values()) and bool(findings)
    table.add_row("holds", *("yes" if f.holds() else "NO" for f in findings.values()))
    table.caption = (
        "every slot decided, every id one value, no limit broken, equity folded twice"
        if held
        else "the verification does NOT hold"
    )
    return table
