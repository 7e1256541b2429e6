"""The networks as torch knows them, for training and gradients, and their hand-over to numpy.

Serving imports neither this module nor torch: it needs neither its memory nor its start-up time.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from models.arrays import Floats
from models.regime.posterior import REGIMES
from models.specialists.serving import Specialists
from models.specialists.settings import CONTEXT, HIDDEN
from models.specialists.window import ATTENDED, LENGTH_BARS


class Attention(nn.Module):
    """Ask the last bars what the current bar wants to know of them."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.query = nn.Linear(n_features, CONTEXT)
        self.key = nn.Linear(len(ATTENDED), CONTEXT, bias=False)
        self.value = nn.Linear(len(ATTENDED), CONTEXT)
        self.lag = nn.Parameter(torch.zeros(LENGTH_BARS))

    def weights(self, inputs: torch.Tensor, past: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Map (n, F) inputs and their (n, L, 8) bars to (n, L), zero where not ``seen``."""
        # q (W x) = (q W) x: one product for all bars of the window instead of one each.
        asked = torch.matmul(self.query(inputs), self.key.weight)
        likeness = torch.matmul(past, asked[:, :, None]).squeeze(2) / math.sqrt(CONTEXT) + self.lag
        return torch.softmax(likeness.masked_fill(~seen, -torch.inf), dim=1)

    def forward(self, inputs: torch.Tensor, past: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Map (n, F) inputs and their (n, L, 8) bars to (n, 8) answers."""
        weights = self.weights(inputs, past, seen)
        answers: torch.Tensor = self.value(torch.matmul(weights[:, None, :], past).squeeze(1))
        return answers


class Network(nn.Module):
    """Log odds that the next bar closes up, from standardised features and the bars before."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.attention = Attention(n_features)
        self.layers = nn.Sequential(
            nn.Linear(n_features + CONTEXT, HIDDEN[0]),
            nn.ReLU(),
            nn.Linear(HIDDEN[0], HIDDEN[1]),
            nn.ReLU(),
            nn.Linear(HIDDEN[1], 1),
        )
        self.double()

    def forward(self, inputs: torch.Tensor, past: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Map (n, F) inputs and their (n, L, 8) bars, all float64, to (n,) log odds."""
        joined = torch.cat([inputs, self.attention(inputs, past, seen)], dim=1)
        outputs: torch.Tensor = self.layers(joined)
        return outputs.squeeze(1)

    def linears(self) -> list[nn.Linear]:
        """List the three linear layers of the trunk, input side first."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]


def exported(networks: Sequence[Network], mean: Floats, scale: Floats, clip: float) -> Specialists:
    """Copy the weights of trained networks, the same number to each regime, into plain arrays."""

    def of_all(pick: Callable[[Network], torch.Tensor | None]) -> Floats:
        picked = [pick(network) for network in networks]
        return np.stack([value.detach().numpy() for value in picked if value is not None])

    def turned(weights: Floats) -> Floats:
        return np.ascontiguousarray(weights.transpose(0, 2, 1))

    return Specialists(
        mean=mean,
        scale=scale,
        clip=clip,
        query_weights=turned(of_all(lambda n: n.attention.query.weight)),
        query_biases=of_all(lambda n: n.attention.query.bias),
        key_weights=turned(of_all(lambda n: n.attention.key.weight)),
        lag_biases=of_all(lambda n: n.attention.lag),
        value_weights=turned(of_all(lambda n: n.attention.value.weight)),
        value_biases=of_all(lambda n: n.attention.value.bias),
        weights_1=turned(of_all(lambda n: n.linears()[0].weight)),
        biases_1=of_all(lambda n: n.linears()[0].bias),
        weights_2=turned(of_all(lambda n: n.linears()[1].weight)),
        biases_2=of_all(lambda n: n.linears()[1].bias),
        weights_3=of_all(lambda n: n.linears()[2].weight)[:, 0, :],
        biases_3=of_all(lambda n: n.linears()[2].bias)[:, 0],
    )


def imported(specialists: Specialists, regime: int) -> list[Network]:
    """Rebuild the networks of one regime, for gradients; the inverse of ``exported``."""
    n_members = len(specialists.biases_3) // len(REGIMES)
    return [_imported(specialists, regime * n_members + member) for member in range(n_members)]


def _imported(specialists: Specialists, at: int) -> Network:
    network = Network(len(specialists.mean))
    attention, linears = network.attention, network.linears()
    pairs: list[tuple[torch.Tensor | None, Floats]] = [
        (attention.query.weight, specialists.query_weights[at].T),
        (attention.query.bias, specialists.query_biases[at]),
        (attention.key.weight, specialists.key_weights[at].T),
        (attention.lag, specialists.lag_biases[at]),
        (attention.value.weight, specialists.value_weights[at].T),
        (attention.value.bias, specialists.value_biases[at]),
        (linears[0].weight, specialists.weights_1[at].T),
        (linears[0].bias, specialists.biases_1[at]),
        (linears[1].weight, specialists.weights_2[at].T),
        (linears[1].bias, specialists.biases_2[at]),
        (linears[2].weight, specialists.weights_3[at][None, :]),
        (linears[2].bias, specialists.biases_3[at : at + 1]),
    ]
    with torch.no_grad():
        for parameter, values in pairs:
            if parameter is not None:
                parameter.copy_(torch.tensor(values))
    return network
