"""How good a run was: disruption, degradation, Sharpe ratio, drawdown, and how sure that is.

Positions, returns and losses go in, numbers come out; nothing here knows where they come from.
Intervals are from the circular block bootstrap (Politis and Romano 1992): neighbouring bars stay
together, so that what depends on the bar before does so in every draw.
"""

import math
from typing import NamedTuple

import numpy as np

from models.arrays import Floats, Indices, Mask
from models.errors import HistoryTooShort, ShapeError


class Disruption(NamedTuple):
    """What regimes did to a book: fractions of the book that had to be moved.

    Attributes
    ----------
    at_hard_flips, at_own_flips : float
        Mean over the bars at which the hard label, or the arm's own label, changed. NaN without
        such a bar.
    p99 : float
        99th percentile over all bars.
    annual_turnover : float
        Sum over a year, in books.
    n_hard_flips, n_own_flips : int
    """

    at_hard_flips: float
    at_own_flips: float
    p99: float
    annual_turnover: float
    n_hard_flips: int
    n_own_flips: int


def moved(probabilities: Floats, portfolios: Floats) -> Floats:
    """Share of the book that a change of regime probabilities moves, bar by bar.

    D_t = 1/2 sum_j |sum_k (p_k,t - p_k,t-1) w_k,j,t|: the portfolios are those of bar t on both
    sides, so the specialists' own trades do not count.

    Parameters
    ----------
    probabilities : (n_bars, K)
        How much each of K portfolios counts; rows sum to one.
    portfolios : (n_bars, K, n_assets)
        Their positions as fractions of equity, **cash included as an asset**.

    Returns
    -------
    (n_bars,)
        Between 0 and 1 for long-only portfolios; 0 in the first bar; NaN where an input is NaN.

    Raises
    ------
    ShapeError
        If the two do not belong together.

    Examples
    --------
    >>> in_or_out = np.tile([[1.0, 0.0], [0.0, 1.0]], (3, 1, 1))
    >>> moved(np.array([[1.0, 0.0], [0.75, 0.25], [0.0, 1.0]]), in_or_out).tolist()
    [0.0, 0.25, 0.75]
    """
    if portfolios.ndim != 3 or portfolios.shape[:2] != probabilities.shape:  # noqa: PLR2004  axes
        raise ShapeError(
            f"portfolios must be (n_bars, K, n_assets) beside probabilities (n_bars, K), "
            f"was {portfolios.shape} beside {probabilities.shape}"
        )
    change = np.diff(probabilities, axis=0, prepend=probabilities[:1])
    by_asset = (change[:, :, None] * portfolios).sum(axis=1)
    shares: Floats = 0.5 * np.abs(by_asset).sum(axis=1)
    return shares


def flips(labels: Indices) -> Mask:
    """Mark the bars whose label differs from that of the bar before.

    Parameters
    ----------
    labels : (n_bars,)
        int64; a negative label means unknown, and changes to or from it do not count.

    Returns
    -------
    (n_bars,)

    Examples
    --------
    >>> flips(np.array([-1, 2, 2, 0])).tolist()
    [False, False, False, True]
    """
    before = np.concatenate([[-1], labels[:-1]])
    changed: Mask = (labels != before) & (labels >= 0) & (before >= 0)
    return changed


def disruption(
    moves: Floats, hard_flips: Mask, own_flips: Mask, *, bars_per_year: float
) -> Disruption:
    """Summarise the moves of one or many books, one after the other.

    Parameters
    ----------
    moves : (n,)
        From ``moved``, finite.
    hard_flips, own_flips : (n,)
        Where the hard label changed (the same events for every arm), and the arm's own.
    bars_per_year : float

    Returns
    -------
    Disruption

    Raises
    ------
    ShapeError
        If the three differ in shape.

    Examples
    --------
    >>> first = np.array([False, True, False, False])
    >>> disruption(np.array([0.0, 0.5, 0.1, 0.0]), first, first, bars_per_year=4).at_hard_flips
    0.5
    """
    if not moves.shape == hard_flips.shape == own_flips.shape:
        raise ShapeError(
            f"moves and flips must have one shape, was {moves.shape}, {hard_flips.shape} and "
            f"{own_flips.shape}"
        )
    return Disruption(
        at_hard_flips=_mean(moves[hard_flips]),
        at_own_flips=_mean(moves[own_flips]),
        p99=float(np.quantile(moves, 0.99)),
        annual_turnover=_mean(moves) * bars_per_year,
        n_hard_flips=int(hard_flips.sum()),
        n_own_flips=int(own_flips.sum()),
    )


