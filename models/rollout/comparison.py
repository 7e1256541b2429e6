"""Champion and challenger on the same bars: what each wished, and what came of it.

Both say something of every row, whichever of them decides, so the comparison is paired. A bar is
judged when the next one shows what happened. The state has the size of the universe however long
a stage lasts.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from models import paired
from models.arrays import Floats
from models.errors import ShapeError

ARMS = ("champion", "challenger")

MIN_BARS = 100
"""Fewer bars promote nobody: the confidence sequence holds for many, and no data is no reason."""

MIN_BARS_OF_HARM = 20
"""Fewer bars end nothing either: a mean of a handful is chance."""

TIGHTEST_AT = 1_000.0
"""Bars at which the bounds are narrowest. Tuned to a week of seconds, they would be blind for hours
to a model that is plainly worse; tuned to few, they cost little later."""

MOST_SILENT_FRACTION = 0.01
"""A challenger that is silent on more of the last bars' rows has shown nothing of them."""

_ROUNDING = 1e-12
"""A variance below this share of the mean square is what adding up leaves of none."""

SIDE_FRACTION = 0.005
"""A book without a position trades from this share of equity on: below, the wish is HOLD."""


class Bar(NamedTuple):
    """One bar as both arms saw it; the first axis of three is the arm.

    Attributes
    ----------
    close : (n_symbols,)
        NaN for a symbol without a row.
    up, target : (2, n_symbols)
        Probability of a rise, and wished share of equity; NaN while they warm up.
    weights : (2, n_symbols, 3)
    """

    close: Floats
    up: Floats
    target: Floats
    weights: Floats


class Compared(NamedTuple):
    """What is remembered of a stage.

    Attributes
    ----------
    close, up, target
        Of each symbol's last bar.
    n_bars : int
        Bars whose outcome is known for both.
    loss, earned : (2,)
        Sums over these bars.
    loss_moments, earned_moments : (2,)
        Mean, and sum of squared distances from it, of challenger less champion.
    beyond_moments : (2,)
        The same of what the challenger lost beyond a share of the champion's gain.
    n_rows, n_agreed : int
        Rows on which both said something, and on which they wished the same side.
    distance : float
        Sum over rows of half the absolute difference of their weights.
    moments : (5,)
        Sums of x, y, x x, y y and x y, of the targets of champion x and challenger y.
    largest : float
        The largest difference of two targets.
    silent : (MIN_BARS,)
        Share of the rows of each of the last bars, the newest last, on which the champion wished
        and the challenger did not.
    """

    close: Floats
    up: Floats
    target: Floats
    n_bars: int
    loss: Floats
    earned: Floats
    loss_moments: Floats
    earned_moments: Floats
    beyond_moments: Floats
    n_rows: int
    n_agreed: int
    distance: float
    moments: Floats
    largest: float
    silent: Floats


def initial_state(n_symbols: int) -> Compared:
    """Start a stage.

    Examples
    --------
    >>> initial_state(2).n_bars
    0
    """
    unknown = np.full((2, n_symbols), np.nan)
    two = np.zeros(2)
    return Compared(
        np.full(n_symbols, np.nan), unknown, unknown, 0, two, two, two, two, two, 0, 0, 0.0,
        np.zeros(5), 0.0, np.zeros(MIN_BARS),
    )  # fmt: skip


def step(state: Compared, bar: Bar) -> Compared:
    """Judge the bar before by this one's closes, and compare what is said of this one.

    Raises
    ------
    ShapeError
        If the bar is not of the state's symbols.
    """
    n = len(state.close)
    shapes = (bar.close.shape, bar.up.shape, bar.target.shape, bar.weights.shape)
    if shapes != ((n,), (2, n), (2, n), (2, n, 3)):
        raise ShapeError(f"a bar of {n} symbols and two arms is needed, was {shapes}")
    state = _compared(_judged(state, bar.close), bar)
    here = np.isfinite(bar.close)
    return state._replace(
        close=np.where(here, bar.close, state.close),
        up=np.where(here, bar.up, state.up),
        target=np.where(here, bar.target, state.target),
    )


