"""Epochs as the stages use them: the document and its models, loaded once by digest."""

from typing import NamedTuple

import msgspec

from models.features.catalogue import PIPELINE_VERSION, pipeline_digest
from models.model_set import ModelSet
from streams.epochs import Epoch
from streams.errors import SettingsError
from tables.stores.artifacts import Artifacts


class LoadedEpoch(NamedTuple):
    """An epoch ready to decide with."""

    digest: str
    epoch: Epoch
    models: ModelSet


class Epochs:
    """Loads epochs by digest; an epoch that cannot be used stops its stage.

    Parameters
    ----------
    artifacts
        Where documents and models are kept by digest.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._loaded: dict[str, LoadedEpoch] = {}

    def put(self, epoch: Epoch) -> str:
        """Keep a document and return its digest."""
        epoch.check()
        return self._artifacts.put_json(epoch.document())

    def load(self, digest: str) -> LoadedEpoch:
        """Return the epoch of a digest.

        Raises
        ------
        SettingsError
            If the document names another feature pipeline than this program computes.
        """
        loaded = self._loaded.get(digest)
        if loaded is None:
            epoch = msgspec.convert(self._artifacts.load_json(digest), Epoch)
            _check_pipeline(epoch)
            loaded = LoadedEpoch(digest, epoch, self._artifacts.load_models(epoch.models))
            self._loaded[digest] = loaded
        return loaded


def _check_pipeline(epoch: Epoch) -> None:
    expected = (PIPELINE_VERSION, pipeline_digest())
    found = (epoch.pipeline_version, epoch.pipeline_digest)
    if found != expected:
        raise SettingsError(
            f"the epoch was made for feature pipeline {found[0]} ({found[1][:12]}); this program "
            f"computes {expected[0]} ({expected[1][:12]}): deploy the version that fits, or "
            "announce a new epoch"
        )
