"""A backtest: a range of a tape through the chain in this process, and what came of it."""

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agents.run.fit import models_for, plan
from agents.run.in_process import Books, InProcess, play
from agents.run.parity import remarks
from agents.run.progress import Progress
from agents.run.terms import Changes, epoch_of
from models.backtest.sheet import Sheet
from models.features.catalogue import WARMUP_BARS
from streams.dead_letters import DeadLetter
from streams.epochs import Epoch
from streams.errors import SettingsError, TapeError
from streams.settings import Settings
from streams.sources.replay import Stretch
from streams.sources.tape import Tape
from streams.timestamps import format_ns
from tables.backtest import Measured, Recorder, measured
from tables.decisions import Told
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tables.stores.backtest_folder import BacktestFolder

FRESH_BOOK = (
    "fresh: begins with its cash and no positions, whatever a live stack holds; a backtest, and no "
    "record of what was traded"
)

# Below a year of it, a number of a year says little.
_YEAR_NS = 365 * 86_400_000_000_000
_NAMED = 5

# Objects made before the youngest are looked through: about a bar of 2,000 symbols.
_YOUNG = 200_000


class Span(NamedTuple):
    """What is folded, from which close on it counts, and how many bars that are."""

    folded: Stretch
    from_ns: int
    n_bars: int


class Result(NamedTuple):
    """What came of a backtest, for people and for files."""

    recorder: Recorder
    measured: dict[str, Measured]
    summary: dict[str, Any]


def span_of(tape: Tape, from_ns: int | None, to_ns: int | None) -> Span:
    """Return what of a tape to fold for a range: the bars before it warm features up.

    Raises
    ------
    TapeError
        If the range has no bar; the message says what there is.
    """
    closes = tape.closes_ns()
    first = closes[0] if from_ns is None else from_ns
    last = closes[-1] if to_ns is None else to_ns
    wanted = [close for close in closes if first <= close <= last]
    if not wanted:
        raise TapeError(
            f"{tape.name} has {len(closes)} bars from {format_ns(closes[0])} to "
            f"{format_ns(closes[-1])}; expected some from {format_ns(first)} to {format_ns(last)}"
        )
    before = sum(close < wanted[0] for close in closes)
    # One bar less than features need: the first bar of the range is the first warm one.
    begin = closes[max(before - WARMUP_BARS + 1, 0)]
    n_bars = len(wanted) + min(before, WARMUP_BARS - 1)
    return Span(Stretch(begin, wanted[-1]), wanted[0], n_bars)


@dataclass
class FileBacktest:
    """A tape, the models that decide it, and what is otherwise than the settings say.

    Parameters
    ----------
    home
        The stack's directory.
    tape
        What is folded.
    models
        Digest of the models; None fits some on the tape's first half, or on all before ``from_ns``,
        and shows the rest.
    from_ns, to_ns
        First and last close that count.
    changes
        What differs from the settings.
    """

    home: Path
    tape: Tape
    models: str | None
    from_ns: int | None
    to_ns: int | None
    changes: Changes = Changes()  # noqa: RUF009  a NamedTuple is never changed
    settings: Settings = field(default_factory=Settings.read)

    @property
    def artifacts(self) -> Artifacts:
        """The stack's store of models and documents."""
        return Artifacts(self.home / "artifacts")

    @property
    def source(self) -> str:
        """What is folded, for people."""
        return self.tape.name

    def check(self) -> Span:
        """Refuse what cannot work before anything runs, and return what will.

        Raises
        ------
        SettingsError, TapeError, ArtifactError, ModelError
            With what was found and what was expected.
        """
        if self.models is None:
            self._epoch("models to come", {}).check()
            planned = plan(self.tape, fit_until_ns=None, show_from_ns=self.from_ns)
            return span_of(self.tape, planned.shown_from_ns, self.to_ns)
        metadata = self.artifacts.load_models(self.models).metadata
        if metadata["timeframe"] != self.tape.timeframe:
            raise SettingsError(
                f"models {self.models[:12]} decide bars of {metadata['timeframe']}; expected those "
                f"of {self.tape.name}, which are of {self.tape.timeframe}"
            )
        Epochs(self.artifacts).put(self._epoch(self.models, metadata))
        return span_of(self.tape, self.from_ns, self.to_ns)

    def fitted(self, progress: Progress) -> str:
        """Return the digest of the models: those given, or found, or fitted now."""
        if self.models is None:
            planned = plan(self.tape, fit_until_ns=None, show_from_ns=self.from_ns)
            self.models, _ = models_for(self.tape, planned.fitted, self.artifacts, progress)
        return self.models

    def run(self, folder: BacktestFolder, span: Span, progress: Progress) -> Result:
        """Fold the range and measure what came of it; ``fitted`` comes first."""
        digest = self.fitted(progress)
        metadata = self.artifacts.load_models(digest).metadata
        epoch = self._epoch(digest, metadata)
        epochs = Epochs(self.artifacts)
        loaded = epochs.load(epochs.put(epoch))
        books = Books(epochs, epoch.n_partitions)
        chain = InProcess(epochs, epoch.n_partitions, books.take)
        taking = Taking(folder, lambda n_bars: progress("bars", n_bars / span.n_bars))
        with collected():
            for said in play(chain, loaded, self.tape, span.folded):
                taking.take(said)
        told = [*remarks(epoch), *sample(metadata, self.tape.symbols, span.from_ns)]
        facts = [
            ("Data", self.tape.name),
            ("Range", f"{format_ns(span.from_ns)} to {format_ns(span.folded.last_close_ns)}"),
            ("Models", f"{digest[:12]}, {fitted_on(metadata)}"),
            ("Book", FRESH_BOOK),
            *self.changes.facts(),
        ]
        source = {"kind": "tape", "name": self.tape.name, "identity": self.tape.identity}
        return result_of(taking.recorder, span.from_ns, Said(facts, told, source, [epoch]))

    def _epoch(self, models: str, metadata: dict[str, Any]) -> Epoch:
        epoch = epoch_of(self.settings, self.tape, models, metadata, self.artifacts, self.changes)
        epoch.check()
        return epoch


