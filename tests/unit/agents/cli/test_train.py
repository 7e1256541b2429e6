"""What a training succeeds: the champion where it can be, what was named, or nothing, and why."""

from pathlib import Path
from typing import Any

import pytest

from agents.cli import train
from agents.run.workers import Children
from models.features.catalogue import pipeline_digest
from streams.errors import SettingsError
from streams.sources.replay import Stretch
from streams.sources.synthetic import SyntheticTape
from tables.stores.artifacts import ArtifactCorrupt, Artifacts
from tables.stores.errors import NoChampion, StoreConflict, StoreUnavailable
from tables.stores.servers import mlflow
from tests.builders import models

TAPE = SyntheticTape(symbols=2, bars=40, ticks_per_bar=1, seed=3, timeframe="1s")
STRETCH = Stretch(TAPE.closes_ns()[0], TAPE.closes_ns()[-1])


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    """Give an empty store of a stack whose registry needs no server."""
    monkeypatch.setattr(mlflow, "is_usable", lambda _home: True)
    monkeypatch.setattr(train, "database", lambda _home, _children: None)
    return Artifacts(tmp_path / "artifacts")


def put(artifacts: Artifacts, **changes: object) -> str:
    """Keep a model set that can be succeeded, changed where asked."""
    metadata: dict[str, Any] = {
        "timeframe": "1s",
        "pipeline_digest": pipeline_digest(),
        "last_close_ns": STRETCH.first_close_ns,
        "succession": {},
    }
    return artifacts.put_models(models()._replace(metadata=metadata | changes))


def earlier(artifacts: Artifacts, asked: str) -> tuple[str | None, str]:
    """Ask for what a training on the tape succeeds."""
    children = Children(artifacts.root.parent / "logs")
    return train._earlier(asked, TAPE, STRETCH, artifacts, children)


def test_earlier_when_nothing_is_said_then_is_the_champion_of_the_timeframe(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the stack and the timeframe say which."""
    asked: list[tuple[str, str]] = []
    digest = put(artifacts)
    monkeypatch.setattr(train, "named", lambda *said: asked.append(said) or digest)
    assert earlier(artifacts, "champion") == (digest, "")
    assert asked == [(artifacts.root.parent.name, "champion:1s")]


def test_earlier_when_there_is_no_champion_yet_then_is_none_and_says_so(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first training of a stack has nobody to succeed."""

    def nobody(*_: str) -> str:
        raise NoChampion("register one with `tradewind train`")

    monkeypatch.setattr(train, "named", nobody)
    assert earlier(artifacts, "champion") == (None, "the stack has no champion of 1s yet")


@pytest.mark.parametrize("error", [StoreConflict, StoreUnavailable, ArtifactCorrupt])
def test_earlier_when_the_champion_cannot_be_had_then_nothing_is_fitted(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """A registry that is away for an hour must not turn "bull" into another thing for good."""

    def away(*_: str) -> str:
        raise error("the file is another one")

    monkeypatch.setattr(train, "named", away)
    with pytest.raises(error, match="the file is another one"):
        earlier(artifacts, "champion")
    assert earlier(artifacts, "none") == (None, "--previous none")


def test_earlier_when_no_registry_is_installed_then_is_none_and_says_why(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without MLflow there are no champions."""
    monkeypatch.setattr(mlflow, "is_usable", lambda _home: False)
    assert earlier(artifacts, "champion") == (None, train._NO_REGISTRY)


def test_earlier_when_the_champion_reads_other_features_then_is_none_and_says_why(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade of the pipeline the first training begins anew."""
    digest = put(artifacts, pipeline_digest="f" * 64)
    monkeypatch.setattr(train, "named", lambda *_: digest)
    found, why = earlier(artifacts, "champion")
    assert found is None
    assert f"champion {digest[:12]} has no successor here: its features" in why


def test_earlier_when_a_named_set_cannot_be_succeeded_then_refuses(artifacts: Artifacts) -> None:
    """Who names a digest means it: the message says what is wrong and the way out."""
    digest = put(artifacts, timeframe="1day")
    with pytest.raises(SettingsError, match="bars are of 1day, expected 1s; give none"):
        earlier(artifacts, digest)
    assert earlier(artifacts, "none") == (None, "--previous none")
