"""``shadow-correlation``: targets of a champion and of its own update, on days that neither knew.

The demo's stocks: fitted on the first 900 days, updated on the days behind at both settings, then
both arms folded over 500 further days as the stage folds them. A correlation hides where one buys
and the other sells, so the share of rows on which both wish the same side stands beside it.
"""

import tempfile
from pathlib import Path

import numpy as np

from agents.run.fit import features_for, models_for
from agents.run.learn import Learner
from agents.run.learning_bars import FileSource
from models import chain
from models.features.catalogue import WARMUP_BARS
from models.learning.settings import MODES
from models.model_set import ModelSet
from models.prepared import Prepared
from models.rollout import comparison
from models.rollout.comparison import Bar, Findings
from models.rollout.guards import LEAST_CORRELATION
from models.specialists.window import LENGTH_BARS
from streams.sources.bridge import BridgeTape
from streams.sources.replay import Stretch
from tables.stores.artifacts import Artifacts
from tests.evidence.measurement import Measurement, Result
from tests.evidence.model_rebuild import FITTED_BARS, KNOWN_BARS

N_DAYS = 500


def _ignore(_step: str, _share: float) -> None:
    """Take a progress report and do nothing."""


def compared(champion: ModelSet, challenger: ModelSet, prepared: Prepared, first: int) -> Findings:
    """Fold both over bars, and compare from one of them on."""
    history, features = prepared
    n_bars, n_symbols = history.close.shape
    states = [chain.initial_state(n_symbols) for _ in range(2)]
    found = comparison.initial_state(n_symbols)
    for at in range(n_bars):
        rows = np.flatnonzero(np.isfinite(history.close[at]))
        bar = Bar(
            history.close[at],
            np.full((2, n_symbols), np.nan),
            np.full((2, n_symbols), np.nan),
            np.full((2, n_symbols, 3), np.nan),
        )
        for arm, models in enumerate((champion, challenger)):
            states[arm], wish = chain.step(
                models, states[arm], rows, features[at, rows], history.close[at, rows]
            )
            bar.up[arm, rows] = wish.probability_up
            bar.target[arm, rows] = wish.target_fraction
            bar.weights[arm, rows] = wish.weights
        if at >= first:
            found = comparison.step(found, bar)
    return comparison.findings(found, tightest_at=float(N_DAYS))


def measure() -> Result:
    """Fit, update at both settings, and compare on what comes behind."""
    tape = BridgeTape()
    closes = tape.closes_ns()
    n_before = WARMUP_BARS + LENGTH_BARS
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        artifacts = Artifacts(home / "artifacts")
        base, _ = models_for(tape, Stretch(closes[0], closes[FITTED_BARS - 1]), artifacts, _ignore)
        source = FileSource(tape, home, _ignore, closes[KNOWN_BARS - 1])
        later = Stretch(closes[KNOWN_BARS - n_before], closes[KNOWN_BARS + N_DAYS - 1])
        prepared = features_for(tape, later, home, _ignore)
        rows = {}
        for mode, settings in MODES.items():
            learner = Learner(home, source, settings, _ignore)
            updated = learner.advance(base, base, learner.stretch(base)).digest
            rows[mode] = compared(
                artifacts.load_models(base), artifacts.load_models(updated), prepared, n_before
            )
    lowest = min(found.target_correlation for found in rows.values())
    return Result(
        value=round(lowest, 4),
        holds=lowest > LEAST_CORRELATION,
        n=sum(found.n_rows for found in rows.values()),
        parts={mode: found.record() for mode, found in rows.items()},
    )


SHADOW_CORRELATION = Measurement(
    "shadow-correlation",
    "correlation of the targets of both arms, the lower of two settings",
    f"> {LEAST_CORRELATION} between a champion and its own update, with action agreement",
    4,
    measure,
)
