"""The store of fitted models: same bytes in, same bytes out, or a refusal by name."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from models.model_set import ModelSet
from models.prediction.ensemble import EnsembleModel
from models.regime.posterior import RegimeModel
from models.weights.controller import ControllerModel
from tables.stores import artifacts
from tables.stores.artifacts import (
    FORMAT,
    ArtifactCorrupt,
    ArtifactMissing,
    Artifacts,
    canonical_json,
)
from tests.builders import specialists


def models(seed: int = 1, timeframe: str = "1d") -> ModelSet:
    """Draw a small model set."""
    rng = np.random.default_rng(seed)
    return ModelSet(
        regime=RegimeModel(
            scaler_mean=rng.normal(size=4),
            scaler_scale=rng.uniform(1, 2, 4),
            weights=np.array([0.5, 0.3, 0.2]),
            means=rng.normal(size=(3, 4)),
            precisions_cholesky=rng.normal(size=(3, 4, 4)),
            log_constants=rng.normal(size=3),
            component_regime=np.eye(3),
            feature_columns=np.array([5, 38, 6, 52]),
            half_life_bars=5.0,
        ),
        specialists=specialists(rng),
        controller=ControllerModel(),
        ensemble=EnsembleModel(slope=0.1 + 0.2, intercept=-1e-17, volatility_column=38),
        metadata={"timeframe": timeframe, "seed": seed, "metrics": {"rank_ic": None, "n": 3}},
    )


@pytest.fixture
def store(tmp_path: Path) -> Artifacts:
    """Open a store in a directory that does not exist yet."""
    return Artifacts(tmp_path / "artifacts")


def test_load_models_when_put_before_then_gives_the_same_bits(store: Artifacts) -> None:
    """Every array, number and entry of the metadata survives, types included."""
    original = models()
    loaded = store.load_models(store.put_models(original))
    assert loaded.metadata == original.metadata
    for before, after in zip(original[:4], loaded[:4], strict=True):
        assert type(after) is type(before)
        for first, second in zip(before, after, strict=True):
            assert type(second) is type(first)
            assert np.asarray(second).dtype == np.asarray(first).dtype
            assert np.asarray(second).tobytes() == np.asarray(first).tobytes()


def test_put_models_when_the_same_then_gives_the_same_digest(store: Artifacts) -> None:
    """Equal models are one artefact, in this store and in any other, whatever the array layout."""
    plain = models()
    transposed = plain.specialists.weights_1.transpose(0, 2, 1).copy().transpose(0, 2, 1)
    same = plain._replace(specialists=plain.specialists._replace(weights_1=transposed))
    digests = {store.put_models(plain), store.put_models(models()), store.put_models(same)}
    assert len(digests) == 1
    assert store.list_models() == tuple(digests)
    assert store.put_models(models(seed=2)) not in digests


def test_put_models_when_done_then_the_digest_is_that_of_the_file(store: Artifacts) -> None:
    """The name can be checked by anyone with a SHA-256 of their own."""
    digest = store.put_models(models())
    files = list(store.root.iterdir())
    assert [file.name for file in files] == [f"{digest}.safetensors"]
    output = subprocess.run(
        ["sha256sum", str(files[0])], capture_output=True, text=True, check=True
    ).stdout
    assert output.split()[0] == digest


@pytest.mark.parametrize("place", [0.0, 0.01, 0.5, 0.999])
def test_load_models_when_a_byte_is_flipped_then_refuses_by_name(
    store: Artifacts, place: float
) -> None:
    """One flipped bit anywhere in the file is seen before anything is used."""
    digest = store.put_models(models())
    path = store.root / f"{digest}.safetensors"
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactCorrupt, match=rf"{digest}\.safetensors must have the digest"):
        store.load_models(digest)


def test_load_models_when_the_file_is_cut_then_refuses(store: Artifacts) -> None:
    """A partial copy is not an artefact."""
    digest = store.put_models(models())
    path = store.root / f"{digest}.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ArtifactCorrupt):
        store.load_models(digest)


def test_put_models_when_the_file_was_damaged_then_heals_it(store: Artifacts) -> None:
    """Putting the artefact again is the way out that the refusal names."""
    digest = store.put_models(models())
    (store.root / f"{digest}.safetensors").write_bytes(b"")
    assert store.put_models(models()) == digest
    store.load_models(digest)


def test_load_models_when_the_bytes_are_no_model_set_then_refuses(store: Artifacts) -> None:
    """A file with the right digest and another content is not used either."""
    digest = store._put(b"\x10" + bytes(40), "safetensors")
    with pytest.raises(ArtifactCorrupt, match=f"{digest} is no model set"):
        store.load_models(digest)


def test_load_models_when_the_format_is_another_then_refuses(
    store: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later format is named, not guessed at."""
    monkeypatch.setattr(artifacts, "FORMAT", "tradewind-models-2")
    digest = store.put_models(models())
    monkeypatch.undo()
    with pytest.raises(ArtifactCorrupt, match="was tradewind-models-2"):
        store.load_models(digest)


