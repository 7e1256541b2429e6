"""How networks go on learning: plain values, for whoever must not need torch."""

from dataclasses import asdict, dataclass
from typing import Any

from models.errors import NotFitted

LEARNING_VERSION = 1
"""Counts the changes of the code of updates that make another model of the same bars."""

SHORTEST_WINDOW_DAYS, LONGEST_WINDOW_DAYS = 30, 90

NOT_LEARNING_FRACTION = 1e-3
"""Weights that are nearer to their base than this, relative to their length, have not learned."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to update.

    Attributes
    ----------
    strength : float
        Lambda of elastic weight consolidation (Kirkpatrick et al. 2017); 0 forgets freely.
    learning_rate : float
        Of Adam (Kingma and Ba 2015), which starts anew with every update.
    normalised : bool
        Whether the Fisher information of each network is scaled to a mean of one, so that the
        strength means the same whatever the network's confidence.
    prior : float
        Information that every weight has besides: the precision of a prior around the base (Huszar
        2018), which holds weights that the base's rows say nothing about.
    passes : int
        Over the window's rows.
    batch_rows : int
    window_days : int
        The days of bars that are learned from, 30 to 90.
    gate_days : int
        The days behind them on which the candidate is held against the champion.
    """

    strength: float = 1000.0
    learning_rate: float = 1e-5
    normalised: bool = False
    prior: float = 0.0
    passes: int = 1
    batch_rows: int = 256
    window_days: int = 60
    gate_days: int = 30

    def __post_init__(self) -> None:
        """Refuse a window that is not the promised one, and rates that cannot be.

        Raises
        ------
        NotFitted
            Naming the setting.
        """
        if not SHORTEST_WINDOW_DAYS <= self.window_days <= LONGEST_WINDOW_DAYS:
            raise NotFitted(
                f"window_days was {self.window_days}: expected {SHORTEST_WINDOW_DAYS} to "
                f"{LONGEST_WINDOW_DAYS}"
            )
        if min(self.strength, self.prior) < 0.0 or self.learning_rate <= 0.0:
            raise NotFitted(
                f"strength was {self.strength:g}, prior {self.prior:g}, learning_rate "
                f"{self.learning_rate:g}: expected at least 0, 0, and more than 0"
            )
        if min(self.passes, self.batch_rows, self.gate_days) < 1:
            raise NotFitted(
                f"passes {self.passes}, batch_rows {self.batch_rows}, gate_days {self.gate_days}: "
                "expected at least 1 each"
            )

    def record(self) -> dict[str, Any]:
        """Return the settings as JSON values: part of what names an updated model set."""
        return asdict(self)


SAFE = Settings()
"""The customer's numbers. On these networks they are nearly frozen."""

RECOMMENDED = Settings(strength=0.3, learning_rate=1e-3, normalised=True, prior=0.1)
"""Where drift is to be followed: chosen in the grid of `tradewind evidence learning-sweep`,
and asked on fresh seeds by `learning-arms`."""

MODES = {"safe": SAFE, "recommended": RECOMMENDED}