def degradation(losses: Floats, reference: Floats, window_bars: int) -> Floats:
    """Relative rise of the mean loss over the reference's, in every window.

    Parameters
    ----------
    losses, reference : (n_bars,)
        Losses per bar of the model judged and of the one that stayed as it was; finite.
    window_bars : int

    Returns
    -------
    (n_bars - window_bars + 1,)
        0.05 means 5 % worse; negative is better.

    Raises
    ------
    ShapeError
        If the two differ in shape.
    HistoryTooShort
        If there are fewer bars than a window has.

    Examples
    --------
    >>> degradation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 1.0]), 2).tolist()
    [0.5, 1.5]
    """
    if losses.shape != reference.shape:
        raise ShapeError(f"losses and reference: was {losses.shape} beside {reference.shape}")
    if len(losses) < window_bars:
        raise HistoryTooShort(f"a window has {window_bars} bars, was {len(losses)}")
    windows = np.lib.stride_tricks.sliding_window_view
    mine = windows(losses, window_bars).mean(axis=-1)
    theirs = windows(reference, window_bars).mean(axis=-1)
    rise: Floats = mine / theirs - 1.0
    return rise


def sharpe(returns: Floats, *, bars_per_year: float) -> float:
    """Mean return over its sample deviation, annualised, without a risk-free rate (Sharpe 1966).

    Parameters
    ----------
    returns : (n_bars,)
        Fractions per bar; NaN is left out.
    bars_per_year : float

    Returns
    -------
    float
        NaN with fewer than two bars or without any deviation.

    Examples
    --------
    >>> round(sharpe(np.array([0.01, 0.03]), bars_per_year=2), 12)
    2.0
    """
    every_bar_once = np.ones((1, len(returns)))
    return float(resampled_sharpe(every_bar_once, returns[:, None], bars_per_year)[0, 0])


def max_drawdown(returns: Floats) -> float:
    """Deepest fall of the compounded wealth from an earlier peak, as a fraction at most 0.

    Parameters
    ----------
    returns : (n_bars,)
        Fractions per bar, above -1; NaN is left out.

    Examples
    --------
    >>> max_drawdown(np.array([0.25, -0.5, 0.5]))
    -0.5
    """
    known = returns[np.isfinite(returns)]
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + known)])
    return float((wealth / np.maximum.accumulate(wealth) - 1.0).min())


def block_counts(n_bars: int, *, block_bars: int, n_draws: int, seed: int) -> Floats:
    """Draw circular blocks and say how often each bar was drawn.

    A draw is a row of counts, so any statistic of sums over bars is one matrix product.

    Parameters
    ----------
    n_bars : int
    block_bars : int
        Blocks begin anywhere and run on from the last bar to the first; the last block of a draw
        is cut, so that every draw has ``n_bars`` bars.
    n_draws : int
    seed : int

    Returns
    -------
    (n_draws, n_bars)
        Each row sums to n_bars.

    Raises
    ------
    HistoryTooShort
        If a block is longer than the history.

    Examples
    --------
    >>> block_counts(3, block_bars=3, n_draws=2, seed=0).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    if n_bars < block_bars:
        raise HistoryTooShort(f"a block has {block_bars} bars, was {n_bars}")
    draw = np.random.default_rng(seed)
    n_blocks = math.ceil(n_bars / block_bars)
    begins = draw.integers(0, n_bars, (n_draws, n_blocks, 1))
    drawn = ((begins + np.arange(block_bars)) % n_bars).reshape(n_draws, -1)[:, :n_bars]
    counts = np.zeros((n_draws, n_bars))
    np.add.at(counts, (np.arange(n_draws)[:, None], drawn), 1.0)
    return counts


def resampled_sharpe(counts: Floats, returns: Floats, bars_per_year: float) -> Floats:
    """Sharpe ratio of each asset in each draw; assets share the draw, as they share the dates.

    Parameters
    ----------
    counts : (n_draws, n_bars)
        From ``block_counts``.
    returns : (n_bars, n_assets)
        NaN where an asset has no bar: left out.
    bars_per_year : float

    Returns
    -------
    (n_draws, n_assets)
        NaN with fewer than two bars or without any deviation.

    Examples
    --------
    >>> ratios = resampled_sharpe(np.array([[1.0, 1.0]]), np.array([[0.01], [0.03]]), 2.0)
    >>> ratios.round(12).tolist()
    [[2.0]]
    """
    known = np.isfinite(returns)
    # Around the asset's own mean, or squares of tiny returns would lose their digits.
    n_known = np.maximum(known.sum(axis=0), 1)
    middle = np.where(known, returns, 0.0).sum(axis=0) / n_known
    centred = np.where(known, returns - middle, 0.0)
    n = counts @ known.astype(np.float64)
    enough = n > 1.0
    safe = np.where(enough, n, 2.0)
    shift = (counts @ centred) / safe
    variance = (counts @ (centred * centred) - safe * shift * shift) / (safe - 1.0)
    enough &= variance > 0.0
    deviation = np.sqrt(np.where(enough, variance, 1.0))
    ratio = np.where(enough, (middle + shift) / deviation, np.nan)
    return ratio * math.sqrt(bars_per_year)


def interval(draws: Floats, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of a statistic's draws (Efron 1979).

    Parameters
    ----------
    draws : (n_draws,)
    level : float
        Share of the draws inside.

    Examples
    --------
    >>> interval(np.arange(101.0), level=0.9)
    (5.0, 95.0)
    """
    low, high = np.quantile(draws, [0.5 - level / 2.0, 0.5 + level / 2.0])
    return round(float(low), 12), round(float(high), 12)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan
