"""Platt scaling: log odds that mean what they say (Platt 1999)."""

import numpy as np

from models import simplex
from models.arrays import Floats
from models.errors import HistoryTooShort

MAX_STEPS = 50
CONVERGED = 1e-12
RIDGE = 1e-9
"""Keeps the Hessian invertible when all log odds are equal."""


def fit(logits: Floats, labels: Floats) -> tuple[float, float]:
    """Find slope and intercept that minimise the log loss of sigmoid(slope * logit + intercept).

    Newton steps, halved until the loss does not rise. A negative slope would trade against the
    model because of noise in the calibration rows: it is set to zero, and the base rate remains.

    Parameters
    ----------
    logits : (n,)
        Finite.
    labels : (n,)
        Each in [0, 1].

    Returns
    -------
    slope, intercept : float

    Raises
    ------
    HistoryTooShort
        If no row is given.

    Examples
    --------
    >>> slope, intercept = fit(np.array([1.0, 1.0, -1.0, -1.0]), np.array([1.0, 0.5, 0.5, 0.0]))
    >>> round(slope, 9), round(intercept, 9) == 0.0
    (1.098612289, True)
    """
    if len(logits) == 0:
        raise HistoryTooShort("calibration needs at least one row, was 0")
    # Laplace's rule keeps a base rate of 0 or 1 from meaning certainty.
    base_rate = (labels.sum() + 1.0) / (len(labels) + 2.0)
    only_intercept = np.array([0.0, np.log(base_rate / (1.0 - base_rate))])
    parameters = _newton(np.column_stack([logits, np.ones(len(logits))]), labels, only_intercept)
    slope, intercept = parameters if parameters[0] > 0.0 else only_intercept
    return float(slope), float(intercept)


def _newton(design: Floats, labels: Floats, start: Floats) -> Floats:
    parameters, loss = start, _loss(design @ start, labels)
    for _ in range(MAX_STEPS):
        probabilities = simplex.sigmoid(design @ parameters)
        gradient = design.T @ (probabilities - labels)
        curvature = (design.T * (probabilities * (1.0 - probabilities))) @ design
        step = np.linalg.solve(curvature + RIDGE * np.eye(len(start)), gradient)
        candidate = parameters - step
        while (candidate_loss := _loss(design @ candidate, labels)) > loss:
            step = 0.5 * step
            if np.abs(step).max() < CONVERGED:
                return parameters
            candidate = parameters - step
        parameters, loss = candidate, candidate_loss
        if np.abs(step).max() < CONVERGED:
            break
    return parameters


def _loss(logits: Floats, labels: Floats) -> float:
    return float((np.logaddexp(0.0, logits) - labels * logits).sum())
