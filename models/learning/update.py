"""One update of all specialists on a window of bars, held back by what they know already.

Elastic weight consolidation (Kirkpatrick et al. 2017): the loss of the window, plus half the
strength times the squared distance of each weight from its base, times the Fisher information of
the base's own training rows. The base stays the one that was fitted, however many updates follow.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import binary_cross_entropy_with_logits

from models.errors import HistoryTooShort, NotFinite, NotFitted
from models.learning import fisher
from models.learning.fisher import Weights
from models.learning.settings import NOT_LEARNING_FRACTION, Settings
from models.regime.posterior import REGIMES
from models.specialists.fitting import Past, Samples, reproducible
from models.specialists.network import Network, exported, imported
from models.specialists.serving import Specialists

FISHER_ROWS = 20_000
"""Rows of the base's training stretch that the information is taken from, evenly spaced."""

TILE_ROWS = 1_024
"""Rows whose losses are asked for at once: with their windows some MB for each network."""


class Base(NamedTuple):
    """What must not be forgotten.

    Attributes
    ----------
    specialists : Specialists
        As they were fitted.
    information : Specialists
        The diagonal Fisher information of each weight, in the weight's place; scaling and clip are
        those of ``specialists``.
    """

    specialists: Specialists
    information: Specialists


class Update(NamedTuple):
    """What an update made.

    Attributes
    ----------
    specialists : Specialists
    loss_before, loss_after : float
        Mean log loss of the networks on the window, in nats, each by its regime's rows.
    penalty : float
        Mean of the networks' penalties at the end, in nats.
    moved_fraction : float
        Distance from the start over the start's length, all weights together.
    from_base_fraction : float
        Distance from the base over the base's length.
    """

    specialists: Specialists
    loss_before: float
    loss_after: float
    penalty: float
    moved_fraction: float
    from_base_fraction: float

    @property
    def is_learning(self) -> bool:
        """Whether the weights have left their base at all."""
        return self.from_base_fraction >= NOT_LEARNING_FRACTION

    def record(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        numbers = {n: v for n, v in self._asdict().items() if n != "specialists"}
        return {**numbers, "is_learning": self.is_learning}


def information(specialists: Specialists, past: Past, samples: Samples) -> Specialists:
    """Take the Fisher information of each network from rows, each counted by its regime.

    Parameters
    ----------
    specialists : Specialists
    past : Past
    samples : Samples
        Standardised by the scaling of ``specialists``.

    Returns
    -------
    Specialists
        Information in place of weights, in 1 / weight^2 per row.

    Raises
    ------
    NotFitted
        If a network's information is nothing: nothing would hold it.
    """
    every = max(1, math.ceil(len(samples.labels) / FISHER_ROWS))
    chosen = Samples(*(part[::every] for part in samples))
    rows = (chosen.inputs, *chosen.windows(past))
    found = []
    for regime, name in enumerate(REGIMES):
        for network in imported(specialists, regime):
            weights = {key: value.detach() for key, value in network.named_parameters()}
            diagonal = fisher.diagonal(
                _output_of(network), weights, rows, chosen.weights[:, regime], fisher.bernoulli
            )
            if not sum(float(value.sum()) for value in diagonal.values()) > 0.0:
                raise NotFitted(
                    f"the Fisher information of a {name} network was nothing over "
                    f"{len(chosen.labels)} rows: expected outputs that depend on the weights"
                )
            found.append(_network(diagonal))
    return exported(found, specialists.mean, specialists.scale, specialists.clip)


def update(
    start: Specialists,
    base: Base,
    rows: tuple[Past, Samples],
    *,
    settings: Settings,
    seed: int,
    progress: Callable[[float], None] = lambda _share: None,
) -> Update:
    """Learn from a window's rows, without leaving what the base knows.

    Parameters
    ----------
    start : Specialists
        The networks that serve now; the same scaling as the base's.
    base : Base
    rows : tuple of Past and Samples
        Of the window; standardised by the scaling of ``start``.
    settings : Settings
    seed : int
        Of the order of the rows. The same arguments give the same bytes on one machine.
    progress : callable
        Called with the finished share in (0, 1]; what it raises ends the update.

    Returns
    -------
    Update

    Raises
    ------
    HistoryTooShort
        If the window has no rows.
    NotFitted
        If the weights moved and the penalty is not positive: then nothing holds them.
    NotFinite
        If the weights diverged.
    """
    past, samples = rows
    if not len(samples.labels):
        raise HistoryTooShort("the window has no row with all features and a next bar")
    # Of its own: making networks draws numbers as well, as many as there are networks.
    draw = torch.Generator().manual_seed(seed)
    with reproducible(seed):
        held = _Held.of(start, base, settings)
        before = _mean_loss(held, past, samples)
        optimizer = torch.optim.Adam(list(held.weights.values()), lr=settings.learning_rate)
        n_batches = math.ceil(len(samples.labels) / settings.batch_rows)
        for number in range(settings.passes):
            order = torch.randperm(len(samples.labels), generator=draw)
            for at, batch in enumerate(torch.split(order, settings.batch_rows)):
                optimizer.zero_grad()
                few = Samples(*(part[batch] for part in samples))
                weights = _by_network(few.weights, held)
                # A batch may hold no row of a regime at all.
                losses = held.summed(past, few) / weights.sum(dim=1).clamp_min(1e-300)
                torch.autograd.backward((losses + held.penalties()).sum())
                optimizer.step()
                progress((number * n_batches + at + 1) / (settings.passes * n_batches))
        after = _mean_loss(held, past, samples)
        with torch.no_grad():
            return _checked(held, start, before, after, settings)


class _Held(NamedTuple):
    """The networks side by side, N of each weight, with what holds them."""

    network: Network
    weights: dict[str, torch.Tensor]
    first: dict[str, torch.Tensor]
    base: dict[str, torch.Tensor]
    pull: dict[str, torch.Tensor]

    @classmethod
    def of(cls, start: Specialists, base: Base, settings: Settings) -> "_Held":
        weights = _side_by_side(start)
        information_ = _side_by_side(base.information)
        if settings.normalised:
            information_ = _normalised(information_)
        return cls(
            network=Network(len(start.mean)),
            weights={name: value.clone().requires_grad_() for name, value in weights.items()},
            first=weights,
            base=_side_by_side(base.specialists),
            pull={
                name: settings.strength * (value + settings.prior)
                for name, value in information_.items()
            },
        )

    def summed(self, past: Past, samples: Samples) -> torch.Tensor:
        """Give the sum of each network's losses, (N,), rows counted by its regime's weights."""
        given = (samples.inputs, *samples.windows(past))
        every = vmap(_outputs_of(self.network), in_dims=(0, *(None for _ in given)))
        log_odds = every(self.weights, *given)
        return binary_cross_entropy_with_logits(
            log_odds,
            samples.labels.expand_as(log_odds),
            weight=_by_network(samples.weights, self),
            reduction="none",
        ).sum(dim=1)

    def penalties(self) -> torch.Tensor:
        """Give half the strength times the weighted squared distance from the base, (N,)."""
        return 0.5 * _summed(
            {
                name: self.pull[name] * (value - self.base[name]) ** 2
                for name, value in self.weights.items()
            }
        )


def _mean_loss(held: _Held, past: Past, samples: Samples) -> float:
    """Mean over networks and rows, by tiles: the windows of a month of minutes would take GB."""
    sums = torch.zeros(len(next(iter(held.weights.values()))), dtype=samples.labels.dtype)
    with torch.no_grad():
        for start in range(0, len(samples.labels), TILE_ROWS):
            tile = Samples(*(part[start : start + TILE_ROWS] for part in samples))
            sums += held.summed(past, tile)
        counted = _by_network(samples.weights.sum(dim=0, keepdim=True), held)[:, 0]
        return float((sums / counted.clamp_min(1e-300)).mean())


def _checked(
    held: _Held, start: Specialists, before: float, after: float, settings: Settings
) -> Update:
    penalty = float(held.penalties().mean())
    if not all(torch.isfinite(value).all() for value in held.weights.values()):
        raise NotFinite(
            f"weights were not finite after the update, learning_rate {settings.learning_rate:g} "
            f"and strength {settings.strength:g}: expected a smaller product of the two"
        )
    moved, from_base = (_distance(held.weights, other) for other in (held.first, held.base))
    if settings.strength > 0.0 and from_base > 0.0 and not penalty > 0.0:
        raise NotFitted(
            f"the penalty was {penalty:g} although the weights are {from_base:.3g} of their length "
            "from their base: expected more than 0"
        )
    count = len(start.biases_3)
    networks = [
        _network({name: value[at].detach() for name, value in held.weights.items()})
        for at in range(count)
    ]
    return Update(
        exported(networks, start.mean, start.scale, start.clip),
        before,
        after,
        penalty,
        moved,
        from_base,
    )


def _outputs_of(network: Network) -> Callable[..., torch.Tensor]:
    def outputs(weights: Weights, *rows: torch.Tensor) -> torch.Tensor:
        said: torch.Tensor = functional_call(network, dict(weights), rows)
        return said

    return outputs


def _output_of(network: Network) -> Callable[..., torch.Tensor]:
    of_rows = _outputs_of(network)

    def output(weights: Weights, *row: torch.Tensor) -> torch.Tensor:
        return of_rows(weights, *(part[None] for part in row))[0]

    return output


def _network(weights: Weights) -> Network:
    network = Network(weights["attention.query.weight"].shape[1])
    network.load_state_dict(dict(weights))
    return network


def _side_by_side(specialists: Specialists) -> dict[str, torch.Tensor]:
    networks = [each for regime in range(len(REGIMES)) for each in imported(specialists, regime)]
    weights, _ = stack_module_state(networks)
    return {name: value.detach() for name, value in weights.items()}


def _by_network(by_regime: torch.Tensor, held: _Held) -> torch.Tensor:
    count = len(next(iter(held.weights.values())))
    return by_regime.T.repeat_interleave(count // len(REGIMES), dim=0)


def _normalised(information_: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Scale each network's information to a mean of one."""
    count = sum(value[0].numel() for value in information_.values())
    mean = _summed(information_) / count
    return {
        name: value / mean.reshape(-1, *(1 for _ in value.shape[1:]))
        for name, value in information_.items()
    }


def _summed(of_networks: dict[str, torch.Tensor]) -> torch.Tensor:
    """Add everything up within each network, (N,)."""
    sums = [value.flatten(start_dim=1).sum(dim=1) for value in of_networks.values()]
    return torch.stack(sums).sum(dim=0)


def _distance(weights: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    apart = _summed({name: (value - other[name]) ** 2 for name, value in weights.items()}).sum()
    length = _summed({name: value**2 for name, value in other.items()}).sum()
    return math.sqrt(float(apart / length))
