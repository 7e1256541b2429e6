"""Fit everything that decides, from one history of bars.

The same ``step`` functions that serve live are folded over the history here, so what a specialist
or the calibration learns from is what it will see. The last stretch of bars is held back: nothing
is fitted or chosen on it, and the metrics say how the models do there.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from models.arrays import Floats, Indices
from models.errors import HistoryTooShort
from models.features import catalogue
from models.history import BarHistory, next_returns
from models.model_set import ModelSet
from models.prediction import calibration, ensemble, quality
from models.prediction.ensemble import EnsembleModel
from models.prepared import Prepared
from models.recipe import FIT_VERSION, config
from models.regime import mixture, posterior, succession
from models.regime.mixture_settings import FEATURES
from models.regime.posterior import RegimeModel
from models.regime.succession import Predecessor, Succession
from models.specialists import fitting, serving, window
from models.specialists import split as splitting
from models.specialists.serving import Specialists
from models.specialists.settings import OF_HALVES
from models.weights import choice, controller, episodes, policy_gradient
from models.weights.controller import ControllerModel

Part = TypeVar("Part")


class Material(NamedTuple):
    """What the fits share.

    Attributes
    ----------
    close : (n_bars, n_symbols)
        NaN where no bar is.
    features : (n_bars, n_symbols, F)
    next_returns : (n_bars, n_symbols)
    parts : Split
    """

    close: Floats
    features: Floats
    next_returns: Floats
    parts: splitting.Split

    def rows(self, bar: int) -> Indices:
        """List the symbols that have this bar."""
        return np.flatnonzero(np.isfinite(self.close[bar]))


class Keep(Protocol):
    """Returns a part that was fitted before, or makes it and keeps it."""

    def __call__(self, name: str, kind: type[Part], make: Callable[[], Part]) -> Part:
        """Return the part called ``name``."""
        ...


def made(name: str, kind: type[Part], make: Callable[[], Part]) -> Part:
    """Keep nothing: make the part."""
    del name, kind
    return make()


def fit(
    prepared: Prepared,
    *,
    timeframe: str,
    seed: int,
    progress: Callable[[str, float], None],
    keep: Keep = made,
    previous: Predecessor | None = None,
) -> ModelSet:
    """Fit regimes, specialists, controller and calibration, and measure them.

    Parameters
    ----------
    prepared : Prepared
        Bars and their features.
    timeframe : str
        Kept in the metadata; a bar is a bar.
    seed : int
        The same seed and history give the same models, byte for byte, on one machine.
    progress : callable
        Called with the stage's name and its finished share in [0, 1].
    keep : Keep
        Asked for the parts that take long, so that an interrupted fit goes on where it was.
    previous : Predecessor, optional
        The regimes of an earlier set, which those of this one succeed under the same names.

    Returns
    -------
    ModelSet
        ``metadata["metrics"]`` has a row each for ``validation`` (used to stop and to calibrate, so
        it flatters) and ``held_back``.

    Raises
    ------
    HistoryTooShort
        Saying how many bars are missing.
    NotFitted
        If no price moves in a stretch.
    """
    history = prepared.history
    material = _material(prepared)
    progress("regime", 0.0)
    regimes = _regime_model(history, material, seed, keep, previous)
    regime = _regimes(regimes.model, material)
    progress("regime", 1.0)
    lessons = fitting.Lessons(
        material.features, material.next_returns, regime[..., :3], np.isfinite(material.close)
    )
    learn = partial(fitting.fit, lessons, seed=seed)
    specialists = keep(
        "specialists", Specialists, partial(learn, split=material.parts, progress=progress)
    )
    halves = _halves(learn, material.parts, progress, keep)
    scores = _scores(specialists, halves, material, progress)
    chosen = _controller(material, regime, scores, seed, progress)
    controller_model = chosen.model
    progress("ensemble", 0.0)
    weights = _weights(controller_model, material, regime, scores)
    ensemble_model = _ensemble(material, scores, weights)
    metrics = _metrics(ensemble_model, material, scores, weights)
    progress("ensemble", 1.0)
    metadata = {
        "timeframe": timeframe,
        "pipeline_version": catalogue.PIPELINE_VERSION,
        "pipeline_digest": catalogue.pipeline_digest(),
        "symbols": list(history.symbols),
        "first_close_ns": int(history.close_ns[0]),
        "last_close_ns": int(history.close_ns[-1]),
        "seed": seed,
        "fit_version": FIT_VERSION,
        "code": None,
        "previous": previous.digest if previous else None,
        "succession": regimes.record(),
        "stretches": _stretches(history, material.parts),
        "config": config(),
        "controller": chosen.report,
        "series": episodes.series(chosen.episodes, policy_gradient.DEFAULTS.episodes),
        "metrics": metrics,
    }
    return ModelSet(regimes.model, specialists, controller_model, ensemble_model, metadata)


def _material(prepared: Prepared) -> Material:
    history, features = prepared
    usable = np.flatnonzero(np.any(np.all(np.isfinite(features), axis=2), axis=1))
    if len(usable) == 0:
        raise HistoryTooShort(
            f"no symbol has the {catalogue.WARMUP_BARS} bars that the features need, "
            f"was {int(np.isfinite(history.close).sum(axis=0).max(initial=0))} at most"
        )
    parts = splitting.split(int(usable[0]), len(history.close_ns))
    returns = next_returns(history)
    fitting.check_moves("training", returns[parts.training])
    fitting.check_moves("validation", returns[parts.validation])
    for half in splitting.halves(parts.training):
        fitting.check_moves("half training", returns[half.training])
    return Material(history.close, features, returns, parts)


def _regime_model(
    history: BarHistory,
    material: Material,
    seed: int,
    keep: Keep,
    previous: Predecessor | None,
) -> Succession:
    part = material.parts.training
    bars = succession.Bars(history.symbols, history.close_ns[part], material.features[part])
    columns = np.array([catalogue.NAMES.index(name) for name in FEATURES], np.int64)

    def refit(start: RegimeModel | None) -> RegimeModel:
        fit_it = partial(mixture.fit, bars.features, columns=columns, seed=seed, previous=start)
        return keep("regime", RegimeModel, fit_it)

    return succession.succeed(previous, bars, refit)


def _regimes(model: RegimeModel, material: Material) -> Floats:
    n_bars, n_symbols = material.close.shape
    regime = np.full((n_bars, n_symbols, len(posterior.REGIMES) + 1), np.nan)
    state = posterior.initial_state(n_symbols)
    for bar in range(n_bars):
        rows = material.rows(bar)
        state, regime[bar, rows] = posterior.step(model, state, rows, material.features[bar, rows])
    return regime


def _halves(
    learn: Callable[..., Specialists],
    parts: splitting.Split,
    progress: Callable[[str, float], None],
    keep: Keep,
) -> list[tuple[slice, Specialists]]:
    """Give each half of the training bars networks that have not seen it.

    The validation bars stop them as they stop those that serve: no half lies there.
    """
    halves = splitting.halves(parts.training)

    def told(number: int, regime: str, share: float) -> None:
        done = (posterior.REGIMES.index(regime) + share) / len(posterior.REGIMES)
        progress("halves", (number + done) / len(halves))

    return [
        (
            half.scored,
            keep(
                f"half_{number}",
                Specialists,
                partial(
                    learn,
                    split=parts._replace(training=half.training),
                    progress=partial(told, number),
                    settings=OF_HALVES,
                ),
            ),
        )
        for number, half in enumerate(halves)
    ]


def _scores(
    specialists: Specialists,
    halves: list[tuple[slice, Specialists]],
    material: Material,
    progress: Callable[[str, float], None],
) -> Floats:
    """Score every bar by networks that were not fitted on it.

    What learns from scores, or is measured on them, would take skill for granted that the networks
    have on their own training bars only.
    """
    n_bars, n_symbols = material.close.shape
    scorers = [specialists] * n_bars
    for scored, networks in halves:
        scorers[scored] = [networks] * (scored.stop - scored.start)
    scores = np.full((n_bars, n_symbols, len(posterior.REGIMES)), np.nan)
    state = window.initial_state(n_symbols)
    progress("scores", 0.0)
    for bar, scorer in enumerate(scorers):
        rows = material.rows(bar)
        state, scores[bar, rows] = serving.step(scorer, state, rows, material.features[bar, rows])
    progress("scores", 1.0)
    return scores


def _controller(
    material: Material,
    regime: Floats,
    scores: Floats,
    seed: int,
    progress: Callable[[str, float], None],
) -> choice.Choice:
    """Train the controller on the books that the specialists would hold alone, without shorts.

    The bets are calibrated and sized on the training bars: the validation bars are kept for the
    choice between the learned controller and Hedge.
    """
    progress("controller", 0.0)
    parts = material.parts
    early = material._replace(parts=parts._replace(validation=parts.training))
    model = _ensemble(early, scores, np.full(scores.shape, 1.0 / scores.shape[2]))
    features = material.features.reshape(-1, material.features.shape[2])
    rows = scores.reshape(-1, scores.shape[2])
    alone = [
        ensemble.predict(model, features, rows, np.tile(vertex, (len(rows), 1)))[2]
        for vertex in np.eye(scores.shape[2])
    ]
    positions = np.maximum(np.stack(alone, axis=1), 0.0).reshape(scores.shape)
    past = choice.Past(regime, scores, material.close, positions, material.next_returns)
    return choice.fit(
        past,
        parts.training,
        parts.validation,
        seed=seed,
        progress=lambda share: progress("controller", share),
    )


def _weights(model: ControllerModel, material: Material, regime: Floats, scores: Floats) -> Floats:
    weights = np.full(scores.shape, np.nan)
    state = controller.initial_state(material.close.shape[1])
    for bar in range(len(weights)):
        rows = material.rows(bar)
        state, weights[bar, rows] = controller.step(
            model, state, rows, regime[bar, rows], scores[bar, rows], material.close[bar, rows]
        )
    return weights


def _ensemble(material: Material, scores: Floats, weights: Floats) -> EnsembleModel:
    part = material.parts.validation
    blended = ensemble.blend(scores[part].reshape(-1, 3), weights[part].reshape(-1, 3))
    moves = material.next_returns[part].reshape(-1)
    known = np.isfinite(blended) & np.isfinite(moves)
    slope, intercept = calibration.fit(blended[known], 0.5 + 0.5 * np.sign(moves[known]))
    column = catalogue.NAMES.index("volatility_21")
    volatility = material.features[material.parts.training][..., column].ravel()
    moves = material.next_returns[material.parts.training].ravel()
    known = np.isfinite(volatility) & np.isfinite(moves)
    volatility, moves = volatility[known], moves[known]
    unsized = EnsembleModel(
        slope=slope,
        intercept=intercept,
        volatility_column=column,
        volatility_scale=math.sqrt(float((moves**2).sum() / (volatility**2).sum())),
        move_scale=float(np.abs(moves).sum() / volatility.sum()),
        kelly_fraction=1.0,
        max_target_fraction=math.inf,
    )
    return _sized(unsized, material, scores, weights)


def _sized(
    unsized: EnsembleModel, material: Material, scores: Floats, weights: Floats
) -> EnsembleModel:
    """Choose the Kelly fraction at which the long bets of a bar add up to their budget.

    Kelly's formula sees one asset at a time; together the bets of many assets would be several
    times the equity, and the risk stage would refuse most of them.
    """
    part = material.parts.validation
    features = material.features[part]
    _, _, bets = ensemble.predict(
        unsized,
        features.reshape(-1, features.shape[-1]),
        scores[part].reshape(-1, 3),
        weights[part].reshape(-1, 3),
    )
    gross = np.nansum(np.maximum(bets, 0.0)) / max(len(features), 1)
    budget = min(ensemble.GROSS_BUDGET, ensemble.ASSET_BUDGET * features.shape[1])
    fraction = min(budget / gross, 1.0) if gross > 0.0 else 0.0
    return unsized._replace(
        kelly_fraction=float(fraction), max_target_fraction=ensemble.MAX_TARGET_FRACTION
    )


def _metrics(
    model: EnsembleModel, material: Material, scores: Floats, weights: Floats
) -> dict[str, dict[str, float | int | None]]:
    n_bars, n_symbols, n_features = material.features.shape
    _, up, _ = ensemble.predict(
        model,
        material.features.reshape(-1, n_features),
        scores.reshape(-1, 3),
        weights.reshape(-1, 3),
    )
    probabilities = up.reshape(n_bars, n_symbols)
    measured = {}
    for name in ("validation", "held_back"):
        part = getattr(material.parts, name)
        row = quality.measure(probabilities[part], material.next_returns[part])
        measured[name] = {
            metric: value if math.isfinite(value) else None for metric, value in row.items()
        }
    return measured


def _stretches(history: BarHistory, parts: splitting.Split) -> dict[str, dict[str, int]]:
    return {
        name: {
            "first_close_ns": int(history.close_ns[part][0]),
            "last_close_ns": int(history.close_ns[part][-1]),
            "n_bars": part.stop - part.start,
        }
        for name, part in parts._asdict().items()
    }
