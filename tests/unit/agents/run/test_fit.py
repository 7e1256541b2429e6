"""Models are found by all that makes them: bars, seed, settings, code, and what they succeed."""

from pathlib import Path
from typing import Any

import pytest

from agents.run import fit
from agents.run.timings import Timings, kept
from models import recipe
from models.model_set import ModelSet
from models.specialists import device
from streams.errors import SettingsError
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
        "previous": None,
        "succession": {},
    }
    made: ModelSet = models()
    return artifacts.put_models(made._replace(metadata=metadata | changes))


def found(artifacts: Artifacts, previous: str | None = None) -> str:
    """Ask for the models of the tape."""
    digest, is_new = fit.models_for(TAPE, STRETCH, artifacts, refuse, previous)
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
        {"previous": "e" * 64},
    ],
)
def test_models_when_fitted_in_another_way_then_are_not_found(
    artifacts: Artifacts, changes: dict[str, Any]
) -> None:
    """A changed default, other code, another seed or another predecessor make other models."""
    put(artifacts, **changes)
    with pytest.raises(FittedError):
        found(artifacts)


def test_models_when_they_succeed_others_then_are_found_by_their_digest(
    artifacts: Artifacts,
) -> None:
    """What was fitted from scratch on these bars is not what was carried on from elsewhere."""
    earlier = put(artifacts, last_close_ns=STRETCH.first_close_ns)
    scratch = put(artifacts)
    with pytest.raises(FittedError):
        found(artifacts, earlier)
    carried = put(artifacts, previous=earlier)
    assert found(artifacts, earlier) == carried
    assert found(artifacts) == scratch


def test_models_when_the_predecessor_knows_these_very_bars_then_it_is_the_answer(
    artifacts: Artifacts,
) -> None:
    """A training that is repeated finds its champion, and does not walk on from it."""
    champion = put(artifacts, previous="e" * 64)
    put(artifacts)
    assert found(artifacts, champion) == champion


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"timeframe": "1day"}, "bars are of 1day, expected 1s"),
        ({"pipeline_digest": "f" * 64}, "pipeline ffffffffffff, expected "),
        ({"last_close_ns": STRETCH.last_close_ns + 1}, "expected none after"),
    ],
)
def test_why_not_when_models_cannot_be_succeeded_then_says_found_and_expected(
    artifacts: Artifacts, changes: dict[str, Any], why: str
) -> None:
    """Other bars, other features, and what has seen the future of the fit."""
    metadata = artifacts.load_models(put(artifacts, **changes)).metadata
    told = fit.why_not(metadata, TAPE, STRETCH)
    assert (why in told) if why else (told == "")


def test_why_not_when_nobody_said_where_the_regimes_come_from_then_refuses(
    artifacts: Artifacts,
) -> None:
    """Without the bars of the earlier regimes nothing can be shared."""
    metadata = artifacts.load_models(put(artifacts)).metadata
    del metadata["succession"]
    assert "older version" in fit.why_not(metadata, TAPE, STRETCH)


def test_device_when_there_is_none_then_whoever_asked_for_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A training that takes a day longer than it should is no surprise at its end."""
    timings = Timings(refuse)
    monkeypatch.setattr("models.specialists.device.best", lambda: "cpu")
    monkeypatch.setenv("TRADEWIND_TRAINING_DEVICE", "cuda")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with (
        pytest.raises(SettingsError, match="training_device was 'cuda'"),
        fit.on_its_device(timings),
    ):
        pass
    monkeypatch.setenv("TRADEWIND_TRAINING_DEVICE", "auto")
    with fit.on_its_device(timings):
        assert device.where_there_is_room(lambda found: found.type) == "cpu"


def test_fallback_when_the_accelerator_is_full_then_is_kept_with_the_seconds(
    tmp_path: Path,
) -> None:
    """A gauge tells of it when the training is over."""
    timings = Timings(refuse)
    timings.fell_back("CUDA out of memory")
    timings.keep(tmp_path, "d", 1)
    assert kept(tmp_path, "d") == {"fallbacks": 1}