@pytest.mark.parametrize("digest", ["0" * 64, "../../etc/passwd", "A" * 64, ""])
def test_load_models_when_the_digest_is_unknown_or_none_then_says_so(
    store: Artifacts, digest: str
) -> None:
    """A digest never becomes a path outside the store."""
    with pytest.raises(ArtifactMissing):
        store.load_models(digest)


def test_put_models_when_a_metric_is_not_finite_then_refuses(store: Artifacts) -> None:
    """JSON has no NaN, and a reader in another language must be able to read it."""
    broken = models()._replace(metadata={"rank_ic": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.put_models(broken)
    assert store.list_models() == ()


def test_put_models_when_writing_fails_then_leaves_nothing_behind(
    store: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves neither a broken artefact nor a temporary file."""

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        store.put_models(models())
    assert list(store.root.iterdir()) == []


def test_find_when_asked_for_metadata_then_gives_matching_digests(store: Artifacts) -> None:
    """All given entries must match; an unknown key matches nothing."""
    daily = {store.put_models(models(seed)) for seed in (1, 2)}
    hourly = store.put_models(models(1, timeframe="1hour"))
    assert store.find(timeframe="1d") == tuple(sorted(daily))
    assert store.find(timeframe="1hour", seed=1) == (hourly,)
    assert store.find(timeframe="1hour", seed=2) == ()
    assert store.find(unknown=None) == ()


def test_json_when_keys_come_in_another_order_then_is_the_same_artefact(store: Artifacts) -> None:
    """Documents have one canonical form, and are kept apart from models."""
    digest = store.put_json({"limits": [0.25, 1.5], "name": "Zürich"})
    assert store.put_json({"name": "Zürich", "limits": [0.25, 1.5]}) == digest
    assert store.load_json(digest) == {"limits": [0.25, 1.5], "name": "Zürich"}
    assert store.list_json() == (digest,)
    assert store.list_models() == ()


def test_load_models_when_imported_alone_then_needs_no_training_library() -> None:
    """Serving starts without torch, scikit-learn, scipy and pandas."""
    program = (
        "import sys, tables.stores.artifacts\n"
        "print(*sorted({'torch', 'sklearn', 'scipy', 'pandas', 'faust'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


def test_find_when_a_set_of_another_program_is_there_then_passes_it_over(store: Artifacts) -> None:
    """An upgrade must not make the store of the version before a damaged one."""
    header = {"format": FORMAT, "metadata": {"fit_version": 1}, "specialists": {"gone": 1}}
    data = save({"specialists.old": np.zeros(3)}, {"tradewind": canonical_json(header).decode()})
    digest = hashlib.sha256(data).hexdigest()
    store.root.mkdir(parents=True, exist_ok=True)
    (store.root / f"{digest}.safetensors").write_bytes(data)
    assert store.find(fit_version=2) == ()
    assert store.find(fit_version=1) == (digest,)
