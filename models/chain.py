"""A model set's own way from features to targets: regimes, specialists, controller, ensemble.

The same functions as the stages', one behind the other, with what they remember in one state: for
who must know what a model set says beside the stages.
"""

from typing import NamedTuple

import numpy as np

from models import simplex
from models.arrays import Floats, Indices
from models.model_set import ModelSet
from models.prediction import ensemble
from models.regime import posterior
from models.regime.posterior import RegimeState
from models.specialists import serving, window
from models.specialists.window import WindowState
from models.weights import controller
from models.weights.controller import ControllerState


class ChainState(NamedTuple):
    """What the models remember of each symbol."""

    regime: RegimeState
    window: WindowState
    controller: ControllerState


class Wish(NamedTuple):
    """What the models say of each row of a bar.

    While something warms up regimes and weights are uniform, and the rest is NaN.

    Attributes
    ----------
    regime : (n, 4)
    scores, weights : (n, 3)
    confidence, probability_up, target_fraction : (n,)
    """

    regime: Floats
    scores: Floats
    weights: Floats
    confidence: Floats
    probability_up: Floats
    target_fraction: Floats


def initial_state(n_symbols: int) -> ChainState:
    """Start every symbol as one that was never seen.

    Examples
    --------
    >>> initial_state(2).regime.seen.tolist()
    [0, 0]
    """
    return ChainState(
        posterior.initial_state(n_symbols),
        window.initial_state(n_symbols),
        controller.initial_state(n_symbols),
    )


def no_wish(n_rows: int) -> Wish:
    """Return what models say that say nothing: as while they warm up.

    Examples
    --------
    >>> no_wish(1).target_fraction, float(no_wish(1).weights.sum())
    (array([nan]), 1.0)
    """
    belief = simplex.uniform(n_rows, len(posterior.REGIMES))
    regime = np.column_stack([belief, simplex.entropy_bits(belief)])
    unknown = np.full(n_rows, np.nan)
    return Wish(regime, np.full(belief.shape, np.nan), belief, unknown, unknown, unknown)


def step(
    models: ModelSet, state: ChainState, rows: Indices, features: Floats, close: Floats
) -> tuple[ChainState, Wish]:
    """Fold one slice, row by row: no row depends on its company.

    Parameters
    ----------
    models : ModelSet
    state : ChainState
        Not changed.
    rows : (n,)
        Each row's symbol, without repetition.
    features : (n, 60)
        NaN while they warm up.
    close : (n,)

    Returns
    -------
    state : ChainState
    wish : Wish

    Raises
    ------
    ShapeError
        If the arrays do not belong together, or to the models.
    """
    regimes, regime = posterior.step(models.regime, state.regime, rows, features)
    bars, scores = serving.step(models.specialists, state.window, rows, features)
    weighing, weights = controller.step(
        models.controller, state.controller, rows, regime, scores, close
    )
    confidence, up, target = ensemble.predict(models.ensemble, features, scores, weights)
    wish = Wish(regime, scores, weights, confidence, up, target)
    return ChainState(regimes, bars, weighing), wish
