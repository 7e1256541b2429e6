"""A candidate for the champion's place: what it learns from, what it is judged on, what it says.

A stretch of bars ends with the gate's days, on which the candidate is held against the champion;
before them lie the window's days, from which it learns, and before these bars that only look back.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from models import chain
from models.errors import HistoryTooShort
from models.features import catalogue
from models.history import next_returns
from models.learning import stability
from models.learning.settings import LEARNING_VERSION, Settings
from models.learning.stability import Said, Stability
from models.learning.update import Base, Update, information, update
from models.model_set import ModelSet
from models.prepared import Prepared
from models.regime import posterior
from models.specialists.fitting import Lessons, Scaled
from models.specialists.serving import Specialists
from models.specialists.split import LABEL_BARS

_NS_PER_DAY = 86_400 * 10**9
_DAYS_PER_YEAR = 365.25


class Plan(NamedTuple):
    """The bars that are learned from, and those behind them that judge."""

    learned: slice
    judged: slice


def plan(close_ns: np.ndarray, settings: Settings) -> Plan:
    """Cut the last days of a history into the window and the gate.

    The last bar has no label, and the label of the window's last bar must not be one of the gate's.

    Raises
    ------
    HistoryTooShort
        If either has no bar, or the history begins inside the window.

    Examples
    --------
    >>> days = 86_400 * 10**9 * np.arange(1, 101)
    >>> plan(days, Settings())
    Plan(learned=slice(8, 68, None), judged=slice(69, 99, None))
    """
    last = len(close_ns) - LABEL_BARS
    if last < 1:
        raise HistoryTooShort(f"a window needs bars with a next bar, was {len(close_ns)} bars")
    end_ns = int(close_ns[last - 1])
    from_ns = end_ns - settings.gate_days * _NS_PER_DAY
    judged = int(np.searchsorted(close_ns, from_ns, side="right"))
    window_ns = from_ns - settings.window_days * _NS_PER_DAY
    first = int(np.searchsorted(close_ns, window_ns, side="right"))
    learned = slice(max(first - LABEL_BARS, 0), judged - LABEL_BARS)
    if first < LABEL_BARS or learned.stop <= learned.start:
        missing = max(int(close_ns[0]) - window_ns, 0) / _NS_PER_DAY
        raise HistoryTooShort(
            f"{settings.window_days} days to learn from and {settings.gate_days} to be judged on "
            f"are needed before {np.datetime64(end_ns, 'ns')}Z: {missing:.1f} days are missing"
        )
    return Plan(learned, slice(judged, last))


def lessons_of(models: ModelSet, prepared: Prepared) -> Lessons:
    """Fold the regimes over a stretch, and lay its rows out to be learned from."""
    history, features = prepared
    present = np.isfinite(history.close)
    probabilities = np.full((*present.shape, len(posterior.REGIMES)), np.nan)
    state = posterior.initial_state(present.shape[1])
    for bar in range(len(present)):
        rows = np.flatnonzero(present[bar])
        state, regime = posterior.step(models.regime, state, rows, features[bar, rows])
        probabilities[bar, rows] = regime[:, : len(posterior.REGIMES)]
    return Lessons(features, next_returns(history), probabilities, present)


def base_of(models: ModelSet, prepared: Prepared) -> Base:
    """Take the information of a fitted model set from the bars that it was fitted on.

    Raises
    ------
    HistoryTooShort
        If the bars are not those of its training stretch.
    """
    stretch = models.metadata["stretches"]["training"]
    closes = prepared.history.close_ns
    part = slice(
        int(np.searchsorted(closes, stretch["first_close_ns"])),
        int(np.searchsorted(closes, stretch["last_close_ns"], side="right")),
    )
    if part.stop - part.start != stretch["n_bars"]:
        raise HistoryTooShort(
            f"the training stretch has {stretch['n_bars']} bars, was {part.stop - part.start} of "
            f"{len(closes)}: expected the bars that the models were fitted on"
        )
    scaled = _scaled(models.specialists, lessons_of(models, prepared))
    found = information(models.specialists, scaled.past, scaled.samples(part))
    return Base(models.specialists, found)


def learned(
    start: ModelSet,
    base: Base,
    prepared: Prepared,
    *,
    settings: Settings,
    seed: int,
    progress: Callable[[float], None] = lambda _share: None,
) -> Update:
    """Update the start's networks on the window of a stretch.

    Raises
    ------
    HistoryTooShort
        If the stretch is shorter than window and gate.
    NotFitted, NotFinite
        See :func:`models.learning.update.update`.
    """
    part = plan(prepared.history.close_ns, settings).learned
    scaled = _scaled(start.specialists, lessons_of(start, prepared))
    return update(
        start.specialists,
        base,
        (scaled.past, scaled.samples(part)),
        settings=settings,
        seed=seed,
        progress=progress,
    )


def successor(
    start: ModelSet, made: Update, lineage: dict[str, Any], last_close_ns: int
) -> ModelSet:
    """Return the model set with updated networks; the rest decides as before.

    ``lineage`` says from what it can be built again. The set knows bars until ``last_close_ns``,
    the last one of the gate: no backtest may call them unseen.
    """
    metadata = {
        **start.metadata,
        "last_close_ns": last_close_ns,
        "config": {**start.metadata["config"], "learning": lineage["settings"]},
        "learned": {**lineage, "version": LEARNING_VERSION, "update": made.record()},
    }
    return start._replace(specialists=made.specialists, metadata=metadata)


def judge(
    champion: ModelSet,
    candidate: ModelSet,
    prepared: Prepared,
    settings: Settings,
    fit: ModelSet | None = None,
) -> Stability:
    """Hold a candidate against the champion on the gate's bars of a stretch.

    ``fit`` is the set that both go back to, if the champion is another one: it is held against the
    candidate as well.
    """
    part = plan(prepared.history.close_ns, settings).judged
    closes = prepared.history.close_ns[part]
    years = max(int(closes[-1] - closes[0]), _NS_PER_DAY) / _NS_PER_DAY / _DAYS_PER_YEAR
    returns = next_returns(prepared.history)[part]
    of_candidate, *of_others = (
        Said(*(values[part] for values in said(models, prepared)))
        for models in (candidate, champion, fit)
        if models is not None
    )
    found, *beside = (
        stability.judge(before, of_candidate, returns, bars_per_year=len(closes) / years)
        for before in of_others
    )
    return stability.beside_fit(found, beside[0]) if beside else found


def said(models: ModelSet, prepared: Prepared) -> Said:
    """Fold a model set over a stretch as the stages do, from a fresh state.

    Returns
    -------
    Said
        For every bar, (n_bars, n_symbols); NaN while something warms up.
    """
    history, features = prepared
    n_bars, n_symbols = history.close.shape
    up, target = np.full((n_bars, n_symbols), np.nan), np.full((n_bars, n_symbols), np.nan)
    state = chain.initial_state(n_symbols)
    for bar in range(n_bars):
        rows = np.flatnonzero(np.isfinite(history.close[bar]))
        state, wish = chain.step(models, state, rows, features[bar, rows], history.close[bar, rows])
        up[bar, rows], target[bar, rows] = wish.probability_up, wish.target_fraction
    return Said(up, target)


def known_until_ns(models: ModelSet, close_ns: np.ndarray) -> int:
    """Return the last close that a model set learned from, or was stopped or calibrated by.

    ``close_ns`` are the bars of a later update: those behind its window only judged the set.
    """
    stretches = models.metadata["stretches"]
    fitted_ns = max(
        int(stretches[name]["last_close_ns"])
        for name in ("training", "validation")
        if name in stretches
    )
    learned = models.metadata.get("learned")
    if learned is None:
        return fitted_ns
    seen = close_ns[close_ns <= models.metadata["last_close_ns"]]
    labelled = seen[:-LABEL_BARS]
    if not len(labelled):
        return fitted_ns
    # As `plan` cuts, but its window may begin before these bars.
    gate_ns = int(labelled[-1]) - int(learned["settings"]["gate_days"]) * _NS_PER_DAY
    taught = seen[: max(int(np.searchsorted(seen, gate_ns, side="right")) - LABEL_BARS, 0)]
    return max(fitted_ns, int(taught[-1])) if len(taught) else fitted_ns


def check_unknown(models: ModelSet, close_ns: np.ndarray, settings: Settings) -> None:
    """Refuse a stretch whose gate has bars that a model set knows: they would say how well it fits.

    Raises
    ------
    HistoryTooShort
        With how many days are missing, also if the stretch is shorter than window and gate.
    """
    first_ns, known_ns = (
        int(close_ns[plan(close_ns, settings).judged][0]),
        known_until_ns(models, close_ns),
    )
    if first_ns <= known_ns:
        first, known = (np.datetime64(each, "ns").astype("M8[s]") for each in (first_ns, known_ns))
        missing = (known_ns - first_ns) / _NS_PER_DAY
        raise HistoryTooShort(
            f"the first bar that is to judge closes {first}Z, and the models know bars until "
            f"{known}Z: {missing:.1f} days are missing"
        )


def fits(models: ModelSet, prepared: Prepared) -> str:
    """Say why a model set cannot go on learning from a stretch; empty if it can."""
    if models.metadata["pipeline_digest"] != catalogue.pipeline_digest():
        return (
            f"its features are those of pipeline {models.metadata['pipeline_digest'][:12]}, "
            f"expected {catalogue.pipeline_digest()[:12]}"
        )
    unknown = set(prepared.history.symbols) - set(models.metadata["symbols"])
    if unknown:
        return f"it was not fitted on {', '.join(sorted(unknown))}"
    return ""


def _scaled(specialists: Specialists, lessons: Lessons) -> Scaled:
    return Scaled.of(lessons, specialists.mean, specialists.scale, specialists.clip)
