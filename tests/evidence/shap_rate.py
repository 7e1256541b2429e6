"""``shap-rate``: explanations per second and core, beside shap's own explainers of the same model.

The model is fitted on a synthetic market by the code that fits all models, nine networks. All
explain the calibrated log odds of the same rows with the same background, the mean of training.
Ours takes seven families, exactly, by the served code. shap's Permutation and Kernel explainers
take the 60 features and the past bars, with the numbers of evaluations that shap chooses, and its
Deep explainer the 60 features of the same networks in PyTorch. A residual is the largest difference
between base plus values and the served log odds. One core, in turns.
"""

import statistics
import warnings
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
import shap
import torch

from models.arrays import Floats
from models.features.catalogue import NAMES
from models.forensics.explanation import Explained, explain
from models.model_set import ModelSet
from models.specialists.network import imported
from models.specialists.serving import attend, standardised
from models.specialists.window import ATTENDED, COLUMNS, LENGTH_BARS
from streams.brokers import stack_home
from tables.stores.artifacts import Artifacts
from tests.evidence.bench import models as fitted
from tests.evidence.feature_speed import one_core
from tests.evidence.measurement import Measurement, Result

N_ROWS, ROUNDS = 200, 5
N_KERNEL, N_PERMUTATION, N_DEEP = 2, 10, 50
RATE, RESIDUAL = 200.0, 1e-6

_SEED = 20_260_105

Rows = list[tuple[Floats, Floats, Floats]]


def rows_of(models: ModelSet) -> Rows:
    """Draw standardised rows with their windows, around the training rows' mean."""
    draw = np.random.default_rng(_SEED)
    mean, scale = models.specialists.mean, models.specialists.scale
    made = []
    for _ in range(N_ROWS):
        features = mean + scale * draw.normal(size=len(NAMES))
        drawn = draw.normal(size=(LENGTH_BARS, len(ATTENDED)))
        window = mean[COLUMNS] + scale[COLUMNS] * drawn
        window[-1] = features[COLUMNS]
        made.append((features, window, draw.dirichlet(np.ones(3))))
    return made


def logits(models: ModelSet, features: Floats, windows: Floats, weights: Floats) -> Floats:
    """Ask the served networks."""
    scores, _ = attend(models.specialists, features, windows)
    return models.ensemble.slope * (scores @ weights) + models.ensemble.intercept


def ours(models: ModelSet, rows: Rows) -> list[float]:
    """Explain rows; return residuals against what serving says about them."""
    told: list[Explained] = [explain(models, *row) for row in rows]
    return [
        each.families.residual(float(logits(models, row[0][None], row[1][None], row[2])[0]))
        for each, row in zip(told, rows, strict=True)
    ]


def by_shap(models: ModelSet, rows: Rows, make: Callable[..., Any], **asked: Any) -> list[float]:  # noqa: ANN401  arguments of shap
    """Explain rows with an explainer that asks a function; return residuals."""
    mean = models.specialists.mean
    missed = []
    for features, window, weights in rows:

        def ask(switched: Floats, window: Floats = window, weights: Floats = weights) -> Floats:
            windows = np.repeat(window[None], len(switched), axis=0)
            gone = switched[:, -1] < 0.5
            windows[gone, :-1] = mean[COLUMNS]
            windows[:, -1] = switched[:, COLUMNS]
            return logits(models, switched[:, :-1], windows, weights)

        background = np.append(mean, 0.0)[None]
        row = np.append(features, 1.0)[None]
        base, values = make(ask, background, row, **asked)
        missed.append(base + float(np.sum(values)) - float(ask(row)[0]))
    return missed


def permutation(ask: Any, background: Floats, row: Floats) -> tuple[float, Floats]:  # noqa: ANN401  of shap
    """Use shap's Permutation explainer as it comes."""
    explainer = shap.explainers.Permutation(ask, shap.maskers.Independent(background))
    told = explainer(row, silent=True)
    return float(told.base_values[0]), told.values[0]


