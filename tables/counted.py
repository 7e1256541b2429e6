"""Which decisions of a run count when only a part of it does: those behind a close.

A portfolio's decisions begin to count with its first bar behind the close. What people said before
that bar was decided belongs to the books as they stood, whatever time it bears.
"""

from dataclasses import dataclass, field

from streams.timestamps import parse_ns
from tables.decisions import Told


@dataclass(slots=True)
class Counted:
    """Tells what counts, in the order in which a portfolio said it; all does behind close -1."""

    after_ns: int
    _begun: set[str] = field(default_factory=set)
    _before: set[str] = field(default_factory=set)

    def holds(self, portfolio: str, ts_ns: int, decision_id: str, *, is_bar: bool) -> bool:
        """Tell whether a decision counts; ``is_bar`` if a bar made it, and no wish of somebody's.

        One that did not count does not when it comes again, either.
        """
        if self.after_ns < 0:
            return True
        if is_bar and ts_ns > self.after_ns:
            self._begun.add(portfolio)
        if portfolio in self._begun:
            return decision_id not in self._before
        self._before.add(decision_id)
        return False

    def of(self, said: Told) -> Told | None:
        """Return what a book said with the decisions that count; None before its first bar."""
        if self.after_ns < 0:
            return said
        held = [
            each
            for each in said.decisions
            if self.holds(
                each.portfolio,
                parse_ns(each.timestamp),
                each.decision_id,
                is_bar=not each.intent_id,
            )
        ]
        return said._replace(decisions=held) if said.slot.portfolio.id in self._begun else None
