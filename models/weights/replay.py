"""Fold the controller over a history: what it would have weighed, bar by bar, and why."""

from typing import NamedTuple

import numpy as np

from models.arrays import Floats
from models.weights import controller
from models.weights.controller import ControllerModel, ControllerState


class Replay(NamedTuple):
    """The course of a fold.

    Attributes
    ----------
    weights : (n_bars, n_symbols, 3)
    log_performance : (n_bars, n_symbols, 3)
        As known at the bar. Both are NaN where the symbol has no bar.
    state : ControllerState
        After the last bar.
    """

    weights: Floats
    log_performance: Floats
    state: ControllerState


def replay(model: ControllerModel, regime: Floats, scores: Floats, close: Floats) -> Replay:
    """Run the live ``step`` over all bars, from the start.

    Parameters
    ----------
    model : ControllerModel
    regime : (n_bars, n_symbols, 4)
        bull, bear, sideways, entropy.
    scores : (n_bars, n_symbols, 3)
    close : (n_bars, n_symbols)
        NaN where the symbol has no bar: its row is not folded.

    Returns
    -------
    Replay

    Raises
    ------
    ShapeError, NotFitted
        See ``controller.step``.

    Examples
    --------
    >>> model, thirds = ControllerModel(), np.full((2, 1, 4), 1 / 3)
    >>> course = replay(model, thirds, np.zeros((2, 1, 3)), np.array([[1.0], [np.nan]]))
    >>> course.weights.round(2).tolist()
    [[[0.33, 0.33, 0.33]], [[nan, nan, nan]]]
    """
    weights, performance = np.full(scores.shape, np.nan), np.full(scores.shape, np.nan)
    state = controller.initial_state(close.shape[1])
    for bar in range(len(close)):
        rows = np.flatnonzero(np.isfinite(close[bar]))
        state, weights[bar, rows] = controller.step(
            model, state, rows, regime[bar, rows], scores[bar, rows], close[bar, rows]
        )
        performance[bar, rows] = state.log_performance[rows]
    return Replay(weights, performance, state)