def kernel(ask: Any, background: Floats, row: Floats) -> tuple[float, Floats]:  # noqa: ANN401  of shap
    """Use shap's Kernel explainer as it comes."""
    explainer = shap.KernelExplainer(ask, background)
    values = explainer.shap_values(row, silent=True)
    return float(explainer.expected_value), np.asarray(values)[0]


class _Ensemble(torch.nn.Module):
    """The served function of one row's features in PyTorch; the bars before it are held."""

    def __init__(self, models: ModelSet, window: Floats, weights: Floats) -> None:
        super().__init__()
        self.networks = torch.nn.ModuleList(
            network for regime in range(3) for network in imported(models.specialists, regime)
        )
        self.models, self.weights = models, weights
        specialists = models.specialists
        self.past = torch.tensor(
            standardised(
                window, specialists.mean[COLUMNS], specialists.scale[COLUMNS], specialists.clip
            )
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map standardised features to log odds."""
        past = torch.cat(
            [self.past[None, :-1].expand(len(inputs), -1, -1), inputs[:, None, COLUMNS]], dim=1
        )
        seen = torch.ones(past.shape[:2], dtype=torch.bool)
        scores = [network(inputs, past, seen) for network in self.networks]
        n_members = len(scores) // 3
        blended = sum(
            float(self.weights[at // n_members]) / n_members * score
            for at, score in enumerate(scores)
        )
        ensemble = self.models.ensemble
        return (ensemble.slope * blended + ensemble.intercept)[:, None]


def deep(models: ModelSet, rows: Rows) -> list[float]:
    """Use shap's Deep explainer on the networks in PyTorch; return residuals."""
    specialists = models.specialists
    missed = []
    for features, window, weights in rows:
        network = _Ensemble(models, window, weights)
        inputs = torch.tensor(
            standardised(features, specialists.mean, specialists.scale, specialists.clip)
        )[None]
        explainer = shap.DeepExplainer(network, torch.zeros_like(inputs))
        values = explainer.shap_values(inputs, check_additivity=False)
        base = float(np.ravel(explainer.expected_value)[0])
        with torch.no_grad():
            said = float(network(inputs)[0, 0])
        missed.append(base + float(np.sum(values)) - said)
    return missed


def measure() -> Result:
    """Take turns; rates are by the CPU time of this process on one core."""
    models = Artifacts(stack_home("evidence") / "artifacts").load_models(
        fitted(stack_home("evidence"))
    )
    rows = rows_of(models)
    ways: dict[str, tuple[int, Callable[[Rows], list[float]]]] = {
        "ours": (N_ROWS, lambda some: ours(models, some)),
        "permutation": (N_PERMUTATION, lambda some: by_shap(models, some, permutation)),
        "kernel": (N_KERNEL, lambda some: by_shap(models, some, kernel)),
        "deep": (N_DEEP, lambda some: deep(models, some)),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    worst: dict[str, float] = dict.fromkeys(ways, 0.0)
    torch.set_num_threads(1)
    with one_core(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for turn in range(ROUNDS + 1):
            for name, (n_rows, way) in ways.items():
                began_s = process_time()
                missed = way(rows[:n_rows])
                took_s = process_time() - began_s
                worst[name] = max(worst[name], *(abs(each) for each in missed))
                if turn:  # the first one compiles
                    rates[name].append(n_rows / took_s)
    rate = statistics.median(rates["ours"])
    parts: dict[str, Any] = {}
    for name in ways:
        parts[f"{name}_rows_per_s"] = round(statistics.median(rates[name]), 2)
        parts[f"{name}_residual_max"] = float(f"{worst[name]:.2e}")
    best = max(statistics.median(rates[name]) for name in ways if name != "ours")
    parts["networks"] = len(models.specialists.biases_3)
    return Result(
        round(rate, 1),
        rate >= RATE and worst["ours"] <= RESIDUAL,
        N_ROWS * ROUNDS,
        parts,
        "shap's fastest explainer on the same rows",
        round(rate / best, 2),
    )


SHAP_RATE = Measurement(
    "shap-rate",
    "explained rows per second and core",
    f">= {RATE:g} at a residual of at most {RESIDUAL:g}",
    2,
    measure,
)
