"""Kill switches: ACTIVE, REDUCING or HALTED, globally, for a portfolio, a strategy or a symbol.

The strictest that applies to an order counts. HALTED refuses everything; REDUCING lets orders pass
that only reduce a position.
"""

from typing import Literal, NamedTuple

# Strategies and symbols with a switch thrown: any role may throw one, and every snapshot names all
# with their reasons, in a record that the broker must take.
MOST_NAMED = 100

SwitchState = Literal["REDUCING", "HALTED"]
Scope = Literal["global", "portfolio", "strategy", "symbol"]


class Switch(NamedTuple):
    """A switch that is thrown: its state, why, by whom, and since when."""

    state: SwitchState
    reason: str
    actor: str
    since_ns: int


class Switches:
    """The switches of one account that are not ACTIVE, by scope and name.

    Parameters
    ----------
    thrown
        By ``scope`` or ``scope:name``.
    """

    def __init__(self, thrown: dict[str, Switch] | None = None) -> None:
        self.thrown = dict(thrown or {})

    def throw(self, scope: Scope, name: str, switch: Switch) -> None:
        """Set a switch, whatever it was."""
        self.thrown[key_of(scope, name)] = switch

    def restore(self, scope: Scope, name: str) -> None:
        """Set a switch back to ACTIVE; the others stay as they are."""
        self.thrown.pop(key_of(scope, name), None)

    def on(self, strategy: str, symbol: str) -> tuple[str, Switch] | None:
        """Return the strictest switch that applies to an order, with its key; None if none does.

        Of equally strict ones the widest is named: global, portfolio, strategy, symbol.
        """
        if not self.thrown:
            return None
        keys = ("global", "portfolio", f"strategy:{strategy}", f"symbol:{symbol}")
        found = [(key, self.thrown[key]) for key in keys if key in self.thrown]
        halted = [one for one in found if one[1].state == "HALTED"]
        return next(iter(halted or found), None)

    def n_named(self) -> int:
        """Return how many strategies and symbols are stopped."""
        return sum(":" in key for key in self.thrown)

    def state(self) -> Literal["ACTIVE", "REDUCING", "HALTED"]:
        """Return the state of the account as a whole."""
        found = {self.thrown[key].state for key in ("global", "portfolio") if key in self.thrown}
        return "HALTED" if "HALTED" in found else "REDUCING" if found else "ACTIVE"


def key_of(scope: Scope, name: str) -> str:
    """Return the key of a switch.

    Examples
    --------
    >>> key_of("global", ""), key_of("symbol", "AAPL")
    ('global', 'symbol:AAPL')
    """
    return f"{scope}:{name}" if scope in {"strategy", "symbol"} else scope
