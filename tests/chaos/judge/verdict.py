"""What the judge says: per invariant how much was checked, how much is broken, and what first."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Violation(NamedTuple):
    """One thing that is not as promised: where it stands, what was found, what was expected."""

    where: str
    found: str
    expected: str


@dataclass
class Invariant:
    """One promise. Only the first violation is kept: the others may follow from it.

    A promise of which less than ``least`` was checked does not hold: nobody has looked.
    """

    code: str
    promise: str
    n_checked: int = 0
    least: int = 1
    n_broken: int = 0
    first: Violation | None = None
    notes: list[str] = field(default_factory=list)

    def broken(self, where: str, found: object, expected: object) -> None:
        """Note a violation."""
        self.n_broken += 1
        self.first = self.first or Violation(where, str(found), str(expected))

    def equal(self, where: str, what: str, found: object, expected: object) -> None:
        """Check that two values are equal."""
        self.n_checked += 1
        if found != expected:
            self.broken(where, f"{what} {found}", f"{what} {expected}")


@dataclass
class Verdict:
    """The seven promises of one run."""

    slots: Invariant = field(default_factory=lambda: Invariant("I1", "every slot is decided"))
    ids: Invariant = field(default_factory=lambda: Invariant("I2", "one id, one record"))
    order: Invariant = field(default_factory=lambda: Invariant("I3", "order of each portfolio"))
    ledger: Invariant = field(default_factory=lambda: Invariant("I4", "accounts = executions"))
    limits: Invariant = field(default_factory=lambda: Invariant("I5", "no limit is broken"))
    flow: Invariant = field(default_factory=lambda: Invariant("I6", "in = out + refused + dropped"))
    audit: Invariant = field(default_factory=lambda: Invariant("I7", "rows = records"))

    def all(self) -> tuple[Invariant, ...]:
        """Return the promises in order."""
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def broken(self) -> tuple[str, ...]:
        """Return the codes of those that do not hold."""
        return tuple(each.code for each in self.all() if each.n_broken)

    def unseen(self) -> tuple[str, ...]:
        """Return the codes of those of which too little was checked."""
        return tuple(each.code for each in self.all() if each.n_checked < each.least)

    def holds(self) -> bool:
        """Tell whether nothing is broken and there was enough to judge, of each promise."""
        return not self.broken() and not self.unseen()

    def plain(self) -> list[dict[str, Any]]:
        """Return the verdict as plain JSON values."""
        return [
            {
                "invariant": each.code,
                "promise": each.promise,
                "checked": each.n_checked,
                "at_least": each.least,
                "violations": each.n_broken,
                "first": each.first._asdict() if each.first else None,
                "notes": each.notes,
            }
            for each in self.all()
        ]

    def table(self) -> str:
        """Return the verdict as text for people."""
        lines = [f"{'':4}{'promise':32}{'checked':>12}{'violations':>12}"]
        for each in self.all():
            lines.append(f"{each.code:4}{each.promise:32}{each.n_checked:>12,}{each.n_broken:>12,}")
            if each.first:
                lines.append(f"    at {each.first.where}: found {each.first.found}")
                lines.append(f"    expected {each.first.expected}")
            if each.n_checked < each.least:
                lines.append(f"    too little was checked; expected at least {each.least:,}")
            lines.extend(f"    {note}" for note in each.notes)
        return "\n".join(lines)
