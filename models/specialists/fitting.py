"""Train the networks of each regime with torch, on rows weighted by the regime's probability."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from models.arrays import Floats, Indices, Mask
from models.errors import HistoryTooShort, NotFinite, NotFitted, ShapeError
from models.regime.posterior import REGIMES
from models.specialists import window
from models.specialists.device import where_there_is_room
from models.specialists.network import Network, exported
from models.specialists.serving import Specialists, standardised
from models.specialists.settings import DEFAULTS, Settings
from models.specialists.split import Split
from models.specialists.window import COLUMNS, LENGTH_BARS

ASKING = ("attention.query", "attention.key", "attention.lag")
"""Names of the parameters that decide where attention goes."""

CONSTANT = 1e-12
"""A column whose spread is below this share of its mean is constant but for rounding."""


class Lessons(NamedTuple):
    """A history to learn from.

    Attributes
    ----------
    features : (n_bars, n_symbols, 60)
        A row with a NaN is left out, and is remembered in the windows behind it.
    next_returns : (n_bars, n_symbols)
        Return from each bar to the next; NaN where unknown.
    probabilities : (n_bars, n_symbols, 3)
        Regime probabilities known at each bar, in the order of ``REGIMES``.
    present : (n_bars, n_symbols)
        Where the symbol has a bar.
    """

    features: Floats
    next_returns: Floats
    probabilities: Floats
    present: Mask


class Past(NamedTuple):
    """The bars that all windows are cut from.

    Attributes
    ----------
    bars : (n_rows, 8)
        Standardised; zero where not seen.
    seen : (n_rows,)
        Whether all features of the bar are known.
    """

    bars: torch.Tensor
    seen: torch.Tensor


class Samples(NamedTuple):
    """Rows with features and a known next return.

    Attributes
    ----------
    inputs : (n, F)
        Standardised.
    ends : (n,)
        int64 row of ``Past`` that ends the sample's window.
    labels : (n,)
        1 where the next bar closes up, 0 down, 0.5 unchanged.
    weights : (n, 3)
        Regime probabilities at the row's bar.
    """

    inputs: torch.Tensor
    ends: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor

    def windows(self, past: Past) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut the bars of each sample, (n, L, 8), and whether each was seen, (n, L)."""
        back = torch.arange(1 - LENGTH_BARS, 1, device=self.ends.device)
        rows = self.ends[:, None] + back
        return past.bars[rows], past.seen[rows]


class Scaled(NamedTuple):
    """A history with the scaling of its features, to take the samples of any stretch from.

    Rows are standardised when they are taken: all of them at once would be the history once more.

    Attributes
    ----------
    lessons : Lessons
    mean, scale : (F,)
    clip : float
    past : Past
    ends : (n_bars, n_symbols)
        int64 row of ``past`` that ends each row's window.
    """

    lessons: Lessons
    mean: Floats
    scale: Floats
    clip: float
    past: Past
    ends: Indices

    @classmethod
    def of(cls, lessons: Lessons, mean: Floats, scale: Floats, clip: float) -> "Scaled":
        """Scale features and windows by given (60,) ``mean`` and ``scale``."""
        bars, ends = window.unrolled(lessons.features, lessons.present)
        seen = np.all(np.isfinite(bars), axis=1)
        known = standardised(bars, mean[COLUMNS], scale[COLUMNS], clip)
        past = Past(torch.from_numpy(np.where(seen[:, None], known, 0.0)), torch.from_numpy(seen))
        return cls(lessons, mean, scale, clip, past, ends)

    def samples(self, part: slice) -> Samples:
        """Take the usable rows of a stretch, bar by bar."""
        chosen = usable_of(self.lessons)[part]
        rows = self.lessons.features[part][chosen]
        labels = 0.5 + 0.5 * np.sign(self.lessons.next_returns[part][chosen])
        return Samples(
            inputs=torch.from_numpy(standardised(rows, self.mean, self.scale, self.clip)),
            ends=torch.from_numpy(self.ends[part][chosen]),
            labels=torch.from_numpy(labels),
            weights=torch.from_numpy(self.lessons.probabilities[part][chosen]),
        )


