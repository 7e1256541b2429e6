"""Walk forward with the specialists: fitted and calibrated on the past, reported behind it."""

import time
from functools import cache
from typing import NamedTuple

import numpy as np

from models import simplex
from models.prediction import calibration, quality
from models.regime import mixture, posterior
from models.regime.posterior import REGIMES
from models.specialists import fitting, serving, window
from models.specialists.settings import DEFAULTS
from models.specialists.split import Split
from tests.evidence.regime_data import COLUMNS, Floats
from tests.evidence.specialist_data import Panel, folds, panels

SPECIALISTS, RIDGE = "specialists", "ridge"
RIDGE_LOOSE, RIDGE_RANKS = "ridge, penalty 1", "ridge on ranks, penalty 1"
PEERS = (RIDGE, RIDGE_LOOSE, RIDGE_RANKS)
EQUAL = "specialists, equal weights"
RIDGE_PENALTIES = (1.0, 1e2, 1e4)


class Arm(NamedTuple):
    """What one model says about one stretch: (n_bars, n_symbols), NaN without a say."""

    logits: Floats
    probabilities: Floats


class Fold(NamedTuple):
    """One fold of one market with one seed.

    ``times`` (n_bars,), ``returns`` (n_bars, n_symbols) of the reported stretch; ``attention``
    (3, 16) is its mean over rows, ``effective_bars`` (3,) the mean exponential of its entropy;
    ``n_training`` counts the rows learnt from, ``fit_s`` is the networks' processor time.
    """

    times: np.ndarray
    returns: Floats
    arms: dict[str, Arm]
    attention: Floats
    effective_bars: Floats
    n_training: int
    fit_s: float


@cache
def walk(name: str, seed: int) -> list[Fold]:
    """Fit and follow every fold of a market, once."""
    panel = panels()[name]
    return [follow(panel, split, seed) for split in folds(panel)]


def follow(panel: Panel, split: Split, seed: int) -> Fold:
    """Fit on a fold's past as the product does, and score the stretch behind it."""
    lessons = lessons_of(panel, split, seed)
    started = time.thread_time()
    specialists = fitting.fit(lessons, split=split, seed=seed, progress=_ignore)
    fit_s = time.thread_time() - started
    scores, attention, effective_bars = _scored(specialists, lessons, split)
    direction = np.sign(lessons.next_returns)
    places = quality.ranks(lessons.next_returns)
    middle = 0.5 * (1 + np.isfinite(places).sum(axis=1, keepdims=True))
    said = {
        SPECIALISTS: _blended(scores, lessons.probabilities),
        EQUAL: _blended(scores, np.full(scores.shape, 1.0 / len(REGIMES))),
        **{name: scores[..., k] for k, name in enumerate(REGIMES)},
        RIDGE: _ridge(lessons, split, direction, RIDGE_PENALTIES),
        RIDGE_LOOSE: _ridge(lessons, split, direction, RIDGE_PENALTIES[:1]),
        RIDGE_RANKS: _ridge(lessons, split, places - middle, RIDGE_PENALTIES[:1]),
    }
    reported = split.held_back
    return Fold(
        times=panel.times[reported],
        returns=lessons.next_returns[reported],
        arms={arm: calibrated(logits, lessons, split) for arm, logits in said.items()},
        attention=attention,
        effective_bars=effective_bars,
        n_training=int(usable_rows(lessons)[split.training].sum()),
        fit_s=fit_s,
    )


def lessons_of(panel: Panel, split: Split, seed: int) -> fitting.Lessons:
    """Fit the regimes on the training stretch and fold them up to the stretch's end."""
    until = split.held_back.stop
    features, close = panel.features[:until], panel.close[:until]
    model = mixture.fit(features[split.training], columns=COLUMNS, seed=seed)
    present = np.isfinite(close)
    probabilities = np.full((*close.shape, len(REGIMES)), np.nan)
    state = posterior.initial_state(close.shape[1])
    for bar in range(until):
        rows = np.flatnonzero(present[bar])
        state, regime = posterior.step(model, state, rows, features[bar, rows])
        probabilities[bar, rows] = regime[:, :3]
    return fitting.Lessons(features, panel.next_returns()[:until], probabilities, present)


