"""Models for a tape: found by what they were fitted on, or fitted now."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.run.lineage import code
from agents.run.one_training import one_training
from agents.run.parity import parity_of
from agents.run.progress import Progress
from agents.run.timings import Timings
from models.features.catalogue import WARMUP_BARS, pipeline_digest
from models.prepared import Prepared, prepare
from models.recipe import FIT_VERSION, config
from models.specialists.split import split
from streams.errors import SettingsError, TapeError
from streams.settings import Settings
from streams.sources.replay import Stretch
from streams.sources.tape import Tape
from streams.timestamps import format_ns
from tables.history import history_of
from tables.stores.artifacts import Artifacts, canonical_json
from tables.stores.checkpoints import Checkpoints
from tables.stores.feature_store import FeatureStore

if TYPE_CHECKING:
    from models.regime.succession import Predecessor

SEED = 7


class Plan(NamedTuple):
    """How a tape is used: fitted on its early part, replayed from before the late part.

    ``replay`` begins ``WARMUP_BARS`` bars before ``shown_from_ns``, so that features are warm when
    the part that is shown begins.
    """

    fitted: Stretch
    replay: Stretch
    shown_from_ns: int


def plan(tape: Tape, *, fit_until_ns: int | None, show_from_ns: int | None) -> Plan:
    """Split a tape: by the times given, before what is shown, or in the middle.

    Raises
    ------
    TapeError
        If a part has no bars; the message says how many bars there are and how many are needed.
    HistoryTooShort
        If the part to fit on is too short; the message says how many bars are missing.
    """
    closes = tape.closes_ns()
    if fit_until_ns is not None:
        until_ns = fit_until_ns
    else:
        until_ns = closes[len(closes) // 2] if show_from_ns is None else show_from_ns - 1
    from_ns = show_from_ns if show_from_ns is not None else until_ns + 1
    n_before = sum(close < from_ns for close in closes)
    n_shown = len(closes) - n_before
    n_fitted = sum(close <= until_ns for close in closes)
    if n_shown == 0 or n_fitted == 0:
        raise TapeError(
            f"{tape.name} has {len(closes)} bars from {format_ns(closes[0])} to "
            f"{format_ns(closes[-1])}; fitting until {format_ns(until_ns)} and showing from "
            f"{format_ns(from_ns)} leaves {n_fitted} and {n_shown}: expected bars in both parts"
        )
    # Said before anything starts: fitting would find it out only after reading the whole tape.
    split(min(WARMUP_BARS - 1, n_fitted), n_fitted)
    first = max(n_before - WARMUP_BARS, 0)
    return Plan(Stretch(closes[0], until_ns), Stretch(closes[first], closes[-1]), from_ns)


def models_for(
    tape: Tape,
    stretch: Stretch,
    artifacts: Artifacts,
    progress: Progress,
    previous: str | None = None,
) -> tuple[str, bool]:
    """Return the digest of the models fitted on a stretch, and whether they were fitted now.

    Bars and features are computed once and kept beside the artefacts; a fit that was interrupted
    goes on where it was. ``previous`` is the digest of a model set of the store that these succeed,
    see :func:`why_not`; one that was fitted on these very bars in this very way has no successor.

    Raises
    ------
    ModelError
        If the stretch is too short; the message says how many bars are missing.
    """
    wanted = {
        **_bars_of(tape, stretch),
        "seed": SEED,
        "fit_version": FIT_VERSION,
        "config": config(),
    }
    if previous in artifacts.find(**wanted):
        return previous, False
    wanted["previous"] = previous
    found = artifacts.find(**wanted)
    if found:
        return found[0], False
    with one_training(artifacts.root.parent, progress):
        return _fitted(tape, stretch, artifacts, Timings(progress), wanted), True


def _fitted(
    tape: Tape, stretch: Stretch, artifacts: Artifacts, timings: Timings, wanted: dict[str, Any]
) -> str:
    # Imported here: only fitting needs PyTorch and scikit-learn, a warm start does without them.
    from models.training import fit  # noqa: PLC0415  heavy

    home = artifacts.root.parent
    prepared = prepared_for(tape, stretch, home, timings)
    key = hashlib.sha256(canonical_json(wanted)).hexdigest()
    checkpoints = Checkpoints(home / "fitting" / key)
    with on_its_device(timings):
        fitted = fit(
            prepared,
            timeframe=tape.timeframe,
            seed=SEED,
            progress=timings,
            keep=checkpoints.keep,
            previous=predecessor(artifacts, wanted["previous"]),
        )
    metadata = {
        **fitted.metadata,
        "source": tape.identity,
        "code": code(),
        "risk_parity": parity_of(prepared.history),
    }
    digest = artifacts.put_models(fitted._replace(metadata=metadata))
    checkpoints.clear()
    timings.keep(home, digest, metadata["controller"]["training"]["episodes"])
    return digest


@contextmanager
def on_its_device(timings: Timings) -> Iterator[None]:
    """Train the block's networks where the setting says.

    Raises
    ------
    SettingsError
        If that is an accelerator and PyTorch finds none.
    """
    asked = Settings.read().training_device
    if asked != "cpu":
        # What PyTorch asks for before its kernels on an accelerator give the same bits twice.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    from models.specialists.device import best, training_on  # noqa: PLC0415  needs PyTorch

    found = best()
    if asked == "cuda" != found:
        raise SettingsError(
            "training_device was 'cuda' and PyTorch finds no such device; expected a driver and a "
            "PyTorch that fit each other, or training_device auto or cpu"
        )
    with training_on("cpu" if asked == "cpu" else found, timings.fell_back):
        yield


def prepared_for(tape: Tape, stretch: Stretch, home: Path, progress: Progress) -> Prepared:
    """Return bars and features of a stretch that is long enough to fit on."""
    n_bars = sum(stretch.first_close_ns <= c <= stretch.last_close_ns for c in tape.closes_ns())
    # Said before bars are read: a history that is too short never will be enough.
    split(min(WARMUP_BARS - 1, n_bars), n_bars)
    return features_for(tape, stretch, home, progress)


def features_for(tape: Tape, stretch: Stretch, home: Path, progress: Progress) -> Prepared:
    """Return bars and features of a stretch: those kept in the stack's home, or made now."""
    store = FeatureStore(home / "features")
    key = _bars_of(tape, stretch)
    prepared = store.get(key)
    if prepared is None:
        history = history_of(tape, stretch.first_close_ns, stretch.last_close_ns, progress)
        progress("features", 0.0)
        prepared = prepare(history)
        progress("features", 1.0)
        store.put(key, prepared)
    return prepared


