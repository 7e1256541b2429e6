"""Diagonal Fisher information: how much the data fixed each weight.

The expectation over outcomes is taken in closed form and not by drawing labels (Kunstner, Hennig
and Balles 2019 on why the observed labels would give another matrix).
"""

from collections.abc import Callable, Mapping

import torch
from torch.func import grad_and_value, vmap

Weights = Mapping[str, torch.Tensor]

TILE_ROWS = 256
"""Rows whose gradients are held at once: 256 of these networks take 20 MB."""


def diagonal(
    output: Callable[..., torch.Tensor],
    weights: Weights,
    rows: tuple[torch.Tensor, ...],
    row_weights: torch.Tensor,
    variance: Callable[[torch.Tensor], torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Average the squared slope of a row's output times the variance of its score.

    F_j = sum_i w_i v(z_i) (dz_i / dtheta_j)^2 / sum_i w_i, with z the natural parameter of the
    outcome and v the variance of d log p / dz: p (1 - p) for log odds, 1 / sigma^2 for a mean.

    Parameters
    ----------
    output : callable
        From weights and one row to its output, a scalar.
    weights : mapping
        Name -> tensor.
    rows : tuple of (n, ...)
        What ``output`` takes behind the weights.
    row_weights : (n,)
        How much each row counts; not all zero.
    variance : callable
        From outputs to the variance of their scores.

    Returns
    -------
    dict
        Name -> tensor of the weights' shapes, not negative; NaN where an output is NaN.

    Examples
    --------
    >>> x = torch.tensor([[1.0], [3.0]])
    >>> theta = {"slope": torch.tensor([2.0])}
    >>> diagonal(lambda w, row: row @ w["slope"], theta, (x,), torch.ones(2), torch.ones_like)
    {'slope': tensor([5.])}
    """
    slopes = vmap(grad_and_value(output), in_dims=(None, *(0 for _ in rows)))
    total = {name: torch.zeros_like(value) for name, value in weights.items()}
    for start in range(0, len(row_weights), TILE_ROWS):
        tile = slice(start, start + TILE_ROWS)
        gradients, outputs = slopes(dict(weights), *(part[tile] for part in rows))
        counted = row_weights[tile] * variance(outputs)
        for name, gradient in gradients.items():
            total[name] += torch.einsum("i,i...->...", counted, gradient**2)
    return {name: value / row_weights.sum() for name, value in total.items()}


def bernoulli(log_odds: torch.Tensor) -> torch.Tensor:
    """Variance of the score of an outcome with these log odds: p (1 - p)."""
    up = torch.sigmoid(log_odds)
    return up * (1.0 - up)
