"""What the last training of each timeframe came to, as gauges: read from what a fit leaves behind.

A command ends before Prometheus asks it, and a gateway would be one more thing that can be away.
The files are there anyhow: the model set with the course of its episodes, and the seconds beside.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.run.timings import kept
from streams import metrics
from tables.stores.artifacts import ArtifactError, Artifacts

log = logging.getLogger("tradewind.trainings")

_LOOK_S = 30.0
_PARTS = 10
_DIGEST = "?" * 64
_STEP = "fit_seconds."


class Trainings:
    """The trainings of one stack, as far as they were shown.

    Parameters
    ----------
    home
        The stack's folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._artifacts = Artifacts(home / "artifacts")
        self._shown_ns = -1

    async def follow(self) -> None:
        """Show each training when it has ended, until cancelled."""
        while True:
            await asyncio.to_thread(self.show)
            await asyncio.sleep(_LOOK_S)

    def show(self) -> None:
        """Show the trainings that ended since the last look, the last one of a timeframe last."""
        ended = {
            path: path.stat().st_mtime_ns
            for path in (self._home / "fitting").glob(f"{_DIGEST}.json")
        }
        for path, ended_ns in sorted(ended.items(), key=lambda item: item[1]):
            if ended_ns <= self._shown_ns:
                continue
            self._shown_ns = ended_ns
            try:
                metadata = self._artifacts.load_models(path.stem).metadata
            except ArtifactError as error:
                log.warning("the training of %s is not shown: %s", path.stem[:12], error)
                continue
            _show(metadata, kept(self._home, path.stem), ended_ns / 1e9)


def _show(metadata: dict[str, Any], seconds: dict[str, float], ended_s: float) -> None:
    of = metadata["timeframe"]
    metrics.TRAINING_ENDED_SECONDS.labels(of).set(ended_s)
    trained = metadata.get("controller", {}).get("training", {})
    metrics.TRAINING_EPISODES.labels(of).set(trained.get("episodes", 0))
    for name, value in seconds.items():
        if name.startswith(_STEP):
            metrics.TRAINING_STEP_SECONDS.labels(of, name.removeprefix(_STEP)).set(value)
    metrics.TRAINING_FALLBACKS.labels(of).set(seconds.get("fallbacks", 0.0))
    if "episodes_per_hour" in seconds:
        metrics.TRAINING_EPISODES_PER_HOUR.labels(of).set(seconds["episodes_per_hour"])
    series = metadata.get("series", {})
    for name, gauge in (
        ("episode_return", metrics.TRAINING_RETURN),
        ("episode_win_rate", metrics.TRAINING_WIN_FRACTION),
        ("episode_length_bars", metrics.TRAINING_LENGTH_BARS),
    ):
        for tenth, part in _tenths(series.get(name, ())):
            gauge.labels(of, tenth).set(sum(part) / len(part))
    for window in ("10", "50", "100"):
        for tenth, part in _tenths(series.get(f"episode_sharpe_{window}", ())):
            metrics.TRAINING_SHARPE.labels(of, tenth, window).set(part[-1])


def _tenths(values: Sequence[float | None]) -> list[tuple[str, list[float]]]:
    """Cut a course into ten parts, without those in which nothing is known.

    Examples
    --------
    >>> _tenths([None, None, *range(2, 20)])[:2]
    [('02', [2, 3]), ('03', [4, 5])]
    """
    cuts = [len(values) * part // _PARTS for part in range(_PARTS + 1)]
    parts = [
        (f"{part + 1:02d}", [one for one in values[cuts[part] : cuts[part + 1]] if one is not None])
        for part in range(_PARTS)
    ]
    return [(tenth, known) for tenth, known in parts if known]
