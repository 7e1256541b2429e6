"""``ewc-fisher``: the diagonal Fisher information against closed forms, and against loops.

A linear model with Gaussian noise has the information E[x_j^2] / sigma^2, a logistic one
E[p (1 - p) x_j^2]. The specialists' own networks have no closed form: theirs is held against one
backward pass a row, and against what labels drawn from the networks give on average.
"""

import numpy as np
import torch

from models.learning import fisher
from models.learning.update import information
from models.regime.posterior import REGIMES
from models.specialists.fitting import Past, Samples
from models.specialists.network import Network, exported, imported
from models.specialists.window import ATTENDED, LENGTH_BARS
from tests.evidence.measurement import Measurement, Result

TOLERANCE = 1e-6
SEEDS = range(700, 800)
N_ROWS, N_INPUTS, N_FEATURES, N_DRAWS = 500, 12, 60, 4_000
_NETWORK_SEED, _NETWORK_ROWS = 790, 64


def linear(seed: int) -> tuple[float, float]:
    """Give the worst relative errors of a Gaussian and a logistic model drawn by a seed."""
    draw = np.random.default_rng(seed)
    x = draw.normal(
        draw.normal(size=N_INPUTS), np.exp(draw.normal(size=N_INPUTS)), (N_ROWS, N_INPUTS)
    )
    slopes, counts = draw.normal(size=N_INPUTS), draw.uniform(0.0, 1.0, N_ROWS)
    noise = float(np.exp(draw.normal()))
    up = 1.0 / (1.0 + np.exp(-(x @ slopes)))
    weights = {"slopes": torch.from_numpy(slopes)}

    def found(variance: object) -> np.ndarray:
        rows = (torch.from_numpy(x),)
        diagonal = fisher.diagonal(
            lambda w, row: row @ w["slopes"],
            weights,
            rows,
            torch.from_numpy(counts),
            variance,  # type: ignore[arg-type]
        )
        return diagonal["slopes"].numpy()

    share = counts / counts.sum()
    gaussian = (share[:, None] * x**2).sum(axis=0) / noise**2
    logistic = ((share * up * (1.0 - up))[:, None] * x**2).sum(axis=0)
    return (
        _worst(found(lambda z: torch.full_like(z, 1.0 / noise**2)), gaussian),
        _worst(found(fisher.bernoulli), logistic),
    )


def networks() -> tuple[float, float]:
    """Give the worst relative error against row by row, and the worst z against drawn labels."""
    torch.manual_seed(_NETWORK_SEED)
    count, length = _NETWORK_ROWS, LENGTH_BARS
    made = [Network(N_FEATURES) for _ in REGIMES]
    specialists = exported(made, np.zeros(N_FEATURES), np.ones(N_FEATURES), 5.0)
    past = Past(
        torch.randn(count + length, len(ATTENDED), dtype=torch.float64),
        torch.ones(count + length, dtype=torch.bool),
    )
    samples = Samples(
        torch.randn(count, N_FEATURES, dtype=torch.float64),
        torch.arange(length, count + length),
        torch.full((count,), 0.5, dtype=torch.float64),
        torch.rand(count, len(REGIMES), dtype=torch.float64),
    )
    ours = imported(information(specialists, past, samples), 0)[0]
    network, parts = imported(specialists, 0)[0], (samples.inputs, *samples.windows(past))
    share = samples.weights[:, 0] / samples.weights[:, 0].sum()
    expected = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    fourth = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    drawn = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    for row in range(count):
        network.zero_grad()
        output = network(*(part[row : row + 1] for part in parts))[0]
        output.backward()
        up = float(torch.sigmoid(output.detach()))
        labels = torch.rand(N_DRAWS, dtype=torch.float64) < up
        scores = (labels.double() - up) ** 2
        for name, parameter in network.named_parameters():
            squared = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad**2
            expected[name] += share[row] * up * (1.0 - up) * squared
            drawn[name] += share[row] * scores.mean() * squared
            fourth[name] += (share[row] * squared) ** 2 * scores.var() / N_DRAWS
    mine = dict(ours.named_parameters())
    relative = max(_worst(mine[n].detach().numpy(), expected[n].numpy()) for n in expected)
    return relative, max(_z(mine[n], drawn[n], fourth[n]) for n in expected)


def _z(mine: torch.Tensor, drawn: torch.Tensor, variance: torch.Tensor) -> float:
    known = variance > 0.0
    distance = (mine.detach() - drawn).abs()[known] / variance[known].sqrt()
    return float(distance.max()) if known.any() else 0.0


def _worst(found: np.ndarray, wanted: np.ndarray) -> float:
    known = wanted > 0.0
    if not (found[~known] == 0.0).all():
        return float("inf")
    return float((np.abs(found[known] / wanted[known] - 1.0)).max(initial=0.0))


def measure() -> Result:
    """Hold every form against its reference."""
    errors = np.array([linear(seed) for seed in SEEDS])
    by_row, z = networks()
    worst = float(errors.max())
    return Result(
        value=worst,
        holds=max(worst, by_row) <= TOLERANCE,
        n=len(SEEDS),
        parts={
            "gaussian": float(errors[:, 0].max()),
            "logistic": float(errors[:, 1].max()),
            "network_row_by_row": by_row,
            "network_worst_z_of_drawn_labels": round(z, 2),
            "n_draws_a_row": N_DRAWS,
        },
    )


EWC_FISHER = Measurement(
    "ewc-fisher",
    "largest relative error over weights",
    f"<= {TOLERANCE:g} on linear-Gaussian and logistic models, and on the networks row by row",
    1,
    measure,
)
