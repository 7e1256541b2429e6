"""Streams on which networks go on learning: two crises of real markets, and planted drift.

A stream is a history, networks fitted on its early bars, and the bars of the stream, one a day. At
each bar the networks may learn from the window whose labels are known by then, and are judged on
the bar's own label afterwards: the log loss of the probability that would be served, with the
regime probabilities as weights and the calibration of the fit.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from models import simplex
from models.learning import update as updating
from models.learning.settings import Settings
from models.prediction import calibration
from models.specialists import fitting, serving, window
from models.specialists.fitting import Lessons, Samples, Scaled
from models.specialists.serving import Specialists
from models.specialists.settings import OF_HALVES
from models.specialists.split import Split
from tests.evidence.regime_data import Floats
from tests.evidence.specialist_data import STOCKS, cut, panels
from tests.evidence.specialist_walk import lessons_of

# A window of 60 days has 42 daily bars.
BARS_A_WEEK, DAYS_A_WEEK = 5, 7
CRISES = {"2007-2009": ("2007-01-01", "2010-01-01"), "2019-2020": ("2019-01-01", "2021-01-01")}

# The planted world: bars to fit on and to calibrate by, old bars to ask about forgetting, the
# stream, and the bar of the stream at which the rule turns.
FITTED, VALIDATED, OLD, STREAMED, DRIFT_AT = 400, 100, 100, 180, 60
N_SYMBOLS, N_FEATURES, TURN, EDGE = 20, 60, np.pi / 3.0, 1.5

Window = Callable[["Stream", int], Samples]


class Stream(NamedTuple):
    """A history that goes on behind what the networks were fitted on.

    ``windows`` (n_bars, n_symbols, 16, 8) is what their attention sees; ``old`` are bars of before
    the stream that nothing was fitted on, to ask what was forgotten.
    """

    name: str
    scaled: Scaled
    windows: Floats
    base: updating.Base
    platt: tuple[float, float]
    bars: range
    old: range
    training: slice

    def loss(self, specialists: Specialists, bars: range) -> Floats:
        """Mean log loss of each bar's symbols, in nats; (n_bars,)."""
        features, returns, probabilities, present = self.scaled.lessons
        losses = np.empty(len(bars))
        for at, bar in enumerate(bars):
            rows = np.flatnonzero(present[bar] & np.isfinite(returns[bar]))
            scores, _ = serving.attend(specialists, features[bar, rows], self.windows[bar, rows])
            losses[at] = _loss(scores, probabilities[bar, rows], returns[bar, rows], self.platt)
        return losses

    def probabilities(self, specialists: Specialists, bars: range) -> Floats:
        """Give the probability that each symbol rises, as served; (n_bars, n_symbols)."""
        features, _, weights, present = self.scaled.lessons
        up = np.full((len(bars), present.shape[1]), np.nan)
        for at, bar in enumerate(bars):
            rows = np.flatnonzero(present[bar])
            scores, _ = serving.attend(specialists, features[bar, rows], self.windows[bar, rows])
            blended = (scores * weights[bar, rows]).sum(axis=1)
            up[at, rows] = simplex.sigmoid(self.platt[0] * blended + self.platt[1])
        return up


class Followed(NamedTuple):
    """How an arm did: loss by bar, loss on old bars at the end, and how far it went."""

    losses: Floats
    old_loss: float
    from_base_fraction: float


def follow(stream: Stream, settings: Settings, base: updating.Base, replayed: bool) -> Followed:  # noqa: FBT001  an arm's form
    """Learn day by day, and judge each day before its label is learned from."""
    now, losses, moved = stream.base.specialists, [], 0.0
    n_window = settings.window_days * BARS_A_WEEK // DAYS_A_WEEK
    for number, bar in enumerate(stream.bars):
        samples = stream.scaled.samples(slice(bar - n_window, bar))
        if replayed:
            samples = _with_old(stream, samples, number)
        made = updating.update(
            now, base, (stream.scaled.past, samples), settings=settings, seed=number
        )
        now, moved = made.specialists, made.from_base_fraction
        losses.append(stream.loss(now, range(bar, bar + 1))[0])
    return Followed(np.array(losses), float(stream.loss(now, stream.old).mean()), moved)


def static(stream: Stream) -> Followed:
    """Stay as fitted."""
    specialists = stream.base.specialists
    return Followed(
        stream.loss(specialists, stream.bars),
        float(stream.loss(specialists, stream.old).mean()),
        0.0,
    )


def level(base: updating.Base) -> updating.Base:
    """Hold every weight alike: what L2 does in place of elastic weight consolidation."""
    fields = base.information._asdict()
    kept = ("mean", "scale", "clip")
    alike = {name: np.ones_like(fields[name]) for name in fields if name not in kept}
    return base._replace(information=base.information._replace(**alike))


