"""An accelerator that runs out of memory: the processor begins anew and finds the same networks.

No accelerator is at hand. ``cpu:0`` stands in for one: PyTorch takes it for another device than
``cpu``, and what it computes is the same.
"""

from typing import Any

import numpy as np
import pytest
import torch

from models.specialists import fitting
from models.specialists.device import best, training_on, where_there_is_room
from models.specialists.fitting import Lessons
from models.specialists.settings import Settings
from models.specialists.split import split

FEW = Settings(members=1, epochs=2)
OTHER = "cpu:0"


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    """Give features of two symbols without a rule."""
    rng = np.random.default_rng(3)
    features = rng.normal(size=(600, 2, 60))
    returns = rng.normal(size=(600, 2))
    return Lessons(features, returns, np.full((600, 2, 3), 1.0 / 3.0), np.ones((600, 2), np.bool_))


def fitted(lessons: Lessons) -> Any:  # noqa: ANN401  networks
    """Train on whatever device was chosen."""
    parts = split(20, 600)
    return fitting.fit(lessons, split=parts, seed=2, progress=lambda *_: None, settings=FEW)


def test_fit_when_memory_runs_out_half_way_then_finds_what_the_processor_finds(
    lessons: Lessons, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the half that was trained is left, no draw is skipped, and it is told once."""
    expected = fitted(lessons)
    whole, n_trained, told = fitting.trained, [], list[str]()

    def full(*arguments: Any) -> None:  # noqa: ANN401  as the function takes them
        n_trained.append(1)
        if len(n_trained) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")
        whole(*arguments)

    monkeypatch.setattr(fitting, "trained", full)
    with training_on(OTHER, told.append):
        found = fitted(lessons)
    assert told == ["CUDA out of memory. Tried to allocate 2 GiB"]
    assert len(n_trained) == 2 + 3
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9)


def test_fit_when_the_device_has_room_then_is_done_there(
    lessons: Lessons, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and networks are all on it."""
    seen = []
    whole = fitting.trained

    def noted(network: torch.nn.Module, prepared: fitting.Prepared, *rest: Any) -> None:  # noqa: ANN401  as above
        seen.append((next(network.parameters()).device, prepared.training.inputs.device))
        whole(network, prepared, *rest)

    monkeypatch.setattr(fitting, "trained", noted)
    monkeypatch.setattr(
        fitting.Prepared, "on", lambda prepared, device: seen.append(device) or prepared
    )
    with training_on(OTHER, pytest.fail):
        fitted(lessons)
    assert seen[0] == torch.device(OTHER)
    assert len(seen) == 1 + 3


def test_work_when_another_error_comes_then_it_is_not_tried_again() -> None:
    """A defect is none of memory."""

    def broken(_device: torch.device) -> None:
        raise RuntimeError("shapes do not fit")

    with training_on(OTHER, pytest.fail), pytest.raises(RuntimeError, match="shapes"):
        where_there_is_room(broken)


def test_best_when_there_is_no_accelerator_then_is_the_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``auto`` is right on every machine."""
    for there, found in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert best() == found
