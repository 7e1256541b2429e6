"""Train the options: gradient ascent on the mean-variance utility of the book, net of costs.

A book does not move the market, so the expectation over all sequences of options can be followed
in full instead of being sampled: the occupancy is differentiable, and so is the utility of the book
that it holds. This is the policy gradient (Sutton et al. 2000; for options Bacon, Harb and Precup
2017; for positions and costs Moody and Saffell 2001) without its sampling noise.

The book is that of the account: an equal part in every symbol. Its returns are in units of the risk
of the equally weighted book. A Sharpe ratio is blind to that scale
and is as content with a policy that never moves; utility is not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models import simplex
from models.arrays import Floats, Mask
from models.weights import options, windows
from models.weights.episodes import Episode
from models.weights.windows import TINY, Track, Window


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train.

    Attributes
    ----------
    episode_bars : int
        Length of an episode, a window of consecutive bars; a shorter history gives shorter ones.
    episodes : int
        Windows in one update, all symbols in each.
    updates : int
        Steps of the gradient.
    learning_rate : float
        Of Adam (Kingma and Ba 2015).
    risk_aversion : float
        Utility of a return of z risks is z - risk_aversion z^2 / 2. The equally weighted book has
        its best size if its Sharpe ratio per bar is this number; 0.05 is 0.8 a year of daily bars.
        So the scale of the specialists' bets cancels out.
    cost_fraction : float
        Paid for every unit of equity that is traded, one way; more than the 1.5 basis points of
        an epoch's usual costs, because a policy that trades too much is the dearer mistake.
    turnover_penalty : float
        Risks paid for moving the whole weight once, beyond the cost of the trades.
    entropy_bonus : float
        Risks gained per bar and nat of the weights' entropy. What the evidence does not tell apart
        gets equal weights, and no option dies for ever.
    max_change_fraction : float
        Limit on the change per bar, as in serving.
    """

    episode_bars: int = 252
    episodes: int = 8
    updates: int = 250
    learning_rate: float = 0.1
    risk_aversion: float = 0.05
    cost_fraction: float = 0.0005
    turnover_penalty: float = 0.02
    entropy_bonus: float = 0.1
    max_change_fraction: float = 0.05


DEFAULTS = Settings()

# Options start as good as equal, and end after ten bars.
_FIRST_SPREAD = 0.01
_FIRST_TERMINATION = float(np.log(1.0 / 9.0))


class Coefficients(NamedTuple):
    """Of the softmax over options and of their termination; (3, 8) each."""

    selection: Floats
    termination: Floats


class Rollout(NamedTuple):
    """What a policy did, (n_bars, 3, n_columns); books after costs, (n_bars, n_episodes)."""

    chosen: Floats
    ending: Floats
    weights: Floats
    net: Floats