def _judged(state: Compared, close: Floats) -> Compared:
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = close / state.close - 1.0
    known = np.isfinite(moved) & np.isfinite(state.up).all(axis=0)
    if not known.any():
        return state
    both, of_both = np.broadcast_to(moved, (2, len(moved))), np.broadcast_to(known, (2, len(known)))
    lost = paired.losses(state.up, both, of_both)
    gained = paired.earned(state.target, both, of_both)
    n = state.n_bars + 1
    return state._replace(
        n_bars=n,
        loss=state.loss + lost,
        earned=state.earned + gained,
        loss_moments=_with(state.loss_moments, n, float(lost[1] - lost[0])),
        earned_moments=_with(state.earned_moments, n, float(gained[1] - gained[0])),
        beyond_moments=_with(state.beyond_moments, n, paired.beyond(*lost.tolist())),
    )


def _with(moments: Floats, n: int, value: float) -> Floats:
    """Add the n-th value to a mean and a sum of squared distances (Welford 1962)."""
    mean = moments[0] + (value - moments[0]) / n
    return np.array([mean, moments[1] + (value - moments[0]) * (value - mean)])


def _compared(state: Compared, bar: Bar) -> Compared:
    wished, answered = np.isfinite(bar.target)
    if wished.any():
        share = float((wished & ~answered).sum() / wished.sum())
        state = state._replace(silent=np.append(state.silent[1:], share))
    known = wished & answered
    x, y = bar.target[:, known]
    if not len(x):
        return state
    moved = 0.5 * np.abs(bar.weights[1] - bar.weights[0])[known].sum(axis=1)
    sums = [x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()]
    return state._replace(
        n_rows=state.n_rows + len(x),
        n_agreed=state.n_agreed + int((_side(x) == _side(y)).sum()),
        distance=state.distance + float(moved.sum()),
        moments=state.moments + np.array(sums),
        largest=max(state.largest, float(np.abs(y - x).max())),
    )


def _side(target: Floats) -> Floats:
    side: Floats = np.sign(target) * (np.abs(target) >= SIDE_FRACTION)
    return side


