"""Which models decide, as the decisions themselves say: digests, since when, and how often."""

from dataclasses import dataclass

from streams.records import Decision, Digests
from tables.views.account_history import PORTFOLIOS_MAX
from tables.views.decision_row import DecisionRow

# What decided before the last changes is in the decisions and in the registry.
SETS_MAX = 8


@dataclass(slots=True)
class ServedModels:
    """One set of models in the book of one portfolio, as far as the log was read."""

    portfolio: str
    timeframe: str
    epoch: int
    digests: Digests
    first_close_ns: int
    last_close_ns: int
    n_decisions: int = 0


class ModelsInUse:
    """The sets of each portfolio, the last ones."""

    def __init__(self) -> None:
        self._sets: dict[str, dict[tuple[int, str], ServedModels]] = {}

    def add(self, decision: Decision, row: DecisionRow) -> None:
        """Take a decision that was not there before."""
        if decision.portfolio not in self._sets and len(self._sets) >= PORTFOLIOS_MAX:
            return
        sets = self._sets.setdefault(decision.portfolio, {})
        close_ns, key = row.key.close_ns, (decision.epoch, decision.digests.models)
        served = sets.get(key)
        if served is None:
            served = sets[key] = ServedModels(
                decision.portfolio,
                decision.timeframe,
                decision.epoch,
                decision.digests,
                close_ns,
                close_ns,
            )
            if len(sets) > SETS_MAX:
                del sets[min(sets, key=lambda each: sets[each].last_close_ns)]
        served.first_close_ns = min(served.first_close_ns, close_ns)
        served.last_close_ns = max(served.last_close_ns, close_ns)
        served.n_decisions += 1

    def sets(self) -> list[ServedModels]:
        """Return all sets by portfolio, the one that decided last first."""
        found = [served for sets in self._sets.values() for served in sets.values()]
        return sorted(found, key=lambda served: (served.portfolio, -served.last_close_ns))
