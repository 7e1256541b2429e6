"""One update of the champion: learned, judged, kept; and the champion itself judged once more.

Nothing is left of an update that ends half way but the information of its base, which the next one
finds: the model set is kept when it is whole, and the registry hears of it last.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.run.learning_bars import Source
from agents.run.lineage import code
from agents.run.progress import Progress
from models.learning.settings import Settings
from models.learning.stability import MIN_BARS, Stability
from models.model_set import ModelSet
from models.specialists.serving import Specialists
from streams.errors import SettingsError
from streams.model_updates import (
    DataWindow,
    ModelUpdate,
    Outcome,
    PerformanceMetrics,
    StabilityCheck,
    UpdateType,
)
from streams.timestamps import format_ns
from tables.stores.artifacts import Artifacts
from tables.stores.bar_journal import Stretch
from tables.stores.checkpoints import Checkpoints
from tables.stores.model_registry import BEST_BY

if TYPE_CHECKING:
    from models.learning.update import Base, Update

SEED = 7


@dataclass(frozen=True)
class Learner:
    """What updates of one stack need.

    Parameters
    ----------
    home
        The stack's folder.
    source
        Where bars are from.
    settings
        How to update.
    progress
        Told the step and its finished share; what it raises ends the update.
    """

    home: Path
    source: Source
    settings: Settings
    progress: Progress

    @property
    def artifacts(self) -> Artifacts:
        """The stack's models."""
        return Artifacts(self.home / "artifacts")

    def stretch(self, champion: str) -> Stretch:
        """Return the bars to learn from and be judged on.

        Raises
        ------
        ArtifactError, TapeError
            If there are none, or they cannot be read.
        """
        learned = self.artifacts.metadata_of(champion).get("learned", {})
        fitted = self.artifacts.metadata_of(learned.get("base", champion))
        return self.source.stretch(self.settings, fitted)

    def step_back(self, champion: str, stretch: Stretch) -> "Judged | None":
        """Hold the champion against the one that it was learned beside; None if it stands."""
        learned = self.artifacts.metadata_of(champion).get("learned", {})
        before = learned.get("champion", learned.get("start", ""))
        if before not in self.artifacts.list_models():
            return None
        return self.held(champion, before, stretch)

    def held(self, digest: str, champion: str, stretch: Stretch) -> "Judged | None":
        """Hold a set that learned against another one; None if it stands.

        What learned must pass the gate on every later day, too; bars that are too few to say
        anything leave it where it is.
        """
        found = self._judged(champion, self.artifacts.load_models(digest), stretch)
        stands = found.passed or found.n_bars < MIN_BARS
        return None if stands else Judged(champion, found, None)

    def advance(self, start: str, champion: str, stretch: Stretch) -> "Judged":
        """Make a successor of what learned last, keep it, and hold it against the champion.

        Whoever asks acts on the verdict. ``start`` is the champion, or what learned from it.

        Raises
        ------
        SettingsError
            If they cannot learn from these bars.
        ModelError
            If the bars are too few or known already, or the update went wrong; nothing is kept.
        """
        from models.learning.candidate import (  # noqa: PLC0415  needs PyTorch
            check_unknown,
            fits,
            successor,
        )

        models = self.artifacts.load_models(start)
        if why := fits(models, stretch.prepared):
            raise SettingsError(f"models {start[:12]} cannot learn from these bars: {why}")
        for each in (models, self.artifacts.load_models(champion)):
            check_unknown(each, stretch.prepared.history.close_ns, self.settings)
        lineage = {
            "base": models.metadata.get("learned", {}).get("base", start),
            "start": start,
            "champion": champion,
            "settings": self.settings.record(),
            "seed": SEED,
            "origin": stretch.origin,
            "code": code(),
        }
        made = self._made(models, lineage, stretch)
        last_ns = int(stretch.prepared.history.close_ns[-1])
        candidate = successor(models, made, lineage, last_ns)
        found = self._judged(champion, candidate, stretch)
        return Judged(self.artifacts.put_models(candidate), found, made)

    def rebuilt(self, digest: str) -> str:
        """Make a model set that learned once more from its lineage; return its digest.

        Raises
        ------
        SettingsError
            If the set was not made by an update.
        ArtifactError
            If what it was made from is gone.
        """
        from models.learning.candidate import successor  # noqa: PLC0415  needs PyTorch

        metadata = self.artifacts.load_models(digest).metadata
        lineage = dict(metadata.get("learned", {}))
        if not lineage:
            raise SettingsError(f"models {digest[:12]} did not learn: they were fitted")
        for made_later in ("version", "update"):
            lineage.pop(made_later)
        start = self.artifacts.load_models(lineage["start"])
        stretch = Stretch(self.source.again(lineage["origin"]), lineage["origin"])
        again = Learner(self.home, self.source, Settings(**lineage["settings"]), self.progress)
        made = again._made(start, lineage, stretch)
        last_ns = int(stretch.prepared.history.close_ns[-1])
        return self.artifacts.put_models(successor(start, made, lineage, last_ns))

    def _made(self, start: ModelSet, lineage: Mapping[str, Any], stretch: Stretch) -> "Update":
        from models.learning.candidate import learned  # noqa: PLC0415  needs PyTorch

        base = self._base(lineage["base"])
        self.progress("learn", 0.0)
        return learned(
            start,
            base,
            stretch.prepared,
            settings=self.settings,
            seed=lineage["seed"],
            progress=lambda share: self.progress("learn", share),
        )

    def _judged(self, champion: str, candidate: ModelSet, stretch: Stretch) -> Stability:
        from models.learning.candidate import judge  # noqa: PLC0415  needs PyTorch

        base = candidate.metadata["learned"]["base"]
        fit = None if base == champion else self.artifacts.load_models(base)
        before = self.artifacts.load_models(champion)
        self.progress("judge", 0.0)
        found = judge(before, candidate, stretch.prepared, self.settings, fit)
        self.progress("judge", 1.0)
        return found

    def _base(self, digest: str) -> "Base":
        """Return what must not be forgotten: read if it was made before."""
        from models.learning.candidate import base_of  # noqa: PLC0415  needs PyTorch
        from models.learning.update import Base  # noqa: PLC0415  needs PyTorch

        models = self.artifacts.load_models(digest)

        def made() -> Specialists:
            self.progress("information", 0.0)
            found = base_of(models, self.source.of_base(models.metadata)).information
            self.progress("information", 1.0)
            return found

        kept = Checkpoints(self.home / "learning" / "information")
        return Base(models.specialists, kept.keep(digest, Specialists, made))


