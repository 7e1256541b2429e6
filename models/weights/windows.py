"""Windows of a history, side by side: what the controller is trained on."""

from typing import NamedTuple

import numpy as np

from models.arrays import Floats, Indices, Mask
from models.errors import HistoryTooShort, ShapeError
from models.weights import options

TINY = 1e-12
"""Keeps logarithms and ratios of nothing finite."""


class Track(NamedTuple):
    """What an episode is cut from.

    Attributes
    ----------
    seen : (n_bars, n_symbols, 8)
        From ``options.features``.
    positions : (n_bars, n_symbols, 3)
        What each specialist alone would hold, fractions of equity.
    next_returns : (n_bars, n_symbols)
        Return from each bar to the next.

        A row with a NaN in any of the three is left out: the weights stay and nothing is earned.
    """

    seen: Floats
    positions: Floats
    next_returns: Floats


class Window(NamedTuple):
    """Episodes side by side, components before columns: a column is one symbol of one episode.

    Attributes
    ----------
    seen : (n_bars, 8, n_columns)
    positions : (n_bars, 3, n_columns)
    next_returns : (n_bars, n_columns)
    known : (n_bars, n_columns)
        Zeros stand in the other arrays where false.
    first : (3, n_columns)
        Weights before the first bar.
    n_episodes : int
        The columns of an episode stand together: its book holds an equal part in each of them.
    """

    seen: Floats
    positions: Floats
    next_returns: Floats
    known: Mask
    first: Floats
    n_episodes: int


def known_rows(track: Track) -> Mask:
    """Mark the rows that can be learned from, (n_bars, n_symbols).

    Raises
    ------
    ShapeError
        If the arrays of the track do not belong together.
    HistoryTooShort
        If fewer than two bars are given, or no row is known.
    """
    rows = track.next_returns.shape
    if track.seen.shape != (*rows, len(options.FEATURES)) or track.positions.shape != (*rows, 3):
        raise ShapeError(
            f"seen and positions must be {(*rows, len(options.FEATURES))} and {(*rows, 3)}, "
            f"was {track.seen.shape} and {track.positions.shape}"
        )
    known: Mask = np.isfinite(track.next_returns)
    known &= np.all(np.isfinite(track.seen), axis=2) & np.all(np.isfinite(track.positions), axis=2)
    if len(known) < 2 or not known.any():  # noqa: PLR2004  a bar and the next
        raise HistoryTooShort(
            f"the controller learns from two bars with scores and returns, was {int(known.sum())}"
        )
    return known


def book_risk(track: Track, known: Mask) -> float:
    """Take the root mean square return of the book that weighs specialists and symbols equally."""
    returns = np.where(known, track.positions.mean(axis=2) * track.next_returns, 0.0)
    books = returns.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return max(float(np.sqrt((books[known.any(axis=1)] ** 2).mean())), TINY)


def drawn(
    track: Track, known: Mask, draw: np.random.Generator, *, n_windows: int, length: int
) -> Window:
    """Draw windows and first weights, both uniformly; a short track gives shorter windows.

    Parameters
    ----------
    track : Track
    known : (n_bars, n_symbols)
        From ``known_rows``.
    draw : Generator
    n_windows, length : int

    Returns
    -------
    Window
    """
    n_bars, n_symbols = known.shape
    length = min(length, n_bars)
    begins = draw.integers(0, n_bars - length + 1, n_windows)
    first = draw.dirichlet(np.ones(track.positions.shape[2]), n_windows * n_symbols)
    return cut(track, known, begins, length, first.T)


def cut(track: Track, known: Mask, begins: Indices, length: int, first: Floats) -> Window:
    """Lay windows of the track side by side.

    Parameters
    ----------
    track : Track
    known : (n_bars, n_symbols)
    begins : (n_windows,)
        First bar of each.
    length : int
        Bars in each.
    first : (3, n_windows * n_symbols)
        Weights before the first bar.

    Returns
    -------
    Window
    """
    bars = begins + np.arange(length)[:, None]
    taken = known[bars].reshape(length, -1)
    seen, positions = (
        np.where(known[bars][..., None], values[bars], 0.0)
        .reshape(length, -1, values.shape[2])
        .transpose(0, 2, 1)
        for values in (track.seen, track.positions)
    )
    returns = np.where(known[bars], track.next_returns[bars], 0.0).reshape(length, -1)
    return Window(
        np.ascontiguousarray(seen),
        np.ascontiguousarray(positions),
        returns,
        taken,
        first,
        len(begins),
    )


def parts(window: Window) -> Floats:
    """Give each known row its part of its episode's book, (n_bars, n_columns)."""
    by_episode = window.known.reshape(len(window.known), window.n_episodes, -1)
    n_known = np.maximum(by_episode.sum(axis=2, keepdims=True), 1)
    part: Floats = by_episode / n_known
    return part.reshape(window.known.shape)
