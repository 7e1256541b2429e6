"""``model-rebuild``: a fitted and an updated model set, each made once more from its lineage.

The demo's stocks: fitted on the first 900 days, updated on the days behind them at both settings.
Each is built again from digest and bars alone, in a folder without anything that was kept.
"""

import shutil
import tempfile
from pathlib import Path

from agents.run.fit import models_for
from agents.run.learn import Learner
from agents.run.learning_bars import FileSource
from agents.run.rebuild import rebuilt
from models.learning.settings import MODES
from streams.sources.bridge import BridgeTape
from streams.sources.replay import Stretch
from tables.stores.artifacts import Artifacts
from tests.evidence.measurement import Measurement, Result

FITTED_BARS, KNOWN_BARS = 900, 1_000


def _ignore(_step: str, _share: float) -> None:
    """Take a progress report and do nothing."""


def measure() -> Result:
    """Make the sets, and each again elsewhere."""
    tape = BridgeTape()
    closes = tape.closes_ns()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "first"
        artifacts = Artifacts(home / "artifacts")
        base, _ = models_for(tape, Stretch(closes[0], closes[FITTED_BARS - 1]), artifacts, _ignore)
        digests = {"fitted": base}
        source = FileSource(tape, home, _ignore, closes[KNOWN_BARS - 1])
        for mode, settings in MODES.items():
            learner = Learner(home, source, settings, _ignore)
            digests[mode] = learner.advance(base, base, learner.stretch(base)).digest
        again = {}
        for name, digest in digests.items():
            other = Path(folder) / name
            shutil.copytree(artifacts.root, other / "artifacts")
            again[name] = rebuilt(other, digest, FileSource(tape, other, _ignore), _ignore)
    differ = sum(again[name] != digest for name, digest in digests.items())
    return Result(
        value=differ,
        holds=differ == 0 and len(set(digests.values())) == len(digests),
        n=len(digests),
        parts={"digests": {name: digest[:16] for name, digest in digests.items()}},
    )


MODEL_REBUILD = Measurement(
    "model-rebuild",
    "model sets whose digest differs",
    "0 of a fitted set and its updates",
    4,
    measure,
)
