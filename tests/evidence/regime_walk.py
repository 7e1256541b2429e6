"""Walk forward: every arm is fitted on the past only, and followed over the bars after it."""

from typing import NamedTuple

import numpy as np

from models import measures, simplex
from models.errors import LabelsUnaligned, NotFitted
from models.regime import alignment, hmm, jump, mixture, posterior, threshold
from tests.evidence.regime_data import COLUMNS, Floats, Market, features_of, first_usable

FIRST_FIT_BARS = 1_000
REFIT_BARS = 252
COST = 0.0005
BARS_PER_YEAR = 252
# Share of the asset held in bull, bear and sideways; the rest is cash.
HOLDINGS = np.array([1.0, 0.0, 0.5])

# Bars before a segment over which the arms with a memory find their state.
_RUN_UP_BARS = 252


class Walk(NamedTuple):
    """Probabilities of every arm, (n_bars, n_symbols, 3), NaN before the first fit."""

    market: Market
    start: int
    arms: dict[str, Floats]
    n_refused: int
    n_fits: int


def walk(market: Market, seed: int) -> Walk:
    """Refit once a year on all history so far, thinned, and follow each model for a year."""
    features = features_of(market.name)
    n_bars, n_symbols = market.close.shape
    start = first_usable() + FIRST_FIT_BARS
    empty = np.full((n_bars, n_symbols, len(posterior.REGIMES)), np.nan)
    raw, smoothed, anew, chain, jumps, cut = (empty.copy() for _ in range(6))
    model, state = None, posterior.initial_state(n_symbols)
    n_refused, n_fits = 0, 0
    for begin in range(start, n_bars, REFIT_BARS):
        past, end = features[:begin], min(begin + REFIT_BARS, n_bars)
        fitted = mixture.fit(past, columns=COLUMNS, seed=seed, previous=model)
        model, refused = served_after(model, fitted, past)
        n_refused, n_fits = n_refused + refused, n_fits + 1
        for bar in range(begin, end):
            raw[bar] = posterior.posterior(model, features[bar][:, COLUMNS])
            anew[bar] = posterior.posterior(fitted, features[bar][:, COLUMNS])
            rows = np.arange(n_symbols)
            state, regime = posterior.step(model, state, rows, features[bar])
            smoothed[bar] = regime[:, :3]
        window = features[begin - _RUN_UP_BARS : end]
        new = slice(_RUN_UP_BARS, None)
        states = hmm.fit(past, columns=COLUMNS, seed=seed)
        chain[begin:end] = hmm.filtered(states, window)[new]
        try:
            centres = jump.fit(past, columns=COLUMNS, seed=seed)
        except NotFitted:
            n_refused += 1
        jumps[begin:end] = jump.filtered(centres, window)[new]
        rule = threshold.fit(past, columns=COLUMNS)
        cut[begin:end] = threshold.filtered(rule, window)[new]
    arms = {
        "DPGMM argmax (hard)": hard(raw),
        "DPGMM posterior, raw": raw,
        "DPGMM posterior, smoothed": smoothed,
        "DPGMM smoothed, named anew": eased(anew, start),
        "HMM filtered argmax": hard(chain),
        "HMM filtered, smoothed": eased(chain, start),
        "jump model, online": jumps,
        "threshold rule": cut,
        "threshold rule, smoothed": eased(cut, start),
        "constant blend": np.where(np.isnan(raw), np.nan, 1.0 / 3.0),
    }
    return Walk(market, start, arms, n_refused, n_fits)


def served_after(
    model: posterior.RegimeModel | None, fitted: posterior.RegimeModel, past: Floats
) -> tuple[posterior.RegimeModel, bool]:
    """Give the refit the old names, or keep the old model if they cannot be carried."""
    if model is None:
        return fitted, False
    try:
        return alignment.align(model, fitted, overlap(past)).model, False
    except LabelsUnaligned:
        return model, True


def overlap(past: Floats, newest: int = REFIT_BARS) -> Floats:
    """Take the rows that the fit before has seen, too."""
    rows = past[:-newest][..., COLUMNS].reshape(-1, len(COLUMNS))
    return rows[np.all(np.isfinite(rows), axis=1)]


def hard(probabilities: Floats) -> Floats:
    """Put everything on the likeliest regime."""
    certain = np.eye(3)[np.nan_to_num(probabilities).argmax(axis=-1)]
    return np.where(np.isnan(probabilities), np.nan, certain)


def eased(probabilities: Floats, start: int, half_life_bars: float = 5.0) -> Floats:
    """Smooth as the served posterior is smoothed."""
    gain = 1.0 - 2.0 ** (-1.0 / half_life_bars)
    result = np.full(probabilities.shape, np.nan)
    belief = simplex.uniform(probabilities.shape[1], 3)
    for bar in range(start, len(probabilities)):
        belief = belief + gain * (probabilities[bar] - belief)
        result[bar] = belief
    return result


def returns_of(walked: Walk, arm: str, cost: float = COST) -> Floats:
    """Return of each asset's book per bar, net of cost: (n_bars, n_symbols), NaN outside."""
    held = walked.arms[arm] @ HOLDINGS
    traded = np.abs(np.diff(held, axis=0, prepend=held[:1]))
    return held * walked.market.next_returns() - cost * traded


def moves_of(walked: Walk, arm: str) -> tuple[Floats, np.ndarray, np.ndarray]:
    """Disruption per bar, hard flips and own flips, all assets one after the other."""
    parts: list[tuple[Floats, np.ndarray, np.ndarray]] = []
    for symbol in range(len(walked.market.symbols)):
        probabilities = walked.arms[arm][walked.start :, symbol]
        reference = walked.arms["DPGMM argmax (hard)"][walked.start :, symbol]
        books = np.stack([HOLDINGS, 1.0 - HOLDINGS], axis=1)
        portfolios = np.broadcast_to(books, (len(probabilities), *books.shape))
        parts.append(
            (
                measures.moved(probabilities, portfolios),
                measures.flips(reference.argmax(axis=1)),
                measures.flips(probabilities.argmax(axis=1)),
            )
        )
    moves, hard_flips, own_flips = (np.concatenate(column) for column in zip(*parts, strict=True))
    return moves, hard_flips, own_flips
