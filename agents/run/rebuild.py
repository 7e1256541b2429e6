"""A model set made once more from its lineage: bars, settings, seed. The same digest must come."""

from pathlib import Path
from typing import Any

from agents.run.fit import predecessor
from agents.run.learn import Learner
from agents.run.learning_bars import FileSource, JournalSource, Source
from agents.run.parity import parity_of
from agents.run.progress import Progress
from models.learning.settings import Settings
from streams.errors import SettingsError
from streams.sources.bridge import NAME, BridgeTape
from streams.sources.files import open_tape
from tables.stores.artifacts import Artifacts
from tables.stores.bar_journal import BarJournal


def rebuilt(home: Path, digest: str, source: Source, progress: Progress) -> str:
    """Make a fitted or updated model set anew, and return the digest of what comes.

    Parameters
    ----------
    home
        The stack's folder.
    digest
        A set of its store.
    source
        Of its bars, see :func:`source_of`.
    progress
        Told the step and its finished share.

    Raises
    ------
    SettingsError
        If another version of fitting made it.
    TapeError, ArtifactError
        If its bars are gone, or others.
    """
    artifacts = Artifacts(home / "artifacts")
    metadata = artifacts.load_models(digest).metadata
    if "learned" in metadata:
        return Learner(home, source, Settings(), progress).rebuilt(digest)
    return _refitted(artifacts, metadata, source, progress)


def source_of(home: Path, digest: str, file: Path | None, progress: Progress) -> Source:
    """Return where a set's bars are: in a file, with the demo's stocks, or in what was kept."""
    metadata = Artifacts(home / "artifacts").load_models(digest).metadata
    origin = metadata.get("learned", {}).get("origin", metadata)
    identity = str(origin.get("source", ""))
    if file is not None:
        return FileSource(open_tape(file, timeframe=metadata["timeframe"]), home, progress)
    if identity.startswith(NAME):
        return FileSource(BridgeTape(), home, progress)
    return JournalSource(BarJournal(home / "learning" / "bars"), home)


def _refitted(
    artifacts: Artifacts, metadata: dict[str, Any], source: Source, progress: Progress
) -> str:
    # Imported here: only fitting needs PyTorch and scikit-learn.
    from models.recipe import FIT_VERSION, config  # noqa: PLC0415  heavy
    from models.training import fit  # noqa: PLC0415  heavy

    if (metadata["fit_version"], metadata["config"]) != (FIT_VERSION, config()):
        raise SettingsError(
            f"the models were fitted by version {metadata['fit_version']} with other settings; "
            f"this program is version {FIT_VERSION}: check out {metadata['code']} to build them"
        )
    prepared = source.of_base(metadata)
    fitted = fit(
        prepared,
        timeframe=metadata["timeframe"],
        seed=metadata["seed"],
        progress=progress,
        previous=predecessor(artifacts, metadata["previous"]),
    )
    # What the program was is a part of the lineage, and nothing that could be made again.
    added = {
        "source": metadata["source"],
        "code": metadata["code"],
        "risk_parity": parity_of(prepared.history),
    }
    return artifacts.put_models(fitted._replace(metadata={**fitted.metadata, **added}))
