"""What an account remembers of records it has taken, so that a repetition changes nothing.

Every record names its time. Ids are kept for the day of the record and the day before; what is
older than that and still unknown is refused, so a forgotten id can never be taken twice. Executions
of an order are kept as long as it is open, however old they are.
"""

from collections.abc import Callable

import msgspec

DAYS_KEPT = 2

# An order's time may be so many days beyond the account's; its id is kept until they have passed.
DAYS_AHEAD = 14

# Ids of two days; with these a snapshot stays well below the largest record of a changelog.
MOST_IDS = 200_000


class Taken(msgspec.Struct):
    """An execution that was booked: what a correction must take back."""

    day: int
    order_id: str
    symbol: str
    lots: int = 0
    price_e8: int = 0
    fee: int = 0


class Memory(msgspec.Struct):
    """Ids of records with their day, and executions by id; ``day`` is the account's day.

    ``decided`` are checksums of what was decided about intents, by their ids.
    """

    day: int = -1
    ids: dict[str, int] = msgspec.field(default_factory=dict)
    executions: dict[str, Taken] = msgspec.field(default_factory=dict)
    decided: dict[str, int] = msgspec.field(default_factory=dict)

    def is_known(self, record_id: str) -> bool:
        """Tell whether a record was taken before."""
        return record_id in self.ids or record_id in self.executions

    def is_forgotten(self, day: int) -> bool:
        """Tell whether records of ``day`` are no longer remembered."""
        return day <= self.day - DAYS_KEPT

    def is_full(self) -> bool:
        """Tell whether no more records that may be refused should be taken until ids are let go."""
        return len(self.ids) >= MOST_IDS

    def settle(self, symbol: str = "") -> None:
        """Keep the executions of a symbol, or all, as known but no more to be taken back."""
        for one, taken in self.executions.items():
            if symbol in {"", taken.symbol}:
                self.executions[one] = Taken(taken.day, taken.order_id, taken.symbol)

    def renumber(self, day: int) -> None:
        """Call the present day ``day`` from now on: another calendar counts from elsewhere.

        What is remembered is kept as if it had come today, or later where it is of a later day.
        """
        by, self.day = day - self.day, day
        self.ids = {one: max(of + by, day) for one, of in self.ids.items()}
        for taken in self.executions.values():
            taken.day = max(taken.day + by, day)

    def forget(self, day: int, is_open: Callable[[str], bool]) -> None:
        """Begin a day: let go what is older than the day before and of no order that is open."""
        self.day = day
        self.ids = {one: of for one, of in self.ids.items() if not self.is_forgotten(of)}
        self.decided = {one: of for one, of in self.decided.items() if one in self.ids}
        self.executions = {
            one: taken
            for one, taken in self.executions.items()
            if not self.is_forgotten(taken.day) or is_open(taken.order_id)
        }
