"""The study that chose the form of the attention, on years before the reported ones only.

Each form is trained as the specialists are, one network to a regime and seed, so that forms are
compared without the help of averaging. The stretch that each fold is judged on lies before 2003.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from models import measures
from models.arrays import Floats
from models.prediction import quality
from models.regime.posterior import REGIMES
from models.specialists import fitting
from models.specialists.network import Attention, Network
from models.specialists.settings import CONTEXT, DEFAULTS, HIDDEN
from models.specialists.split import Split
from tests.evidence.specialist_data import STOCKS, cut, panels
from tests.evidence.specialist_walk import lessons_of, usable_rows

JUDGED = (("1997-01-01", "2000-01-01"), ("2000-01-01", "2003-01-01"))
SEEDS = (0, 1, 2)
BLOCK_BARS, N_DRAWS = 20, 1_000
JOINED = "joined to the features (served)"
EVEN = "joined, attention at the common rate"
BARE = "no attention"


def _trunk(n_inputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_inputs, HIDDEN[0]),
        nn.ReLU(),
        nn.Linear(HIDDEN[0], HIDDEN[1]),
        nn.ReLU(),
        nn.Linear(HIDDEN[1], 1),
    )


class Bare(nn.Module):
    """The current bar alone."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.trunk = _trunk(n_features).double()

    def forward(self, inputs: torch.Tensor, _past: Any, _seen: Any) -> torch.Tensor:  # noqa: ANN401  unused
        """Map (n, F) to (n,) log odds."""
        return self.trunk(inputs).squeeze(1)


class Added(nn.Module):
    """Two opinions added: the current bar's, and the attention's."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.attention = Attention(n_features)
        self.trunk = _trunk(n_features)
        self.opinion = nn.Linear(CONTEXT, 1, bias=False)
        self.double()

    def forward(self, inputs: torch.Tensor, past: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Map inputs and their bars to (n,) log odds."""
        answers = torch.tanh(self.attention(inputs, past, seen))
        return (self.trunk(inputs) + self.opinion(answers)).squeeze(1)


class Alone(nn.Module):
    """The attention's answer alone; the current bar only asks."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.attention = Attention(n_features)
        self.trunk = _trunk(CONTEXT)
        self.double()

    def forward(self, inputs: torch.Tensor, past: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Map inputs and their bars to (n,) log odds."""
        return self.trunk(torch.relu(self.attention(inputs, past, seen))).squeeze(1)


class Averaged(Network):
    """The served network with equal attention to every bar: a moving average, nothing to ask."""

    def forward(self, inputs: torch.Tensor, past: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Map inputs and their bars to (n,) log odds."""
        share = seen.double() / seen.double().sum(dim=1, keepdim=True)
        answers = self.attention.value((share[:, None, :] @ past).squeeze(1))
        return self.layers(torch.cat([inputs, answers], dim=1)).squeeze(1)


FORMS: dict[str, tuple[Callable[[int], nn.Module], float]] = {
    BARE: (Bare, DEFAULTS.learning_rate),
    JOINED: (Network, DEFAULTS.attention_rate),
    EVEN: (Network, DEFAULTS.learning_rate),
    "joined, equal attention": (Averaged, DEFAULTS.learning_rate),
    "added to the log odds": (Added, DEFAULTS.attention_rate),
    "attention alone": (Alone, DEFAULTS.attention_rate),
}


class _Judged(NamedTuple):
    """Rank correlations (n_seeds, n_bars), and bars attended to, a number a network."""

    daily: Floats
    effective_bars: list[float]


def study() -> dict[str, dict[str, Any]]:
    """Give each form's mean rank correlation over folds and seeds, and its distance from none."""
    folds = [_fold(begin, end) for begin, end in JUDGED]
    joined = {form: np.concatenate([of[form].daily for of in folds], axis=1) for form in FORMS}
    n_bars = joined[BARE].shape[1]
    counts = measures.block_counts(n_bars, block_bars=BLOCK_BARS, n_draws=N_DRAWS, seed=7)
    rows = {}
    for form, by_seed in joined.items():
        mean, base = by_seed.mean(axis=0), joined[BARE].mean(axis=0)
        rows[form] = {
            "rank_ic": round(float(mean.mean()), 4),
            "rank_ic_interval": _interval(counts, mean),
            "least_seed": round(float(by_seed.mean(axis=1).min()), 4),
            "most_seed": round(float(by_seed.mean(axis=1).max()), 4),
            "less_none": round(float((mean - base).mean()), 4),
            "less_none_interval": _interval(counts, mean - base),
            "effective_bars": _mean([bars for of in folds for bars in of[form].effective_bars]),
        }
    return rows


def _fold(begin: str, end: str) -> dict[str, _Judged]:
    """Train every form with every seed, and judge it."""
    panel = panels()[STOCKS]
    at = [np.datetime64(date, "ns").astype(np.int64) for date in (begin, end)]
    split = cut(*(int(edge) for edge in np.searchsorted(panel.times, at)))
    lessons = lessons_of(panel, split, seed=0)
    prepared = fitting.prepare(lessons, split)
    judged = fitting.prepare(lessons, Split(split.training, split.held_back, split.held_back))
    given = (judged.validation.inputs, *judged.validation.windows(judged.past))
    chosen = usable_rows(lessons)[split.held_back]
    probabilities = lessons.probabilities[split.held_back]
    returns = lessons.next_returns[split.held_back]
    found = {}
    for form, (make, rate) in FORMS.items():
        series, bars = [], []
        for seed in SEEDS:
            logits = np.full((*chosen.shape, len(REGIMES)), np.nan)
            with fitting.reproducible(seed):
                for k in range(len(REGIMES)):
                    network = make(lessons.features.shape[2])
                    settings = replace(DEFAULTS, attention_rate=rate)
                    fitting.trained(network, prepared, k, lambda _share: None, settings)
                    with torch.no_grad():
                        logits[chosen, k] = network(*given).numpy()
                        bars += _effective_bars(network, given)
            series.append(quality.rank_correlations((logits * probabilities).sum(axis=2), returns))
        found[form] = _Judged(np.stack(series), bars)
    return found


def _effective_bars(network: nn.Module, given: tuple[torch.Tensor, ...]) -> list[float]:
    """Exponentiate the entropy of the attention: 16 bars if equal, 1 if on one bar."""
    attention = getattr(network, "attention", None)
    if attention is None or isinstance(network, Averaged):
        return []
    weights = attention.weights(*given)
    entropy = -(weights * weights.clamp_min(1e-300).log()).sum(dim=1)
    return [float(entropy.exp().mean())]


def _mean(values: list[float]) -> float | None:
    return round(float(np.mean(values)), 1) if values else None


def _interval(counts: Floats, series: Floats) -> tuple[float, float]:
    low, high = measures.interval(counts @ series / len(series))
    return round(low, 4), round(high, 4)
