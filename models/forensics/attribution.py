"""Shapley values: what each player of a game contributes to its total (Shapley 1953).

A player is an input, or a group of inputs, that is there or replaced by its background.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from models.arrays import Floats, Indices, Mask
from models.errors import ShapeError

Game = Callable[[Mask], Floats]
"""Who is there, (n, P), to what comes out, (n,)."""

PLAYERS_MAX = 12
"""Of the exact values: 4,096 coalitions."""


class Attribution(NamedTuple):
    """A total, taken apart.

    Attributes
    ----------
    base : float
        What comes out with nobody there.
    parts : (P,)
        What each player adds to it.
    total : float
        What comes out with all there.
    """

    base: float
    parts: Floats
    total: float

    def residual(self, total: float) -> float:
        """Return by how much base and parts miss a total."""
        return self.base + math.fsum(self.parts.tolist()) - total


def exact(game: Game, n_players: int) -> Attribution:
    """Compute Shapley values from all coalitions.

    Parameters
    ----------
    game : Game
        Asked once, for all coalitions.
    n_players : int
        At most ``PLAYERS_MAX``.

    Returns
    -------
    Attribution

    Raises
    ------
    ShapeError
        If there are no players or too many.

    Examples
    --------
    >>> exact(lambda there: 3.0 * there[:, 0] + there[:, 0] * there[:, 1], 2).parts.tolist()
    [3.5, 0.5]
    """
    if not 0 < n_players <= PLAYERS_MAX:
        raise ShapeError(f"exact values need 1 to {PLAYERS_MAX} players, was {n_players}")
    there, shares = _coalitions(n_players)
    values = game(there)
    return Attribution(float(values[0]), shares @ values, float(values[-1]))


@lru_cache(maxsize=PLAYERS_MAX)
def _coalitions(n_players: int) -> tuple[Mask, Floats]:
    """Return all coalitions, nobody first and all last, and each one's share in each value."""
    numbers = np.arange(2**n_players)
    there: Mask = (numbers[:, None] >> np.arange(n_players) & 1).astype(np.bool_)
    # Of all orders of the players, those in which just these s of the others come before.
    before = np.array([1.0 / (n_players * math.comb(n_players - 1, s)) for s in range(n_players)])
    size = there.sum(axis=1)
    joined = before[np.maximum(size - 1, 0)]
    missed = before[np.minimum(size, n_players - 1)]
    shares: Floats = np.where(there.T, joined, -missed)
    there.flags.writeable = shares.flags.writeable = False
    return there, shares


def permuted(game: Game, orders: Indices) -> Attribution:
    """Estimate Shapley values from orders of the players, each taken forth and back.

    Whatever the orders, base and parts add up to the total, because each order's steps do. Opposite
    orders are exact if players interact two by two at most (Mitchell, Cooper, Frank, Holmes 2022).

    Parameters
    ----------
    game : Game
        Asked once, for all steps of all orders.
    orders : (n, P)
        Permutations of the players.

    Returns
    -------
    Attribution

    Raises
    ------
    ShapeError
        If a row is no permutation.

    Examples
    --------
    >>> game = lambda there: 3.0 * there[:, 0] + there[:, 0] * there[:, 1]
    >>> permuted(game, np.array([[0, 1]])).parts.tolist()
    [3.5, 0.5]
    """
    n_players = orders.shape[1]
    if not np.array_equal(np.sort(orders, axis=1), np.tile(np.arange(n_players), (len(orders), 1))):
        raise ShapeError(f"orders must be permutations of {n_players} players")
    both = np.concatenate([orders, orders[:, ::-1]])
    # ranks[o, p] is when player p joins; after k steps those with a lower rank are there.
    ranks = np.argsort(both, axis=1)
    there = ranks[:, None, :] < np.arange(n_players + 1)[None, :, None]
    values = game(there.reshape(-1, n_players)).reshape(len(both), n_players + 1)
    steps = np.diff(values, axis=1)
    joined = np.take_along_axis(steps, ranks, axis=1)
    return Attribution(float(values[0, 0]), joined.mean(axis=0), float(values[0, -1]))
