"""Epochs as the stages use them: the document and its models, loaded once by digest."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from models.features.catalogue import PIPELINE_VERSION, pipeline_digest
from models.model_set import ModelSet
from models.risk.sessions import Sessions
from models.rollout.assignment import challenged
from streams.epochs import AROUND_THE_CLOCK, Epoch
from streams.errors import RecordError, SettingsError
from tables.calendars import decode_sessions
from tables.stores.artifacts import Artifacts

_DIGEST = re.compile(r"[0-9a-f]{64}")


class LoadedEpoch(NamedTuple):
    """An epoch ready to decide with; ``sessions`` are by name of the calendar.

    ``challenger`` are the models that a rollout runs beside the epoch's; None without one.
    """

    digest: str
    epoch: Epoch
    models: ModelSet
    sessions: Mapping[str, Sessions] = MappingProxyType({})
    challenger: ModelSet | None = None

    def challenged(self, portfolio: str) -> frozenset[str]:
        """Return the symbols of a portfolio for which the challenger decides."""
        rollout = self.epoch.rollout
        if rollout is None or not rollout.share:
            return frozenset()
        return challenged(rollout.id, portfolio, self.epoch.symbols(), rollout.share)

    def hours(self) -> tuple[Sessions, ...]:
        """Return the sessions of all markets; nothing where one of them never closes."""
        calendars = {instrument.calendar for instrument in self.epoch.instruments}
        if AROUND_THE_CLOCK in calendars:
            return ()
        return tuple(self.sessions[name] for name in sorted(calendars))

    def models_of(self, portfolio: str, symbol: str) -> ModelSet:
        """Return the models that decide for a symbol of a portfolio."""
        if self.challenger is not None and symbol in self.challenged(portfolio):
            return self.challenger
        return self.models


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
        RecordError
            ``BAD_DIGEST`` if the text can be no digest: whoever made that record is no stage.
        ArtifactMissing
            If the document or the models are not here.
        SettingsError
            If the document names another feature pipeline than this program computes, or models
            that were fitted on another.
        """
        loaded = self._loaded.get(digest)
        if loaded is None:
            if not _DIGEST.fullmatch(digest):
                text = f"epoch_digest was {digest[:80]!r}; expected 64 hexadecimal digits"
                raise RecordError("BAD_DIGEST", text)
            epoch = msgspec.convert(self._artifacts.load_json(digest), Epoch)
            _check_pipeline(epoch)
            sessions = {
                name: decode_sessions(self._artifacts.load_json(kept))
                for name, kept in sorted(epoch.calendars.items())
            }
            models = self.models_for(epoch, epoch.models)
            rollout = epoch.rollout
            challenger = None if rollout is None else self.models_for(epoch, rollout.challenger)
            loaded = LoadedEpoch(digest, epoch, models, sessions, challenger)
            self._loaded[digest] = loaded
        return loaded

    def models_for(self, epoch: Epoch, digest: str) -> ModelSet:
        """Return models that can decide in an epoch.

        Raises
        ------
        ArtifactMissing
            If they are not here.
        SettingsError
            If they were fitted on another feature pipeline.
        """
        models = self._artifacts.load_models(digest)
        _check_models(epoch, digest, models)
        return models

    def start_of(self, digest: str) -> str:
        """Return the digest of the models that others learned from; empty for a fit.

        Raises
        ------
        ArtifactMissing
            If they are not here.
        """
        metadata = self._artifacts.load_models(digest).metadata
        return str(metadata.get("learned", {}).get("start", ""))


def _check_pipeline(epoch: Epoch) -> None:
    expected = (PIPELINE_VERSION, pipeline_digest())
    found = (epoch.pipeline_version, epoch.pipeline_digest)
    if found != expected:
        raise SettingsError(
            f"the epoch was made for feature pipeline {found[0]} ({found[1][:12]}); this program "
            f"computes {expected[0]} ({expected[1][:12]}): deploy the version that fits, or "
            "announce a new epoch"
        )


def _check_models(epoch: Epoch, digest: str, models: ModelSet) -> None:
    found = str(models.metadata.get("pipeline_digest"))
    if found != epoch.pipeline_digest:
        raise SettingsError(
            f"models {digest[:12]} were fitted on features of pipeline {found[:12]}; this "
            f"program computes {epoch.pipeline_digest[:12]}: train again, or deploy the version "
            "that fits"
        )
