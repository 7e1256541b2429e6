"""Carry the names of components from one fit to the next, or refuse the next.

A mixture numbers its components anew at every fit, and a rule that names them by their drift can
change its mind when a component drifts across a threshold. So names travel: each new component
takes the name of the old one that claims the same bars, by optimal assignment (Kuhn 1955).
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.arrays import Floats, Indices
from models.errors import LabelsUnaligned, NotFitted, ShapeError
from models.regime.mixture import drift_scores
from models.regime.mixture_settings import MIN_AGREEMENT
from models.regime.posterior import REGIMES, RegimeModel, posterior, responsibilities

_BULL, _BEAR = REGIMES.index("bull"), REGIMES.index("bear")


class Aligned(NamedTuple):
    """A fit with the names of the fit before it.

    Attributes
    ----------
    model : RegimeModel
    agreement_fraction : float
        Share of the overlap on which the likeliest regime is the same in both.
    """

    model: RegimeModel
    agreement_fraction: float


def align(
    previous: RegimeModel,
    fitted: RegimeModel,
    overlap: Floats,
    *,
    min_agreement: float = MIN_AGREEMENT,
) -> Aligned:
    """Give the fitted model the names of the previous one.

    Parameters
    ----------
    previous, fitted : RegimeModel
    overlap : (n, d)
        Features of bars that both were fitted on: the models' own columns, unscaled and finite.
    min_agreement : float

    Returns
    -------
    Aligned

    Raises
    ------
    LabelsUnaligned
        If the names agree on less than ``min_agreement`` of the overlap, or if the components
        called bull no longer drift above those called bear; serve the previous model.
    NotFitted
        If the fitted model has fewer components than the previous one: a name could be lost.
    ShapeError
        If the overlap is empty.
    """
    if len(overlap) == 0:
        raise ShapeError("names are carried on the overlap of two fits, was 0 rows")
    if len(fitted.weights) < len(previous.weights):
        raise NotFitted(
            f"names of {len(previous.weights)} components cannot be carried to "
            f"{len(fitted.weights)}"
        )
    before = responsibilities(previous, overlap)
    shared = before.T @ responsibilities(fitted, overlap)
    partners = assignment(shared)
    # A component without a partner takes the name that most of its bars had.
    mass = previous.component_regime.T @ shared
    majority = np.eye(previous.component_regime.shape[1])[mass.argmax(axis=0)]
    carried = np.where(
        (partners >= 0)[:, None], previous.component_regime[np.maximum(partners, 0)], majority
    )
    model = fitted._replace(component_regime=carried)
    share = agreement(previous, model, overlap)
    if share < min_agreement:
        raise LabelsUnaligned(
            f"the names of the new fit agree with those of the old on {share:.3f} of "
            f"{len(overlap)} shared rows, needed {min_agreement:.2f}: keep the old model",
            share,
        )
    drifts = drift_by_name(model)
    if not drifts[_BULL] > drifts[_BEAR]:
        raise LabelsUnaligned(
            f"the drift of bull components is {drifts[_BULL]:.3f} and of bear components "
            f"{drifts[_BEAR]:.3f}, in standard deviations of a bar: the names have turned round, "
            "keep the old model",
            share,
        )
    return Aligned(model, share)


def drift_by_name(model: RegimeModel) -> Floats:
    """Mean drift score of the components of each name, weighted by the mixture weights.

    Parameters
    ----------
    model : RegimeModel
        Over ``mixture_settings.FEATURES``.

    Returns
    -------
    (3,)
        In the order of ``REGIMES``; NaN for a name without a component.
    """
    scores = drift_scores(model.means * model.scaler_scale + model.scaler_mean)
    shares = model.weights[:, None] * model.component_regime
    total = shares.sum(axis=0)
    drifts: Floats = np.where(
        total > 0.0,
        (shares * scores[:, None]).sum(axis=0) / np.where(total > 0.0, total, 1.0),
        np.nan,
    )
    return drifts


def assignment(shared: Floats) -> Indices:
    """Pair components so that the pairs share as much as any pairing can.

    Parameters
    ----------
    shared : (K, L)
        How much old component k and new component l have in common.

    Returns
    -------
    (L,)
        int64: the old component of each new one, -1 for new ones left over.

    Examples
    --------
    >>> assignment(np.array([[1.0, 9.0, 0.0], [8.0, 9.0, 0.0]])).tolist()
    [1, 0, -1]
    """
    old, new = linear_sum_assignment(shared, maximize=True)
    partners = np.full(shared.shape[1], -1, np.int64)
    partners[new] = old
    return partners


def agreement(first: RegimeModel, second: RegimeModel, features: Floats) -> float:
    """Share of rows to which two models give the same likeliest regime, without memory.

    Parameters
    ----------
    first, second : RegimeModel
    features : (n, d)
        The models' own columns, unscaled and finite; n of at least one.
    """
    names = [posterior(model, features).argmax(axis=1) for model in (first, second)]
    return float((names[0] == names[1]).mean())