class Prepared(NamedTuple):
    """What networks are trained on.

    Attributes
    ----------
    past : Past
    training, validation : Samples
    mean, scale : (60,)
        Of the features over the training rows; the scale of a constant feature is 1.
    """

    past: Past
    training: Samples
    validation: Samples
    mean: Floats
    scale: Floats

    def on(self, device: torch.device) -> "Prepared":
        """Return it with its rows on a device."""
        return self._replace(
            past=Past(*(each.to(device) for each in self.past)),
            training=Samples(*(each.to(device) for each in self.training)),
            validation=Samples(*(each.to(device) for each in self.validation)),
        )


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
    lessons: Lessons,
    *,
    split: Split,
    seed: int,
    progress: Callable[[str, float], None],
    settings: Settings = DEFAULTS,
) -> Specialists:
    """Train the specialists, each on all rows weighted by its regime's probability.

    A window reaches back over a seam to bars of the stretch before, as it will when serving. It
    holds what was known at its bar, so no label of a row reaches into another stretch: labels
    are returns of bars after the row, and a gap longer than a window lies between stretches.

    Parameters
    ----------
    lessons : Lessons
    split : Split
        Learns from ``split.training``, stops by ``split.validation``, looks at nothing else.
    seed : int
        The same seed and data give the same bytes on one machine.
    progress : callable
        Called with the specialist's name and its finished share in [0, 1], first when it begins.
    settings : Settings

    Returns
    -------
    Specialists

    Raises
    ------
    ShapeError
        If the arrays do not belong together.
    NotFinite
        If a feature is infinite, or a usable row has no regime probabilities.
    NotFitted
        If no feature moves, or no row moves up or down: there is nothing to learn from.
    HistoryTooShort
        If a stretch has no usable row.
    """
    prepared = prepare(lessons, split, settings)

    def work(device: torch.device) -> list[Network]:
        there, networks = prepared.on(device), []
        with reproducible(seed):
            for k, name in enumerate(REGIMES):
                progress(name, 0.0)
                for member in range(settings.members):
                    network = Network(lessons.features.shape[2]).to(device)
                    trained(network, there, k, _share(progress, name, member, settings), settings)
                    networks.append(network.cpu())
        return networks

    networks = where_there_is_room(work)
    return exported(networks, prepared.mean, prepared.scale, settings.clip)


def prepare(lessons: Lessons, split: Split, settings: Settings = DEFAULTS) -> Prepared:
    """Scale by the training stretch, and take the samples of both stretches.

    Raises
    ------
    ShapeError, NotFinite, NotFitted, HistoryTooShort
        See ``fit``.
    """
    _check(lessons)
    usable = usable_of(lessons)
    for name, part in (("training", split.training), ("validation", split.validation)):
        _check_stretch(name, usable[part], lessons.next_returns[part], lessons.probabilities[part])
    mean, scale = _scaling(lessons.features[split.training][usable[split.training]])
    scaled = Scaled.of(lessons, mean, scale, settings.clip)
    return Prepared(
        scaled.past, scaled.samples(split.training), scaled.samples(split.validation), mean, scale
    )


def usable_of(lessons: Lessons) -> Mask:
    """Mark the rows with a bar, all features and a known next return, (n_bars, n_symbols)."""
    complete = np.all(np.isfinite(lessons.features), axis=2)
    usable: Mask = complete & np.isfinite(lessons.next_returns) & lessons.present
    return usable


