"""How the regime mixture is fitted and named: plain values, for whoever must not need the fit."""

from dataclasses import dataclass

FEATURES = ("return_21", "volatility_21", "return_63", "drawdown_63")
"""The columns that ``mixture.fit`` expects, in this order; all of them look back only."""

SIDEWAYS_SHARE = 0.4
"""A component is sideways while its drift is this near to the average, in standard deviations."""

MIN_AGREEMENT = 0.85
"""Below this share of equal names a new fit is another model, not a newer one."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to fit.

    Attributes
    ----------
    components : int
        Truncation K of the Dirichlet process.
    restarts : int
        Starts from different k-means solutions; the best lower bound wins. Refitting a window
        21 bars later keeps 79 % of the names with one start and 92 % with four.
    max_rows : int
        Every m-th bar is used, with the smallest m that keeps to this many rows; neighbouring
        bars share most of their windows and add next to nothing.
    max_iterations : int
        Bound on the updates of one start.
    half_life_bars : float
        Smoothing of the served posterior.
    warm_iterations : int
        Bound on the updates of a warm start: a refit of the same history and three weeks more
        should walk towards the new optimum, not jump into another one.
    """

    components: int = 8
    restarts: int = 4
    max_rows: int = 6000
    max_iterations: int = 500
    half_life_bars: float = 5.0
    warm_iterations: int = 20


DEFAULTS = Settings()
