"""How long the steps of a fit took: what a training dashboard shows and no model may depend on."""

import json
import logging
from pathlib import Path

from agents.run.progress import Progress
from streams.clock import monotonic_s
from tables.stores.replacing import replacing

log = logging.getLogger("tradewind.fit")

_S_PER_HOUR = 3_600.0


class Timings:
    """Passes progress on, and notes when each step was first and last heard of."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._heard_s: dict[str, tuple[float, float]] = {}
        self._n_fallbacks = 0

    def __call__(self, step: str, share: float) -> None:
        """Pass a step's finished share on."""
        now_s = monotonic_s()
        self._heard_s[step] = (self._heard_s.get(step, (now_s, now_s))[0], now_s)
        self._progress(step, share)

    def seconds(self) -> dict[str, float]:
        """Return how long each step was heard of; what was read from disk is not in."""
        return {step: last - first for step, (first, last) in self._heard_s.items()}

    def fell_back(self, why: str) -> None:
        """Note that a step had no room on the accelerator and went on without it."""
        self._n_fallbacks += 1
        log.warning("no room on the accelerator, training goes on on the processor: %s", why)

    def keep(self, home: Path, digest: str, n_episodes: int) -> None:
        """Write seconds by step and the controller's episodes per hour into the stack's home."""
        found = {f"fit_seconds.{step}": round(s, 3) for step, s in self.seconds().items()}
        controller_s = self.seconds().get("controller", 0.0)
        if controller_s > 0.0:
            found["episodes_per_hour"] = round(n_episodes * _S_PER_HOUR / controller_s, 1)
        if self._n_fallbacks:
            found["fallbacks"] = self._n_fallbacks
        path = _path(home, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        # The pages read it as soon as it is there.
        with replacing(path) as file:
            file.write(json.dumps(found).encode())


def kept(home: Path, digest: str) -> dict[str, float]:
    """Return what was kept about the fit of a model set; nothing if it was fitted elsewhere."""
    path = _path(home, digest)
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _path(home: Path, digest: str) -> Path:
    return home / "fitting" / f"{digest}.json"
