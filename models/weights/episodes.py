"""What a training episode of the controller came to, and the figures of many.

The wall time of training is the caller's: episodes per hour are counted where a clock is at hand.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models import measures
from models.arrays import Floats

WINDOWS = (10, 50, 100)
"""Episodes over which the Sharpe ratio of episode returns is taken."""


class Episode(NamedTuple):
    """One window of bars under the policy of its time.

    Attributes
    ----------
    net_return : float
        Sum of the book's returns after costs, a fraction.
    length_bars : int
    win_fraction : float
        Share of bars with a gain.
    """

    net_return: float
    length_bars: int
    win_fraction: float

    @classmethod
    def of(cls, returns: Floats) -> "Episode":
        """Sum up the returns of a book, (n_bars,), finite.

        Examples
        --------
        >>> Episode.of(np.array([0.5, -0.25, 0.25, 0.0]))
        Episode(net_return=0.5, length_bars=4, win_fraction=0.5)
        """
        wins = float((returns > 0.0).mean()) if len(returns) else 0.0
        return cls(float(returns.sum()), len(returns), wins)


def rolling_sharpe(episodes: Sequence[Episode], n_last: int) -> list[float | None]:
    """Mean over deviation of the returns of the last ``n_last`` episodes, after each episode.

    Parameters
    ----------
    episodes : sequence of Episode
        In the order of training.
    n_last : int

    Returns
    -------
    list
        As long as ``episodes``, not annualised; None before there are ``n_last`` of them and where
        their returns do not differ.

    Examples
    --------
    >>> gains = [Episode(gain, 1, 1.0) for gain in (0.01, 0.03, 0.03)]
    >>> [None if ratio is None else round(ratio, 9) for ratio in rolling_sharpe(gains, 2)]
    [None, 1.414213562, None]
    """
    gains = np.array([episode.net_return for episode in episodes])
    found: list[float | None] = []
    for end in range(1, len(gains) + 1):
        ratio = measures.sharpe(gains[max(end - n_last, 0) : end], bars_per_year=1.0)
        found.append(ratio if end >= n_last and math.isfinite(ratio) else None)
    return found


def summary(episodes: Sequence[Episode]) -> dict[str, float | int | None]:
    """Sum up a training in JSON values: how it began, how it ended.

    Parameters
    ----------
    episodes : sequence of Episode
        At least one.

    Returns
    -------
    dict
        ``episodes``, ``length_bars`` (mean), ``return_first`` and ``return_last`` (mean of the
        first and last hundred), ``win_fraction`` (of the last hundred), ``sharpe_10``,
        ``sharpe_50`` and ``sharpe_100``, None with fewer episodes.
    """
    most = WINDOWS[-1]
    first, last = (
        [episode.net_return for episode in part] for part in (episodes[:most], episodes[-most:])
    )
    ratios = {f"sharpe_{n}": rolling_sharpe(episodes[-n:], n)[-1] for n in WINDOWS}
    return {
        "episodes": len(episodes),
        "length_bars": float(np.mean([episode.length_bars for episode in episodes])),
        "return_first": float(np.mean(first)),
        "return_last": float(np.mean(last)),
        "win_fraction": float(np.mean([episode.win_fraction for episode in episodes[-most:]])),
        **ratios,
    }


def series(episodes: Sequence[Episode], n_each: int) -> dict[str, list[float | None]]:
    """Give the course of a training, one value for every ``n_each`` episodes.

    Parameters
    ----------
    episodes : sequence of Episode
        In the order of training.
    n_each : int
        Episodes of one update; what is left over at the end is left out.

    Returns
    -------
    dict
        Means over the update: ``episode_return``, ``episode_length_bars``, ``episode_win_rate``;
        ``episode_sharpe_10``, ``_50`` and ``_100`` after its last episode, None while too few.

    Examples
    --------
    >>> two = [Episode(0.25, 10, 0.5), Episode(0.75, 20, 1.0)]
    >>> series(two, 2)["episode_return"], series(two, 2)["episode_sharpe_10"]
    ([0.5], [None])
    """
    n_updates = len(episodes) // n_each
    whole = np.array(episodes[: n_updates * n_each])
    table = whole.reshape(n_updates, n_each, len(Episode._fields))
    names = ("episode_return", "episode_length_bars", "episode_win_rate")
    found: dict[str, list[float | None]] = {
        name: table[:, :, column].mean(axis=1).tolist() for column, name in enumerate(names)
    }
    for window in WINDOWS:
        found[f"episode_sharpe_{window}"] = rolling_sharpe(episodes, window)[n_each - 1 :: n_each]
    return found