@cache
def crisis(name: str) -> Stream:
    """Fit on the years before a crisis of the 20 stocks, and go on through it."""
    panel = panels()[STOCKS]
    begin, end = (
        int(np.searchsorted(panel.times, np.datetime64(day, "ns").astype(np.int64)))
        for day in CRISES[name]
    )
    split = cut(begin, end)
    lessons = lessons_of(panel, split, seed=0)
    return _stream(f"real {name}", lessons, split, split.validation, range(begin, end))


@cache
def planted(seed: int) -> Stream:
    """Plant a rule that turns by sixty degrees on the stream's sixtieth day."""
    draw = np.random.default_rng(seed)
    n_bars = FITTED + VALIDATED + OLD + STREAMED
    features = draw.standard_normal((n_bars, N_SYMBOLS, N_FEATURES))
    rule, other = np.linalg.qr(draw.standard_normal((N_FEATURES, 2)))[0].T
    turned = np.cos(TURN) * rule + np.sin(TURN) * other
    begin = FITTED + VALIDATED + OLD
    log_odds = EDGE * (features @ rule)
    log_odds[begin + DRIFT_AT :] = EDGE * (features[begin + DRIFT_AT :] @ turned)
    rises = draw.random(log_odds.shape) < simplex.sigmoid(log_odds)
    probabilities = draw.dirichlet(np.ones(3), log_odds.shape)
    present = np.ones(log_odds.shape, np.bool_)
    lessons = Lessons(features, np.where(rises, 0.01, -0.01), probabilities, present)
    split = Split(
        slice(0, FITTED), slice(FITTED, FITTED + VALIDATED), slice(FITTED + VALIDATED, begin)
    )
    return _stream(f"planted {seed}", lessons, split, split.held_back, range(begin, n_bars))


def _stream(name: str, lessons: Lessons, split: Split, old: slice, bars: range) -> Stream:
    fitted = fitting.fit(
        lessons, split=split, seed=0, progress=lambda *_: None, settings=replace(OF_HALVES)
    )
    scaled = Scaled.of(lessons, fitted.mean, fitted.scale, fitted.clip)
    information = updating.information(fitted, scaled.past, scaled.samples(split.training))
    stream = Stream(
        name,
        scaled,
        _windows(lessons),
        updating.Base(fitted, information),
        (1.0, 0.0),
        bars,
        range(old.start, old.stop),
        split.training,
    )
    return stream._replace(platt=_calibrated(stream, split.validation))


def _windows(lessons: Lessons) -> Floats:
    bars, ends = window.unrolled(lessons.features, lessons.present)
    rows = ends[..., None] + np.arange(1 - window.LENGTH_BARS, 1)
    return np.where(lessons.present[..., None, None], bars[rows], np.nan)


def _calibrated(stream: Stream, part: slice) -> tuple[float, float]:
    features, returns, probabilities, present = stream.scaled.lessons
    logits, labels = [], []
    for bar in range(part.start, part.stop):
        rows = np.flatnonzero(present[bar] & np.isfinite(returns[bar]))
        scores, _ = serving.attend(
            stream.base.specialists, features[bar, rows], stream.windows[bar, rows]
        )
        blended = (scores * probabilities[bar, rows]).sum(axis=1)
        known = np.isfinite(blended)
        logits.append(blended[known])
        labels.append(0.5 + 0.5 * np.sign(returns[bar, rows][known]))
    return calibration.fit(np.concatenate(logits), np.concatenate(labels))


def _loss(
    scores: Floats, probabilities: Floats, returns: Floats, platt: tuple[float, float]
) -> float:
    logits = platt[0] * (scores * probabilities).sum(axis=1) + platt[1]
    known = np.isfinite(logits)
    labels = 0.5 + 0.5 * np.sign(returns[known])
    return float((np.logaddexp(0.0, logits[known]) - labels * logits[known]).mean())


def _with_old(stream: Stream, samples: Samples, number: int) -> Samples:
    """Join as many rows of the training stretch, drawn anew each day."""
    every = _training(stream)
    draw = np.random.default_rng(number)
    chosen = torch.from_numpy(draw.integers(0, len(every.labels), len(samples.labels)))
    return Samples(
        *(torch.cat([new, old[chosen]]) for new, old in zip(samples, every, strict=True))
    )


_TRAINING: dict[str, Samples] = {}


def _training(stream: Stream) -> Samples:
    if stream.name not in _TRAINING:
        _TRAINING[stream.name] = stream.scaled.samples(stream.training)
    return _TRAINING[stream.name]
