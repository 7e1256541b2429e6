"""Where an update's bars are from: a file's tape, or the days that the live stack has kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agents.run.fit import features_for
from agents.run.progress import Progress
from models.features.catalogue import WARMUP_BARS
from models.learning.settings import Settings
from models.prepared import Prepared
from models.specialists.window import LENGTH_BARS
from streams.errors import TapeError
from streams.sources.replay import Stretch as Range
from streams.sources.tape import Tape
from streams.timestamps import format_ns
from tables.learning import DAY_NS, before, between, in_order
from tables.stores.artifacts import ArtifactMissing
from tables.stores.bar_journal import BarJournal, Stretch
from tables.stores.feature_store import FeatureStore

# Bars before the window that only look back: regimes are smoothed, attention has 16 bars.
_BEFORE_BARS = 45
# The bars of a fit go on in the days that were kept live if no more lies between: a long holiday.
_HOLE_DAYS = 7


class Source(Protocol):
    """Bars to learn from and be judged on."""

    def stretch(self, settings: Settings, fitted: Mapping[str, Any], /) -> Stretch:
        """Return the last days, as many as window and gate take, with some before.

        ``fitted`` is the metadata of the fit whose successors learn.
        """
        ...

    def again(self, origin: Mapping[str, Any]) -> Prepared:
        """Return the bars of an origin, the very ones."""
        ...

    def of_base(self, metadata: Mapping[str, Any]) -> Prepared:
        """Return the bars that a model set was fitted on."""
        ...


@dataclass(frozen=True)
class FileSource:
    """A tape, up to a close.

    Parameters
    ----------
    tape, home, progress
        What is read, the stack's folder that keeps features, and who is told how far it is.
    until_ns
        The last close that is known; None for the tape's.
    """

    tape: Tape
    home: Path
    progress: Progress
    until_ns: int | None = None

    def stretch(self, settings: Settings, _fitted: Mapping[str, Any]) -> Stretch:
        """Return the last days before the end, with the bars that warm features up."""
        closes = [c for c in self.tape.closes_ns() if self.until_ns is None or c <= self.until_ns]
        if not closes:
            raise TapeError(f"{self.tape.name} has no bar until {format_ns(self.until_ns or 0)}")
        days = settings.window_days + settings.gate_days
        n_before = sum(close <= closes[-1] - days * DAY_NS for close in closes)
        first = max(n_before - WARMUP_BARS - LENGTH_BARS, 0)
        return self._of(closes[first], closes[-1])

    def again(self, origin: Mapping[str, Any]) -> Prepared:
        """Return the bars of an origin.

        Raises
        ------
        TapeError
            If the file is another one.
        """
        if origin["source"] != self.tape.identity:
            raise TapeError(
                f"{self.tape.name} is {self.tape.identity}; expected {origin['source']}"
            )
        return self._of(origin["first_close_ns"], origin["last_close_ns"]).prepared

    def of_base(self, metadata: Mapping[str, Any]) -> Prepared:
        """Return the bars of a fit: those kept, or the tape's if it is the one fitted on."""
        kept = _kept(self.home, metadata)
        if kept is not None:
            return kept
        if metadata["source"] != self.tape.identity:
            raise _no_base(metadata)
        fitted = Range(metadata["first_close_ns"], metadata["last_close_ns"])
        return features_for(self.tape, fitted, self.home, self.progress)

    def _of(self, first_ns: int, last_ns: int) -> Stretch:
        prepared = features_for(self.tape, Range(first_ns, last_ns), self.home, self.progress)
        origin = {
            "kind": "file",
            "source": self.tape.identity,
            "first_close_ns": first_ns,
            "last_close_ns": last_ns,
        }
        return Stretch(prepared, origin)


@dataclass(frozen=True)
class JournalSource:
    """The days that the live stack has kept, and before them what it was fitted on."""

    journal: BarJournal
    home: Path

    def stretch(self, settings: Settings, fitted: Mapping[str, Any]) -> Stretch:
        """Return the last days that are kept.

        Where the stack has not been live for the whole window, the bars of the fit that lie just
        before its first day are the others. They only teach: whoever was fitted on a bar is not
        judged on it.
        """
        found = self.journal.stretch(self._days(settings.window_days + settings.gate_days))
        closes = found.prepared.history.close_ns
        from_ns = int(closes[-1]) - (settings.window_days + settings.gate_days) * DAY_NS
        is_judged = closes[0] <= closes[-1] - settings.gate_days * DAY_NS
        if closes[0] <= from_ns or not is_judged:
            return found
        key = _key(fitted)
        kept = FeatureStore(self.home / "features").get(key)
        if kept is None:
            return found
        earlier = before(kept, int(closes[0]), since_ns=from_ns, n_more=_BEFORE_BARS)
        ends = earlier.history.close_ns
        if not len(ends) or closes[0] - ends[-1] > _HOLE_DAYS * DAY_NS:
            return found
        part = {"key": key, "first_close_ns": int(ends[0]), "last_close_ns": int(ends[-1])}
        return Stretch(in_order(earlier, found.prepared), {**found.origin, "fitted_on": part})

    def again(self, origin: Mapping[str, Any]) -> Prepared:
        """Return the bars of an origin.

        Raises
        ------
        ArtifactMissing, ArtifactCorrupt
            If they are gone, or others.
        """
        live = self.journal.again(origin)
        part = origin.get("fitted_on")
        if part is None:
            return live
        kept = FeatureStore(self.home / "features").get(part["key"])
        if kept is None:
            raise _no_base(part["key"])
        return in_order(between(kept, part["first_close_ns"], part["last_close_ns"]), live)

    def _days(self, n_days: int) -> list[int]:
        """Return the last days, and as many before them as have the bars that look back."""
        days = list(self.journal.days())
        chosen = [day for day in days if day > days[-1] - n_days]
        n_before = 0
        for day in reversed(days[: -len(chosen)]):
            if n_before >= _BEFORE_BARS:
                break
            chosen.insert(0, day)
            n_before += len(self.journal.grid(day).close_ns)
        return chosen

    def of_base(self, metadata: Mapping[str, Any]) -> Prepared:
        """Return the bars of a fit, if the stack still has them."""
        kept = _kept(self.home, metadata)
        if kept is None:
            raise _no_base(metadata)
        return kept


def _kept(home: Path, metadata: Mapping[str, Any]) -> Prepared | None:
    """Return the features that the fit itself kept; its key is in the metadata."""
    return FeatureStore(home / "features").get(_key(metadata))


def _key(metadata: Mapping[str, Any]) -> dict[str, Any]:
    names = (
        "source",
        "first_close_ns",
        "timeframe",
        "pipeline_digest",
        "last_close_ns",
        "symbols",
    )
    return {name: metadata[name] for name in names}


def _no_base(metadata: Mapping[str, Any]) -> ArtifactMissing:
    return ArtifactMissing(
        f"the bars that the models were fitted on are not kept any more ({metadata['source']}): "
        "give their file once, `tradewind learn --file FILE`, and what they tell is kept for good"
    )
