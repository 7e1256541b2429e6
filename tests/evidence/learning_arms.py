"""``learning-arms``: five ways to go on learning, on two real crises and on planted drift.

Every arm sees the same bars in the same order: each day it may learn from the window of the last 60
days whose labels are known, and is judged on the day's own label. Results are kept by stream and
arm, so an interrupted run goes on.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models import measures
from models.learning.settings import RECOMMENDED, SAFE, Settings
from tests.evidence import learning_streams
from tests.evidence.kept import kept_path
from tests.evidence.learning_streams import CRISES, DRIFT_AT, Stream, level
from tests.evidence.measurement import Measurement, Result
from tests.evidence.regime_data import Floats

# Development used 1 and 2; the settings were chosen there.
SEEDS = (501, 502, 503, 504, 505)
MOST_DEGRADED, LEAST_RECOVERED, MOST_FORGOTTEN = 0.05, 0.6, 0.2
WINDOW_BARS, BLOCK_BARS, N_DRAWS = 21, 42, 2_000

FREE = replace(RECOMMENDED, strength=0.0, prior=0.0)
STATIC, NAIVE, REPLAY = "static", "naive fine-tuning", "replay of old rows"
EWC_SAFE, EWC_RECOMMENDED = "EWC, the mission's numbers", "EWC, recommended"
L2_ARMS = {f"L2 {strength:g}": strength for strength in (0.1, 0.15, 0.2, 1.0)}
ARMS = (NAIVE, *L2_ARMS, REPLAY, EWC_SAFE, EWC_RECOMMENDED)
# On real streams one strength of L2 has to do: a stream of three years takes long.
REAL_ARMS = (EWC_SAFE, EWC_RECOMMENDED, NAIVE, "L2 0.2", REPLAY)

# What an arm's course depends on, beside the settings in its key.
_SOURCES = (Path("models/learning/fisher.py"), Path("models/learning/update.py"))
_FOLDERS = (
    *("models/specialists", "models/regime", "models/features"),
    "tests/evidence/learning_streams.py",
)


class Kept(msgspec.Struct):
    """How one arm did on one stream: losses by bar, on old bars at the end, and its distance."""

    losses: list[float]
    old_loss: float
    from_base_fraction: float


def arm_of(stream: Stream, arm: str) -> learning_streams.Followed:
    """Follow a stream with an arm."""
    if arm == STATIC:
        return learning_streams.static(stream)
    if arm in L2_ARMS:
        held = replace(FREE, strength=L2_ARMS[arm])
        return learning_streams.follow(stream, held, level(stream.base), replayed=False)
    settings = {EWC_SAFE: SAFE, EWC_RECOMMENDED: RECOMMENDED}.get(arm, FREE)
    return learning_streams.follow(stream, settings, stream.base, replayed=arm == REPLAY)


def followed(name: str) -> dict[str, Kept]:
    """Give every arm's course on a stream, from what was kept or anew."""
    path = kept_path(f"learning-{name}", _SOURCES, *_FOLDERS)
    known: dict[str, Kept] = {}
    if path.exists():
        known = msgspec.json.decode(path.read_bytes(), type=dict[str, Kept])
    arms = (STATIC, *(REAL_ARMS if name in CRISES else ARMS))
    for arm in arms:
        key = f"{arm}: {_settings_of(arm)}"
        if key not in known:
            found = arm_of(_stream(name), arm)
            known[key] = Kept(found.losses.tolist(), found.old_loss, found.from_base_fraction)
            _keep(path, known)
    return {arm: known[f"{arm}: {_settings_of(arm)}"] for arm in arms}


def _settings_of(arm: str) -> str:
    settings: Settings = {EWC_SAFE: SAFE, EWC_RECOMMENDED: RECOMMENDED}.get(arm, FREE)
    return msgspec.json.encode(asdict(settings)).decode() if arm != STATIC else ""


def _stream(name: str) -> Stream:
    if name in CRISES:
        return learning_streams.crisis(name)
    return learning_streams.planted(int(name))


def _keep(path: Path, known: dict[str, Kept]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(known))


def crisis(name: str) -> dict[str, dict[str, Any]]:
    """Give each arm's 30-day degradation against static on a real stream."""
    arms = followed(name)
    still = np.array(arms[STATIC].losses)
    counts = measures.block_counts(len(still), block_bars=BLOCK_BARS, n_draws=N_DRAWS, seed=7)
    rows = {}
    for arm in REAL_ARMS:
        losses = np.array(arms[arm].losses)
        windows = measures.degradation(losses, still, WINDOW_BARS)
        low, high = measures.interval((counts @ losses) / (counts @ still) - 1.0)
        rows[arm] = {
            "mean": float(windows.mean()),
            "interval": (low, high),
            "worst_window": float(windows.max()),
            "moved": arms[arm].from_base_fraction,
        }
    return rows


def planted() -> dict[str, dict[str, Any]]:
    """Give each arm's change of loss against static on planted drift: new bars, and old ones."""
    by_seed = [followed(str(seed)) for seed in SEEDS]
    rows = {}
    for arm in ARMS:
        new = np.array([_new(of[arm].losses, of[STATIC].losses) for of in by_seed])
        old = np.array([of[arm].old_loss - of[STATIC].old_loss for of in by_seed])
        moved = np.array([of[arm].from_base_fraction for of in by_seed])
        rows[arm] = {
            "new": float(new.mean()),
            "new_error": _error(new),
            "old": float(old.mean()),
            "old_error": _error(old),
            "moved": float(moved.mean()),
        }
    return rows


def _new(losses: list[float], still: list[float]) -> float:
    return float((np.array(losses) - np.array(still))[DRIFT_AT:].mean())


def _error(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def dominated_by(rows: dict[str, dict[str, Any]]) -> list[str]:
    """List the L2 arms that do better than the recommended setting on new and on old bars."""
    ours = rows[EWC_RECOMMENDED]
    return [
        arm for arm in L2_ARMS if rows[arm]["new"] < ours["new"] and rows[arm]["old"] < ours["old"]
    ]


def measure() -> Result:
    """Follow all streams with all arms; the promise is about the default on real markets."""
    real = {name: crisis(name) for name in CRISES}
    rows = planted()
    ours = rows[EWC_RECOMMENDED]
    gain = max(-row["new"] for row in rows.values())
    recovered = -ours["new"] / gain
    forgotten = ours["old"] / rows[NAIVE]["old"]
    worst = max(of[EWC_SAFE]["mean"] for of in real.values())
    upper = max(of[EWC_SAFE]["interval"][1] for of in real.values())
    better = dominated_by(rows)
    return Result(
        value=round(100.0 * worst, 3),
        holds=max(worst, upper) <= MOST_DEGRADED
        and recovered >= LEAST_RECOVERED
        and forgotten <= MOST_FORGOTTEN
        and not better,
        n=len(CRISES) + len(SEEDS),
        peer="the networks as they were fitted",
        parts={
            "upper_bound_pct": round(100.0 * upper, 3),
            "recovered_fraction_of_best": round(recovered, 3),
            "forgotten_fraction_of_naive": round(forgotten, 3),
            "best_arm_on_drift": min(rows, key=lambda arm: rows[arm]["new"]),
            "dominated_by": better,
            "real": real,
            "planted": rows,
        },
    )


LEARNING_ARMS = Measurement(
    "learning-arms",
    "% more loss than static in the mean 30 days, the default on the worse real stream",
    "<= 5 % with its upper bound; recommended EWC recovers >= 60 % of the best arm's gain on "
    "planted drift with <= 1/5 of naive's forgetting, and no L2 is better on both",
    40,
    measure,
)
