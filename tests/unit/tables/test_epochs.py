"""Epochs are loaded once by digest, and what cannot be used stops the stage."""

from pathlib import Path

import msgspec
import pytest

from streams.epochs import Challenge
from streams.errors import SettingsError
from tables.epochs import Epochs
from tables.stores.artifacts import ArtifactMissing, Artifacts
from tests.builders import epoch, epochs_in, models


def test_load_when_put_then_gives_document_and_models_once(tmp_path: Path) -> None:
    """The digest is the document's; a second load is the same object."""
    epochs, (digest,) = epochs_in(tmp_path, epoch())
    loaded = epochs.load(digest)
    assert loaded.digest == digest
    assert loaded.epoch == epoch(models=loaded.epoch.models)
    assert loaded.models.ensemble.slope == 1.0
    assert epochs.load(digest) is loaded


def test_put_when_the_same_then_has_the_same_digest(tmp_path: Path) -> None:
    """The digest is the identity, and any change is another epoch."""
    _, (one, other, same) = epochs_in(tmp_path, epoch(), epoch(lateness_ms=1), epoch())
    assert one == same != other


def test_put_when_the_epoch_is_wrong_then_refuses(tmp_path: Path) -> None:
    """What contradicts itself is never announced."""
    with pytest.raises(SettingsError, match="timeframe"):
        epochs_in(tmp_path, epoch(timeframe="7min"))


@pytest.mark.parametrize("field", ["pipeline_version", "pipeline_digest"])
def test_load_when_made_for_another_pipeline_then_refuses(tmp_path: Path, field: str) -> None:
    """Features of another version would be fed to models that never saw them."""
    epochs, (digest,) = epochs_in(tmp_path, msgspec.structs.replace(epoch(), **{field: "other"}))
    with pytest.raises(SettingsError, match="feature pipeline"):
        epochs.load(digest)


@pytest.mark.parametrize("metadata", [{}, {"pipeline_digest": "f" * 64}], ids=["none", "other"])
def test_load_when_models_were_fitted_on_other_features_then_refuses(
    tmp_path: Path, metadata: dict[str, str]
) -> None:
    """An epoch that is new can name models that are old: what they learned is not what comes."""
    artifacts = Artifacts(tmp_path)
    digest = artifacts.put_models(models()._replace(metadata=metadata))
    epochs = Epochs(artifacts)
    with pytest.raises(SettingsError, match=f"models {digest[:12]} were fitted .*: train again"):
        epochs.load(epochs.put(epoch(models=digest)))


def test_load_when_the_digest_is_unknown_then_stops(tmp_path: Path) -> None:
    """An epoch that is not there is no reason to go on without it."""
    epochs, _ = epochs_in(tmp_path)
    with pytest.raises(ArtifactMissing):
        epochs.load("f" * 64)


def test_models_of_when_a_rollout_runs_then_are_those_that_decide_for_the_symbol(
    tmp_path: Path,
) -> None:
    """By the hash, in a canary; in shadow and without a rollout the epoch's."""
    symbols = tuple(f"S{number}" for number in range(12))
    shadow, half = Challenge(id="r1", challenger=""), Challenge(id="r1", challenger="", share=0.5)
    epochs, digests = epochs_in(
        tmp_path, *(epoch(symbols, rollout=each) for each in (None, shadow, half))
    )
    plain, beside, canary = (epochs.load(digest) for digest in digests)
    assert plain.challenger is None
    assert plain.challenged("main") == beside.challenged("main") == frozenset()
    assigned = canary.challenged("main")
    assert 0 < len(assigned) < len(symbols)
    for symbol in symbols:
        assert plain.models_of("main", symbol) is plain.models
        assert beside.models_of("main", symbol) is beside.models
        wanted = canary.challenger if symbol in assigned else canary.models
        assert canary.models_of("main", symbol) is wanted