def fit(
    track: Track,
    *,
    seed: int,
    settings: Settings = DEFAULTS,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[Coefficients, list[Episode]]:
    """Train on windows of the track, drawn at random.

    Parameters
    ----------
    track : Track
        Bars to learn from, and no others.
    seed : int
        The same seed and track give the same bytes on one machine.
    settings : Settings
    progress : callable
        Called with the finished share in [0, 1].

    Returns
    -------
    coefficients : Coefficients
    episodes : list of Episode
        In the order of training.

    Raises
    ------
    ShapeError
        If the arrays of the track do not belong together.
    HistoryTooShort
        If fewer than two bars are given, or no row is known.
    """
    known = windows.known_rows(track)
    risk = windows.book_risk(track, known)
    draw = np.random.default_rng(seed)
    shape = (2, track.positions.shape[2], len(options.FEATURES))
    values = _FIRST_SPREAD * draw.standard_normal(shape)
    values[1, :, 0] += _FIRST_TERMINATION
    mean, square = np.zeros(shape), np.zeros(shape)
    episodes: list[Episode] = []
    for update in range(1, settings.updates + 1):
        window = windows.drawn(
            track, known, draw, n_windows=settings.episodes, length=settings.episode_bars
        )
        rollout = roll(Coefficients(*values), window, settings)
        episodes += [Episode.of(book) for book in rollout.net.T]
        slope = np.stack(gradient(rollout, window, risk, settings))
        mean = 0.9 * mean + 0.1 * slope
        square = 0.999 * square + 0.001 * slope**2
        size = np.sqrt(square / (1.0 - 0.999**update)) + TINY
        values = values + settings.learning_rate * (mean / (1.0 - 0.9**update)) / size
        progress(update / settings.updates)
    return Coefficients(values[0], values[1]), episodes


def roll(coefficients: Coefficients, window: Window, settings: Settings) -> Rollout:
    """Follow the occupancy through the window, as ``controller.step`` does bar by bar.

    Parameters
    ----------
    coefficients : Coefficients
    window : Window
    settings : Settings

    Returns
    -------
    Rollout
    """
    logits = np.einsum("kf,tfc->tkc", coefficients.selection, window.seen)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    chosen = exponentials / exponentials.sum(axis=1, keepdims=True)
    leaving = np.einsum("kf,tfc->tkc", coefficients.termination, window.seen)
    ending = simplex.sigmoid(leaving) * window.known[:, None]
    weights = np.empty(chosen.shape)
    previous = window.first
    for bar in range(len(weights)):
        way, share = _way(previous, chosen[bar], ending[bar], settings.max_change_fraction)
        previous = weights[bar] = previous + share * way
    held = (weights * window.positions).sum(axis=1)
    net = held * window.next_returns - settings.cost_fraction * np.abs(_traded(held, window.known))
    books = (net * windows.parts(window)).reshape(len(net), window.n_episodes, -1).sum(axis=2)
    return Rollout(chosen, ending, weights, books)


def utility(rollout: Rollout, window: Window, risk: float, settings: Settings) -> float:
    """Mean over bars: return of the book less risk, less turnover, plus entropy, in its risks.

    Parameters
    ----------
    rollout : Rollout
    window : Window
    risk : float
        Root mean square return of the equally weighted book.
    settings : Settings
    """
    scaled = rollout.net / risk
    moved = np.abs(_moves(rollout.weights, window.first)).sum(axis=1)
    entropy = -(rollout.weights * np.log(rollout.weights + TINY)).sum(axis=1)
    earned = scaled - 0.5 * settings.risk_aversion * scaled**2
    beside = settings.entropy_bonus * entropy - 0.5 * settings.turnover_penalty * moved
    return float(earned.mean() + beside[window.known].mean())


def gradient(
    rollout: Rollout, window: Window, risk: float, settings: Settings
) -> tuple[Floats, Floats]:
    """Differentiate ``utility`` by the coefficients, back through every bar and the limit.

    Parameters
    ----------
    rollout : Rollout
    window : Window
    risk : float
    settings : Settings

    Returns
    -------
    selection, termination : (3, 8)
    """
    by_weight = _by_weight(rollout, window, risk, settings)
    by_chosen, by_ending = np.empty(by_weight.shape), np.empty(by_weight.shape)
    later = np.zeros(window.first.shape)
    limit = settings.max_change_fraction
    for bar in range(len(by_weight) - 1, -1, -1):
        previous = rollout.weights[bar - 1] if bar else window.first
        chosen, ending = rollout.chosen[bar], rollout.ending[bar]
        later = later + by_weight[bar]
        way, share = _way(previous, chosen, ending, limit)
        # Past the limit only the direction counts: the length of the way is taken out.
        along = np.where(share < 1.0, (later * way).sum(axis=0) * share**2 / limit, 0.0)
        by_way = share * later - 0.5 * along * np.sign(way)
        ended = (ending * previous).sum(axis=0)
        by_chosen[bar] = by_way * ended
        by_ended = (by_way * chosen).sum(axis=0) - by_way
        by_ending[bar] = by_ended * previous
        later = later + by_ended * ending
    chosen = rollout.chosen
    by_logit = chosen * (by_chosen - (by_chosen * chosen).sum(axis=1, keepdims=True))
    by_leaving = by_ending * rollout.ending * (1.0 - rollout.ending)
    return (
        np.einsum("tkc,tfc->kf", by_logit, window.seen),
        np.einsum("tkc,tfc->kf", by_leaving, window.seen),
    )


def _by_weight(rollout: Rollout, window: Window, risk: float, settings: Settings) -> Floats:
    """Differentiate the utility by each bar's weights, the others held."""
    share = window.known / max(int(window.known.sum()), 1)
    by_book = (1.0 - settings.risk_aversion * rollout.net / risk) / (risk * rollout.net.size)
    by_net = np.repeat(by_book, window.known.shape[1] // window.n_episodes, axis=1)
    by_net = by_net * windows.parts(window)
    held = (rollout.weights * window.positions).sum(axis=1)
    by_trade = -settings.cost_fraction * by_net * np.sign(_traded(held, window.known))
    by_held = by_net * window.next_returns + by_trade
    by_held[:-1] -= by_trade[1:]
    moves = np.sign(_moves(rollout.weights, window.first))
    by_move = -0.5 * settings.turnover_penalty * share[:, None] * moves
    entropy = np.log(rollout.weights + TINY) + rollout.weights / (rollout.weights + TINY)
    by_weight: Floats = by_held[:, None] * window.positions + by_move
    by_weight[:-1] -= by_move[1:]
    by_weight -= settings.entropy_bonus * share[:, None] * entropy
    return by_weight


def _way(previous: Floats, chosen: Floats, ending: Floats, limit: float) -> tuple[Floats, Floats]:
    """Give the way to the new occupancy, (3, n), and the share of it that may be walked, (n,)."""
    ended = ending * previous
    way = chosen * ended.sum(axis=0) - ended
    gap = 0.5 * np.abs(way).sum(axis=0)
    return way, limit / np.maximum(gap, limit)


def _traded(held: Floats, known: Mask) -> Floats:
    """Change of the book between neighbouring known bars; the first bar's is not counted."""
    traded = np.zeros(held.shape)
    traded[1:] = np.where(known[1:] & known[:-1], np.diff(held, axis=0), 0.0)
    return traded


def _moves(weights: Floats, first: Floats) -> Floats:
    moves: Floats = np.diff(weights, axis=0, prepend=first[None])
    return moves