class Taking:
    """Takes what a chain says into a folder, and tells how many bars were decided."""

    def __init__(self, folder: BacktestFolder, advanced: Callable[[int], None]) -> None:
        self.recorder = Recorder(folder.keep)
        self._advanced = advanced
        self._n_bars, self._decided_ns = 0, -1

    def take(self, said: Told | DeadLetter) -> None:
        """Take one saying."""
        self.recorder.take(said)
        if self.recorder.decided_ns > self._decided_ns:
            self._decided_ns = self.recorder.decided_ns
            self._n_bars += 1
            self._advanced(self._n_bars)


@contextmanager
def collected() -> Iterator[None]:
    """Look for garbage seldom, and not among what is there already: bars make none in circles."""
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def fitted_on(metadata: dict[str, Any]) -> str:
    """Say on what models were fitted."""
    return (
        f"fitted on bars of {metadata['timeframe']} from {format_ns(metadata['first_close_ns'])} "
        f"to {format_ns(metadata['last_close_ns'])}"
    )


def sample(metadata: dict[str, Any], symbols: Iterable[str], from_ns: int) -> list[str]:
    """Say what of a range the models knew when they were fitted, and what they never saw.

    A set that succeeds another began where that one ended or before, so its own last bar is the
    last of its line.
    """
    told = []
    if from_ns <= metadata["last_close_ns"]:
        told.append(
            f"IN SAMPLE (look-ahead) until {format_ns(metadata['last_close_ns'])}: the models were "
            "fitted on these very bars, so results there say nothing about what comes"
        )
    unknown = sorted(set(symbols) - set(metadata["symbols"]))
    if unknown:
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        told.append(
            f"The models were fitted without {', '.join(unknown[:_NAMED])}{more}; they decide them "
            "by what they learned from others"
        )
    return told


class Said(NamedTuple):
    """What a backtest says of itself: facts and remarks for people, source and epochs for files."""

    facts: list[tuple[str, str]]
    remarks: list[str]
    source: dict[str, Any]
    epochs: list[Epoch]


def result_of(recorder: Recorder, from_ns: int, said: Said) -> Result:
    """Measure what was recorded and put it into words."""
    results = {name: measured(kept, from_ns) for name, kept in sorted(recorder.kept.items())}
    digests, total = recorder.identity.digests(), recorder.identity.total()
    summary = {
        "version": 1,
        "book": "fresh",
        "facts": [*said.facts, ("SHA-256 of all decisions", total)],
        "remarks": [*said.remarks, *_cautions(recorder, results)],
        "source": said.source,
        "hash": total,
        "n_decisions": recorder.identity.n_decisions(),
        "n_symbol_bars": recorder.n_rows,
        "dead_letters": dict(sorted(recorder.dead_letters.items())),
        "alerts": dict(sorted(recorder.alerts.items())),
        "epochs": [epoch.document() for epoch in said.epochs],
        "portfolios": {
            name: {
                "hash": digests.get(name, ""),
                "n_warmup_bars": found.n_warmup_bars,
                "verdicts": dict(sorted(recorder.kept[name].verdicts.items())),
                "refused_because": dict(sorted(recorder.kept[name].rejections.items())),
                "sheet": _plain(found.sheet),
            }
            for name, found in results.items()
        },
    }
    return Result(recorder, results, summary)


def _cautions(recorder: Recorder, results: dict[str, Measured]) -> Iterator[str]:
    if recorder.dead_letters:
        counts = ", ".join(f"{k} {n:,}" for k, n in sorted(recorder.dead_letters.items()))
        yield f"Records that could not be used: {counts}"
    sheets = [found.sheet for found in results.values() if found.sheet]
    if sheets and sheets[0].last_ns - sheets[0].first_ns < _YEAR_NS:
        yield "Less than a year: what is annualised is that far from what was measured"


def _plain(sheet: Sheet | None) -> Any:  # noqa: ANN401  a JSON value
    if sheet is None:
        return None
    plain = sheet._asdict()
    plain["drawdowns"] = [fall._asdict() for fall in sheet.drawdowns]
    return msgspec.to_builtins(plain)
