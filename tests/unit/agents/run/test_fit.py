"""Models are found by all that makes them: bars, seed, settings and code."""

from pathlib import Path
from typing import Any

import pytest

from agents.run import fit
from models import recipe
from models.model_set import ModelSet
from streams.sources.replay import Stretch
from streams.sources.synthetic import SyntheticTape
from tables.stores.artifacts import Artifacts
from tests.builders import models

TAPE = SyntheticTape(symbols=2, bars=40, ticks_per_bar=1, seed=3, timeframe="1s")
STRETCH = Stretch(TAPE.closes_ns()[0], TAPE.closes_ns()[-1])


class FittedError(Exception):
    """Somebody wanted to fit."""


def refuse(*_: object) -> None:
    """Stand in for the long way."""
    raise FittedError


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    """Give an empty store, in a process that must not fit."""
    monkeypatch.setattr(fit, "prepared_for", refuse)
    return Artifacts(tmp_path / "artifacts")


def put(artifacts: Artifacts, **changes: object) -> str:
    """Keep a model set as a fit on the tape would, changed where asked."""
    metadata: dict[str, Any] = {
        **fit._bars_of(TAPE, STRETCH),
        "seed": fit.SEED,
        "fit_version": recipe.FIT_VERSION,
        "config": recipe.config(),
    }
    made: ModelSet = models()
    return artifacts.put_models(made._replace(metadata=metadata | changes))


def found(artifacts: Artifacts) -> str:
    """Ask for the models of the tape."""
    digest, is_new = fit.models_for(TAPE, STRETCH, artifacts, refuse)
    assert not is_new
    return digest


def test_models_when_fitted_before_in_the_same_way_then_are_found(artifacts: Artifacts) -> None:
    """The second start is warm."""
    digest = put(artifacts)
    assert found(artifacts) == digest


@pytest.mark.parametrize(
    "changes",
    [
        {"fit_version": recipe.FIT_VERSION - 1},
        {"config": recipe.config() | {"halves": {"members": 2}}},
        {"seed": fit.SEED + 1},
    ],
)
def test_models_when_fitted_in_another_way_then_are_not_found(
    artifacts: Artifacts, changes: dict[str, Any]
) -> None:
    """A changed default, other code or another seed make other models."""
    put(artifacts, **changes)
    with pytest.raises(FittedError):
        found(artifacts)