def trained(
    network: nn.Module,
    prepared: Prepared,
    regime: int,
    progress: Callable[[float], None],
    settings: Settings = DEFAULTS,
) -> None:
    """Train a network in place for one regime, and keep its best state on the validation rows."""
    past, training, validation = prepared[:3]
    optimizer = torch.optim.AdamW(
        _groups(network, settings.attention_rate),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    best_skill, best_epoch, best = -np.inf, 0, network.state_dict()
    for epoch in range(settings.epochs):
        order = torch.randperm(len(training.inputs)).to(training.ends.device)
        for start in range(0, len(order), settings.batch_rows):
            batch = order[start : start + settings.batch_rows]
            optimizer.zero_grad()
            loss = _loss(network, past, Samples(*(part[batch] for part in training)), regime)
            torch.autograd.backward(loss)
            optimizer.step()
        skill = _skill(network, past, validation, regime)
        if skill > best_skill:
            best_skill, best_epoch = skill, epoch
            best = {name: value.clone() for name, value in network.state_dict().items()}
        progress((epoch + 1) / settings.epochs)
        if epoch - best_epoch >= settings.patience:
            break
    network.load_state_dict(best)
    progress(1.0)


def _groups(network: nn.Module, attention_rate: float) -> list[dict[str, Any]]:
    asking: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        (asking if name.startswith(ASKING) else others).append(parameter)
    return [{"params": others}, {"params": asking, "lr": attention_rate, "weight_decay": 0.0}]


def _scaling(known: Floats) -> tuple[Floats, Floats]:
    mean, spread = known.mean(axis=0), known.std(axis=0)
    moves = spread > CONSTANT * np.abs(mean)
    if not moves.any():
        raise NotFitted(
            f"all {len(mean)} features are constant over {len(known)} training rows: expected "
            "prices that move"
        )
    return mean, np.where(moves, spread, 1.0)


def _share(
    progress: Callable[[str, float], None], name: str, member: int, settings: Settings
) -> Callable[[float], None]:
    def report(of_member: float) -> None:
        progress(name, (member + of_member) / settings.members)

    return report


def _loss(network: nn.Module, past: Past, samples: Samples, regime: int) -> torch.Tensor:
    weights = samples.weights[:, regime]
    losses = binary_cross_entropy_with_logits(
        network(samples.inputs, *samples.windows(past)),
        samples.labels,
        weight=weights,
        reduction="sum",
    )
    # A batch may hold no row of the regime at all.
    return losses / weights.sum().clamp_min(1e-300)


def _skill(network: nn.Module, past: Past, samples: Samples, regime: int) -> float:
    """Correlate log odds with direction: their scale and level are left to the calibration.

    Near even odds the log loss after calibration falls with the square of this correlation; the
    loss before it would stop training for overconfidence that the calibration removes anyway.
    """
    weights = samples.weights[:, regime] / samples.weights[:, regime].sum()
    with torch.no_grad():
        logits = network(samples.inputs, *samples.windows(past))
    logits = logits - (weights * logits).sum()
    labels = samples.labels - (weights * samples.labels).sum()
    spread = (weights * logits**2).sum() * (weights * labels**2).sum()
    return float((weights * logits * labels).sum() / spread.clamp_min(1e-300).sqrt())


def _check(lessons: Lessons) -> None:
    features, next_returns, probabilities, present = lessons
    shapes = {
        "next_returns": (next_returns.shape, features.shape[:2]),
        "probabilities": (probabilities.shape, (*features.shape[:2], len(REGIMES))),
        "present": (present.shape, features.shape[:2]),
    }
    for name, (was, wanted) in shapes.items():
        if was != wanted:
            raise ShapeError(f"{name} must be {wanted} beside features, was {was}")
    infinite = np.isinf(features)
    if infinite.any():
        bar, symbol, column = (int(at) for at in np.argwhere(infinite)[0])
        raise NotFinite(
            f"feature {column} of bar {bar}, symbol {symbol} was infinite: expected a number, or "
            "NaN while it warms up"
        )


def _check_stretch(name: str, usable: Mask, next_returns: Floats, probabilities: Floats) -> None:
    if not usable.any():
        raise HistoryTooShort(f"no bar of the {name} stretch has all features and a next bar")
    if not np.isfinite(probabilities[usable]).all():
        raise NotFinite(f"a usable bar of the {name} stretch has no regime probabilities: NaN")
    check_moves(name, next_returns[usable])


def check_moves(stretch: str, next_returns: Floats) -> None:
    """Refuse a stretch in which no price moves; NaN returns are left out.

    Raises
    ------
    NotFitted
        Naming the stretch and the number of its rows.

    Examples
    --------
    >>> check_moves("training", np.array([0.0, np.nan]))
    Traceback (most recent call last):
    models.errors.NotFitted: none of the 1 rows of the training stretch moves to another price: ...
    """
    known = next_returns[np.isfinite(next_returns)]
    if not known.any():
        raise NotFitted(
            f"none of the {len(known)} rows of the {stretch} stretch moves to another price: "
            "expected ups and downs to learn from"
        )
