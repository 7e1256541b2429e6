"""The gauges of the last training, from files that a fit leaves behind."""

import os
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from agents.run import trainings
from agents.run.timings import Timings
from agents.run.trainings import Trainings
from tables.stores.artifacts import Artifacts
from tests.builders import models


def value(name: str, **labels: str) -> float | None:
    """Return a gauge of the timeframe of these tests."""
    return REGISTRY.get_sample_value(f"tradewind_training_{name}", {"timeframe": "7min", **labels})


def trained(home: Path, monkeypatch: pytest.MonkeyPatch, first: float) -> str:
    """Keep a model set with twenty updates and its seconds; return its digest."""
    returns = [first + update for update in range(20)]
    found = models()
    metadata = {
        **found.metadata,
        "timeframe": "7min",
        "controller": {"training": {"episodes": 160}},
        "series": {
            "episode_return": returns,
            "episode_win_rate": [0.5] * 20,
            "episode_length_bars": [252.0] * 20,
            "episode_sharpe_10": [None] * 4 + returns[4:],
        },
    }
    digest = Artifacts(home / "artifacts").put_models(found._replace(metadata=metadata))
    times_s = iter((10.0, 14.0))
    monkeypatch.setattr("agents.run.timings.monotonic_s", lambda: next(times_s))
    timed = Timings(lambda _step, _share: None)
    timed("controller", 0.0)
    timed("controller", 1.0)
    timed.keep(home, digest, 160)
    return digest


def test_show_when_a_training_has_ended_then_its_course_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two updates a tenth: means of returns, the last Sharpe ratio, nothing where none is known.

    160 episodes in 4 s are 144,000 an hour.
    """
    digest = trained(tmp_path, monkeypatch, 0.0)
    os.utime(tmp_path / "fitting" / f"{digest}.json", ns=(2 * 10**9, 2 * 10**9))
    shown = Trainings(tmp_path)
    shown.show()
    assert value("ended_timestamp_seconds") == 2.0
    assert value("episodes") == 160.0
    assert value("episodes_per_hour") == 144_000.0
    assert value("step_seconds", step="controller") == 4.0
    assert value("episode_return_fraction", tenth="01") == 0.5
    assert value("episode_return_fraction", tenth="10") == 18.5
    assert value("win_fraction", tenth="01") == 0.5
    assert value("episode_length_bars", tenth="01") == 252.0
    assert value("episode_sharpe", tenth="02", episodes="10") is None
    assert value("episode_sharpe", tenth="03", episodes="10") == 5.0
    later = trained(tmp_path, monkeypatch, 100.0)
    (tmp_path / "fitting" / f"{'0' * 64}.json").write_text("{}")
    shown.show()
    assert later != digest
    assert value("episode_return_fraction", tenth="01") == 100.5


async def test_follow_when_cancelled_then_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home without a training has nothing to show, and is looked at again."""
    looked = []

    async def pause(seconds: float) -> None:
        looked.append(seconds)
        if len(looked) == 2:
            raise RuntimeError("enough")

    monkeypatch.setattr(trainings.asyncio, "sleep", pause)
    with pytest.raises(RuntimeError, match="enough"):
        await Trainings(tmp_path).follow()
    assert looked == [30.0, 30.0]
