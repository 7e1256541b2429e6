"""Train one network per regime with torch, and hand it over to numpy.

This is the only module that imports torch: serving needs neither its memory nor its start-up time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from models.arrays import Floats
from models.errors import HistoryTooShort
from models.regime.posterior import REGIMES
from models.specialists.serving import Specialists, standardised
from models.specialists.split import Split

HIDDEN = (64, 32)


EPOCHS = 6
"""At most so many passes over the training rows; the best on the validation rows is kept."""

PATIENCE = 3
"""Passes without improvement on the validation rows before training stops."""

BATCH_ROWS = 1024

LEARNING_RATE = 1e-3

WEIGHT_DECAY = 1e-2
"""Of AdamW (Loshchilov and Hutter 2019)."""

CLIP = 5.0
"""Standardised inputs are held within plus and minus this many scales."""

CONSTANT = 1e-12
"""A column whose spread is below this share of its mean is constant but for rounding."""


class Network(nn.Module):
    """Log odds that the next bar closes up, from standardised features."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, HIDDEN[0]),
            nn.ReLU(),
            nn.Linear(HIDDEN[0], HIDDEN[1]),
            nn.ReLU(),
            nn.Linear(HIDDEN[1], 1),
        ).double()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map (n, F) float64 inputs to (n,) log odds."""
        outputs: torch.Tensor = self.layers(inputs)
        return outputs.squeeze(1)

    def linears(self) -> list[nn.Linear]:
        """List the three linear layers, input side first."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]


class Samples(NamedTuple):
    """Rows with features and a known next return.

    Attributes
    ----------
    inputs : (n, F)
        Standardised.
    labels : (n,)
        1 where the next bar closes up, 0 down, 0.5 unchanged.
    weights : (n, 3)
        Regime probabilities at the row's bar.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Run the block on one thread, with deterministic kernels and its own random numbers."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(mode=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(mode=strict)
            torch.set_num_threads(threads)


def fit(
    features: Floats,
    next_returns: Floats,
    probabilities: Floats,
    *,
    split: Split,
    seed: int,
    progress: Callable[[str, float], None],
) -> Specialists:
    """Train a specialist per regime, each on all rows weighted by its regime's probability.

    Parameters
    ----------
    features : (n_bars, n_symbols, F)
        A row with a value that is not finite is left out.
    next_returns : (n_bars, n_symbols)
        Return from each bar to the next; NaN where unknown.
    probabilities : (n_bars, n_symbols, 3)
        Regime probabilities known at each bar, in the order of ``REGIMES``.
    split : Split
        Learns from ``split.training``, stops by ``split.validation``, looks at nothing else.
    seed : int
        The same seed and data give the same bytes on one machine.
    progress : callable
        Called with the specialist's name and its finished share in [0, 1].

    Returns
    -------
    Specialists

    Raises
    ------
    HistoryTooShort
        If a stretch has no usable row.
    """
    usable = np.all(np.isfinite(features), axis=2) & np.isfinite(next_returns)
    for name, part in (("training", split.training), ("validation", split.validation)):
        if not usable[part].any():
            raise HistoryTooShort(f"no bar of the {name} stretch has all features and a next bar")
    known = features[split.training][usable[split.training]]
    mean, spread = known.mean(axis=0), known.std(axis=0)
    scale = np.where(spread > CONSTANT * np.abs(mean), spread, 1.0)

    def samples(part: slice) -> Samples:
        chosen = usable[part]
        labels = 0.5 + 0.5 * np.sign(next_returns[part][chosen])
        return Samples(
            inputs=torch.from_numpy(standardised(features[part][chosen], mean, scale, CLIP)),
            labels=torch.from_numpy(labels),
            weights=torch.from_numpy(probabilities[part][chosen]),
        )

    training, validation = samples(split.training), samples(split.validation)
    with reproducible(seed):
        networks = [
            _trained(k, training, validation, partial(progress, name))
            for k, name in enumerate(REGIMES)
        ]
    return exported(networks, mean, scale, CLIP)


def exported(networks: Sequence[Network], mean: Floats, scale: Floats, clip: float) -> Specialists:
    """Copy the weights of one network per regime into plain arrays."""
    weights, biases = (
        [
            np.stack([getattr(network.linears()[k], kind).detach().numpy() for network in networks])
            for k in range(len(HIDDEN) + 1)
        ]
        for kind in ("weight", "bias")
    )
    return Specialists(
        mean=mean,
        scale=scale,
        clip=clip,
        weights_1=np.ascontiguousarray(weights[0].transpose(0, 2, 1)),
        biases_1=biases[0],
        weights_2=np.ascontiguousarray(weights[1].transpose(0, 2, 1)),
        biases_2=biases[1],
        weights_3=weights[2][:, 0, :],
        biases_3=biases[2][:, 0],
    )


def imported(specialists: Specialists, regime: int) -> Network:
    """Rebuild the network of one regime, for gradients; the inverse of ``exported``."""
    network = Network(len(specialists.mean))
    arrays = (
        (specialists.weights_1[regime].T, specialists.biases_1[regime]),
        (specialists.weights_2[regime].T, specialists.biases_2[regime]),
        (specialists.weights_3[regime][None, :], specialists.biases_3[regime : regime + 1]),
    )
    with torch.no_grad():
        for linear, (weight, bias) in zip(network.linears(), arrays, strict=True):
            linear.weight.copy_(torch.tensor(weight))
            linear.bias.copy_(torch.tensor(bias))
    return network


def _trained(
    regime: int, training: Samples, validation: Samples, progress: Callable[[float], None]
) -> Network:
    network = Network(training.inputs.shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best_skill, best_epoch, best = -np.inf, 0, network.state_dict()
    for epoch in range(EPOCHS):
        order = torch.randperm(len(training.inputs))
        for start in range(0, len(order), BATCH_ROWS):
            batch = order[start : start + BATCH_ROWS]
            optimizer.zero_grad()
            loss = _loss(network, Samples(*(part[batch] for part in training)), regime)
            torch.autograd.backward(loss)
            optimizer.step()
        skill = _skill(network, validation, regime)
        if skill > best_skill:
            best_skill, best_epoch = skill, epoch
            best = {name: value.clone() for name, value in network.state_dict().items()}
        progress((epoch + 1) / EPOCHS)
        if epoch - best_epoch >= PATIENCE:
            break
    network.load_state_dict(best)
    progress(1.0)
    return network


def _loss(network: Network, samples: Samples, regime: int) -> torch.Tensor:
    weights = samples.weights[:, regime]
    losses = binary_cross_entropy_with_logits(
        network(samples.inputs), samples.labels, weight=weights, reduction="sum"
    )
    return losses / weights.sum()


def _skill(network: Network, samples: Samples, regime: int) -> float:
    """Correlate log odds with direction: their scale and level are left to the calibration.

    Near even odds the log loss after calibration falls with the square of this correlation; the
    loss before it would stop training for overconfidence that the calibration removes anyway.
    """
    weights = samples.weights[:, regime] / samples.weights[:, regime].sum()
    with torch.no_grad():
        logits = network(samples.inputs)
    logits = logits - (weights * logits).sum()
    labels = samples.labels - (weights * samples.labels).sum()
    spread = (weights * logits**2).sum() * (weights * labels**2).sum()
    return float((weights * logits * labels).sum() / spread.clamp_min(1e-300).sqrt())
