"""How unsure the regimes of a slice are, for those who watch them."""

from typing import NamedTuple

from models.arrays import Floats, Indices
from models.regime.posterior import RegimeState

UNSURE_BITS = 1.5
"""Entropy above which a row tells the regimes hardly apart; three alike have 1.585."""


class Doubt(NamedTuple):
    """Rows of warm symbols, those of them above ``UNSURE_BITS``, and the mean entropy in bits."""

    n_rows: int
    n_unsure: int
    mean_bits: float


def doubt(state: RegimeState, rows: Indices, regime: Floats) -> Doubt:
    """Count the unsure rows of a step; a symbol that has never been seen is not unsure but new.

    Parameters
    ----------
    state : RegimeState
        After the step.
    rows : (n,)
        Each row's symbol.
    regime : (n, 4)
        bull, bear, sideways, entropy in bits.

    Returns
    -------
    Doubt
        The mean is 0 without rows.
    """
    bits = regime[state.seen[rows] > 0, 3]
    n_rows = len(bits)
    return Doubt(n_rows, int((bits > UNSURE_BITS).sum()), float(bits.mean()) if n_rows else 0.0)