class Judged(NamedTuple):
    """A model set that may become champion, and how it did; one of before has no ``update``."""

    digest: str
    stability: Stability
    update: "Update | None"


class Told(NamedTuple):
    """What an event says besides the verdict: which job, which model, on which bars, and when."""

    job_id: str
    model_id: str
    window: DataWindow
    now_ns: int


def event_of(
    told: Told, kind: UpdateType, outcome: Outcome, before: str, judged: Judged
) -> ModelUpdate:
    """Return the record of an update that came to its end."""
    found, made = judged.stability.record(), judged.update
    return ModelUpdate(
        timestamp=format_ns(told.now_ns),
        job_id=told.job_id,
        model_id=told.model_id,
        update_type=kind,
        outcome=outcome,
        before=before,
        after=judged.digest,
        detail=", ".join(judged.stability.reasons),
        data_window=told.window,
        performance_metrics=PerformanceMetrics(
            sharpe_pre=found["sharpe_pre"],
            sharpe_post=found["sharpe_post"],
            degradation_pct=_percent(found["sharpe_degradation_fraction"]),
            loss_pre=found["loss_champion"],
            loss_post=found["loss_candidate"],
            loss_degradation_pct=_percent(found["loss_degradation_fraction"]),
        ),
        stability_check=StabilityCheck(
            passed=found["passed"],
            reasons=found["reasons"],
            n_bars=found["n_bars"],
            lower=found["lower"],
            upper=found["upper"],
        ),
        moved_fraction=made.moved_fraction if made else None,
        from_base_fraction=made.from_base_fraction if made else None,
        penalty=made.penalty if made else None,
        is_learning=made.is_learning if made else None,
    )


def gate_metrics(judged: Judged) -> dict[str, float]:
    """Return what the registry shows of an update, and by what it ranks it among the best."""
    numbers = {
        f"gate.{name}": value
        for name, value in judged.stability.record().items()
        if isinstance(value, int | float)
    }
    made = {} if judged.update is None else judged.update.record()
    return {
        **{name: float(value) for name, value in numbers.items()},
        **{f"update.{name}": float(value) for name, value in made.items()},
        **({BEST_BY: numbers["gate.rank_ic"]} if "gate.rank_ic" in numbers else {}),
    }


def window_of(stretch: Stretch, settings: Settings) -> DataWindow:
    """Return which bars of a stretch are learned from, and which judge."""
    from models.learning.candidate import plan  # noqa: PLC0415  needs PyTorch

    closes = stretch.prepared.history.close_ns
    learned, judged = plan(closes, settings)
    return DataWindow(
        learned_first_close=format_ns(int(closes[learned][0])),
        learned_last_close=format_ns(int(closes[learned][-1])),
        judged_first_close=format_ns(int(closes[judged][0])),
        judged_last_close=format_ns(int(closes[judged][-1])),
        n_learned_bars=learned.stop - learned.start,
        n_judged_bars=judged.stop - judged.start,
        origin=f"{stretch.origin['kind']}{' and fit' * ('fitted_on' in stretch.origin)}",
    )


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100.0 * fraction
