"""What a backtest remembers of what it said: decisions as rows, accounts as points, one hash."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from models.backtest.points import Orders, Points, Series
from models.backtest.sheet import Sheet, sheet
from streams.dead_letters import DeadLetter
from streams.records import Decision
from streams.slices import Slice
from streams.timestamps import parse_ns
from tables.decisions import Told
from tables.identity import Identity

_JSON = msgspec.json.Encoder()

WARMING_UP = "WARMING_UP"

Keep = Callable[[int, list[Decision]], None]


@dataclass(slots=True)
class Kept:
    """One portfolio's results.

    Attributes
    ----------
    points
        The account behind every bar.
    warm_from
        Number of the first point whose bar decided more than that it warms up, -1 before it.
    verdicts, rejections
        Counts of decisions by what they say, and of refusals by code.
    """

    points: Points
    n_bars: int = 0
    warm_from: int = -1
    verdicts: Counter[str] = field(default_factory=Counter)
    rejections: Counter[str] = field(default_factory=Counter)


class Recorder:
    """Takes what the books of a run say.

    Parameters
    ----------
    keep
        Called with the time and the decisions of each bar or record.
    """

    def __init__(self, keep: Keep) -> None:
        self.identity = Identity()
        self.kept: dict[str, Kept] = {}
        self.dead_letters: Counter[str] = Counter()
        self.alerts: Counter[str] = Counter()
        self.n_rows = 0
        self.decided_ns = -1
        self._keep = keep

    def take(self, said: Told | DeadLetter) -> None:
        """Take one saying."""
        if isinstance(said, DeadLetter):
            self.dead_letters[said.reason] += 1
            return
        slot, account = said.slot, said.account
        kept = self.kept.get(slot.portfolio.id)
        if kept is None:
            kept = self.kept[slot.portfolio.id] = Kept(Points(slot.portfolio.cash_e16()))
        for code, _ in said.outcome.alerts:
            self.alerts[code] += 1
        kept.points.fill(account, said.outcome.executions)
        orders, is_warm = self._decisions(kept, said)
        if not said.slices:
            return
        self.decided_ns = max(self.decided_ns, slot.close_ns)
        n_rows = sum(slice_.n_rows for slice_ in said.slices)
        self.n_rows += n_rows
        if n_rows:
            if is_warm and kept.warm_from < 0:
                kept.warm_from = kept.n_bars
            kept.n_bars += 1
            kept.points.note(account, slot.close_ns, orders, regimes_of(said.slices))

    def _decisions(self, kept: Kept, said: Told) -> tuple[Orders, bool]:
        name, is_warm, n_approved, n_refused = said.slot.portfolio.id, False, 0, 0
        # All that is said at once is of one time.
        ts_ns = parse_ns(said.decisions[0].timestamp) if said.decisions else 0
        for decision in said.decisions:
            value = _JSON.encode(decision)
            self.identity.add(name, ts_ns, decision.symbol, decision.decision_id, value)
            if decision.note != WARMING_UP:
                is_warm = True
            if decision.action != "HOLD":
                n_approved += decision.approved
                n_refused += not decision.approved
            for rejection in decision.rejection_reasons:
                kept.rejections[rejection.code] += 1
            kept.verdicts[verdict_of(decision)] += 1
        if said.decisions:
            self._keep(ts_ns, said.decisions)
        return Orders(n_approved, n_refused), is_warm


class Measured(NamedTuple):
    """One portfolio's results; ``sheet`` is None where nothing that counts was decided.

    ``series`` begins with the first bar that counts; what came before warmed features up.
    """

    series: Series
    sheet: Sheet | None
    n_warmup_bars: int


def measured(kept: Kept, from_ns: int) -> Measured:
    """Return a portfolio's results from a close on, or from its first warm bar if that is later."""
    series = kept.points.series()
    closes: list[int] = series.close_ns.tolist()
    first = max(bisect_left(closes, from_ns), kept.warm_from, 0)
    if kept.warm_from < 0:
        first = len(closes)
    before = float(series.equity[first - 1]) if first else kept.points.opened_with
    counted = series.since(first)
    return Measured(counted, sheet(counted, before), first)


def verdict_of(decision: Decision) -> str:
    """Return what a decision says in a few words, for counting."""
    if decision.note in {WARMING_UP, "INPUT_VOID"}:
        return decision.note.lower().replace("_", " ")
    if decision.action == "HOLD":
        return "hold"
    verdict = "approved" if decision.approved else "refused"
    return f"{decision.action.lower()} {verdict}"


def regimes_of(slices: Iterable[Slice]) -> dict[str, tuple[float, float, float]]:
    """Return the regime probabilities of each row by symbol."""
    found: dict[str, tuple[float, float, float]] = {}
    for slice_ in slices:
        if slice_.n_rows:
            rows = slice_.matrix("regime")[:, :3].tolist()
            found.update(zip(slice_.symbols(), map(tuple, rows), strict=True))
    return found