def _bars_of(tape: Tape, stretch: Stretch) -> dict[str, Any]:
    """Return what names the bars of a stretch and their features."""
    closes = tape.closes_ns()
    if not any(stretch.first_close_ns <= close <= stretch.last_close_ns for close in closes):
        raise TapeError(
            f"{tape.name} has bars from {format_ns(closes[0])} to {format_ns(closes[-1])}; "
            f"expected some until {format_ns(stretch.last_close_ns)}"
        )
    return {
        "source": tape.identity,
        "first_close_ns": min(c for c in tape.closes_ns() if c >= stretch.first_close_ns),
        "timeframe": tape.timeframe,
        "pipeline_digest": pipeline_digest(),
        "last_close_ns": max(c for c in tape.closes_ns() if c <= stretch.last_close_ns),
        "symbols": list(tape.symbols),
    }


def why_not(metadata: dict[str, Any], tape: Tape, stretch: Stretch) -> str:
    """Say why models with this metadata can have no successor on a stretch; empty if they can."""
    last_ns = _bars_of(tape, stretch)["last_close_ns"]
    if metadata["timeframe"] != tape.timeframe:
        return f"its bars are of {metadata['timeframe']}, expected {tape.timeframe}"
    if metadata["pipeline_digest"] != pipeline_digest():
        return (
            f"its features are those of pipeline {metadata['pipeline_digest'][:12]}, "
            f"expected {pipeline_digest()[:12]}"
        )
    if metadata["last_close_ns"] > last_ns:
        return (
            f"it knows bars until {format_ns(metadata['last_close_ns'])}, expected none after "
            f"{format_ns(last_ns)}, the last to be fitted on"
        )
    if "succession" not in metadata:
        return "it was fitted by an older version, which did not say on which bars its regimes were"
    return ""


def predecessor(artifacts: Artifacts, digest: str | None) -> "Predecessor | None":
    """Return the regimes of a model set that another one succeeds; None without one."""
    if digest is None:
        return None
    from models.regime.succession import Predecessor  # noqa: PLC0415  heavy

    models = artifacts.load_models(digest)
    return Predecessor.of(digest, models.regime, models.metadata["succession"])