class Findings(NamedTuple):
    """What a stage has shown so far; NaN where there is nothing yet.

    Attributes
    ----------
    n_bars, n_rows : int
    loss_champion, loss_challenger : float
        Mean log loss in nats.
    loss_lower, loss_upper : float
        Bounds of the mean difference, challenger less champion, at all bars together.
    loss_degradation_fraction : float
        Rise of the mean loss.
    beyond_upper : float
        Upper bound of the mean loss beyond what is tolerated: a share of what the champion gains
        over knowing nothing.
    earned_champion, earned_challenger : float
        Sum of the bars' returns of long targets, marked to the next close, without costs.
    earned_lower, earned_upper : float
        Bounds of the mean difference of a bar's return.
    agreement_fraction : float
        Share of rows on which both wish the same side.
    weight_distance : float
        Mean share of the weights that differs, 0 to 1.
    target_correlation : float
        Of the targets of both, over all rows.
    largest_target_difference : float
    silent_fraction : float
        Mean share of the rows of the last bars on which only the champion wished.
    is_mute : bool
        Whether the challenger wished nothing at all for so many bars in a row that it is harm.
    """

    n_bars: int
    n_rows: int
    loss_champion: float
    loss_challenger: float
    loss_lower: float
    loss_upper: float
    loss_degradation_fraction: float
    beyond_upper: float
    earned_champion: float
    earned_challenger: float
    earned_lower: float
    earned_upper: float
    agreement_fraction: float
    weight_distance: float
    target_correlation: float
    largest_target_difference: float
    silent_fraction: float
    is_mute: bool

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the challenger may not go on; none if it may."""
        if self.n_bars < MIN_BARS:
            return ("TOO_FEW_BARS",)
        broken = {
            "LOSS_WORSE": self.loss_lower > 0.0,
            "NOT_SHOWN_HARMLESS": not self._is_harmless,
            "EARNED_LESS": self.earned_upper < 0.0,
            "CHALLENGER_SILENT": self.silent_fraction > MOST_SILENT_FRACTION,
        }
        return tuple(code for code, is_broken in broken.items() if is_broken)

    @property
    def _is_harmless(self) -> bool:
        """Tell whether the challenger is shown to lose no more than is tolerated.

        The gain is not known but measured on the same bars, by chance it may be anything: so what
        is bounded is the loss beyond its share, or beyond that of the smallest gain.
        """
        least = paired.TOLERANCE_FRACTION * paired.SMALLEST_GAIN_NATS
        return self.beyond_upper <= 0.0 or self.loss_upper <= least

    @property
    def is_degraded(self) -> bool:
        """Whether the challenger is worse by more than is borne, and must stop now."""
        if self.n_bars < MIN_BARS_OF_HARM:
            return False
        loses = (
            self.loss_degradation_fraction > paired.MAX_DEGRADATION_FRACTION
            and self.loss_lower > 0.0
        )
        champion = self.earned_champion / self.n_bars
        earns_less = self.earned_upper < -paired.MAX_DEGRADATION_FRACTION * abs(champion)
        return loses or earns_less

    def record(self) -> dict[str, Any]:
        """Return the numbers as JSON values; None where one is not finite."""
        return {
            name: value if not isinstance(value, float) or math.isfinite(value) else None
            for name, value in self._asdict().items()
        }


def findings(state: Compared, *, tightest_at: float = TIGHTEST_AT) -> Findings:
    """Say what a stage has shown; it may be asked after every bar.

    Parameters
    ----------
    state : Compared
    tightest_at : float
        Bars at which the bounds are narrowest; always the same within a stage.
    """
    n = state.n_bars
    loss = state.loss / n if n else np.full(2, np.nan)
    loss_lower, loss_upper = _bounds(state.loss_moments, n, tightest_at)
    earned_lower, earned_upper = _bounds(state.earned_moments, n, tightest_at)
    rows = state.n_rows
    return Findings(
        n_bars=n,
        n_rows=rows,
        loss_champion=float(loss[0]),
        loss_challenger=float(loss[1]),
        loss_lower=loss_lower,
        loss_upper=loss_upper,
        loss_degradation_fraction=float(loss[1] / loss[0]) - 1.0 if n else math.nan,
        beyond_upper=_bounds(state.beyond_moments, n, tightest_at)[1],
        earned_champion=float(state.earned[0]),
        earned_challenger=float(state.earned[1]),
        earned_lower=earned_lower,
        earned_upper=earned_upper,
        agreement_fraction=state.n_agreed / rows if rows else math.nan,
        weight_distance=state.distance / rows if rows else math.nan,
        target_correlation=_correlation(state.moments, rows),
        largest_target_difference=state.largest,
        silent_fraction=float(state.silent.mean()),
        is_mute=bool((state.silent[-MIN_BARS_OF_HARM:] == 1.0).all()),
    )


def _bounds(moments: Floats, n: int, tightest_at: float) -> tuple[float, float]:
    if not n:
        return -math.inf, math.inf
    deviation = math.sqrt(moments[1] / n)
    wide = float(paired.radius(n, deviation, tightest_at=tightest_at))
    return float(moments[0]) - wide, float(moments[0]) + wide


def _correlation(moments: Floats, n: int) -> float:
    """Pearson's correlation; NaN where one of both never changed."""
    if not n:
        return math.nan
    x, y, xx, yy, xy = (float(value) / n for value in moments)
    spread_x, spread_y = xx - x * x, yy - y * y
    if spread_x <= _ROUNDING * xx or spread_y <= _ROUNDING * yy:
        return math.nan
    return (xy - x * y) / math.sqrt(spread_x * spread_y)