def usable_rows(lessons: fitting.Lessons) -> np.ndarray:
    """Mark the rows with all features, a bar and a known next return."""
    complete: np.ndarray = np.isfinite(lessons.features).all(axis=2)
    return complete & lessons.present & np.isfinite(lessons.next_returns)


def calibrated(logits: Floats, lessons: fitting.Lessons, split: Split) -> Arm:
    """Scale log odds by the validation stretch (Platt), and give those of the reported one."""
    moves = lessons.next_returns[split.validation]
    known = np.isfinite(logits[split.validation]) & np.isfinite(moves)
    labels = 0.5 + 0.5 * np.sign(moves[known])
    slope, intercept = calibration.fit(logits[split.validation][known], labels)
    reported = logits[split.held_back]
    return Arm(reported, simplex.sigmoid(slope * reported + intercept))


def rank_correlations(fold: Fold, arm: str) -> Floats:
    """Give the rank correlation of each reported bar."""
    return quality.rank_correlations(fold.arms[arm].logits, fold.returns)


def _scored(
    specialists: serving.Specialists, lessons: fitting.Lessons, split: Split
) -> tuple[Floats, Floats, Floats]:
    """Fold the specialists over validation and report, after a window's run-up."""
    n_bars, n_symbols = lessons.present.shape
    scores = np.full((n_bars, n_symbols, len(REGIMES)), np.nan)
    looked: list[Floats] = []
    state = window.initial_state(n_symbols)
    for bar in range(split.validation.start - window.LENGTH_BARS, n_bars):
        rows = np.flatnonzero(lessons.present[bar])
        features = lessons.features[bar, rows]
        state, windows = window.step(state, rows, features)
        scores[bar, rows], attention = serving.attend(specialists, features, windows)
        if bar >= split.held_back.start:
            looked.append(attention[np.isfinite(attention[:, 0, 0])])
    every = np.concatenate(looked)
    entropy = -(every * np.log(np.maximum(every, 1e-300))).sum(axis=2)
    return scores, every.mean(axis=0), np.exp(entropy).mean(axis=0)


def _ridge(
    lessons: fitting.Lessons, split: Split, labels: Floats, penalties: tuple[float, ...]
) -> Floats:
    """Regress labels on the same inputs; the penalty with most skill on validation wins."""
    usable = usable_rows(lessons)
    known = lessons.features[split.training][usable[split.training]]
    mean, spread = known.mean(axis=0), known.std(axis=0)
    scale = np.where(spread > fitting.CONSTANT * np.abs(mean), spread, 1.0)
    inputs = serving.standardised(lessons.features, mean, scale, DEFAULTS.clip)
    design, target = (part[split.training][usable[split.training]] for part in (inputs, labels))
    centre = design.mean(axis=0)
    centred = design - centre
    gram, moment = centred.T @ centred, centred.T @ (target - target.mean())
    valid = usable[split.validation]
    best, best_skill = np.zeros(len(mean)), -np.inf
    for penalty in penalties:
        weights = np.linalg.solve(gram + penalty * np.eye(len(mean)), moment)
        said = inputs[split.validation][valid] @ weights
        skill = float(np.corrcoef(said, labels[split.validation][valid])[0, 1])
        if skill > best_skill:
            best, best_skill = weights, skill
    logits: Floats = (inputs - centre) @ best
    return logits


def _blended(scores: Floats, weights: Floats) -> Floats:
    blended: Floats = (scores * weights).sum(axis=2)
    return blended


def _ignore(_stage: str, _share: float) -> None:
    """Take a progress report and do nothing."""
