"""Where an update's bars are from: which stretch, and the very same ones again."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from agents.run import learning_bars
from agents.run.learning_bars import FileSource, JournalSource
from models.features.catalogue import WARMUP_BARS
from models.learning.settings import Settings
from models.prepared import Prepared
from models.specialists.window import LENGTH_BARS
from streams.errors import TapeError
from streams.sources.replay import Stretch as Range
from tables.learning import DAY_NS, Day
from tables.stores.artifacts import ArtifactMissing
from tables.stores.bar_journal import BarJournal
from tables.stores.feature_store import FeatureStore
from tests.learning_worlds import fitted, prepared

N_DAYS = 500
SETTINGS = Settings(window_days=30, gate_days=20)


class Tape(NamedTuple):
    """A tape with a bar a day."""

    name: str = "bars.csv"
    identity: str = "drawn"

    def closes_ns(self) -> list[int]:
        """Return the closes."""
        return [DAY_NS * day for day in range(1, N_DAYS + 1)]


class Asked(NamedTuple):
    """A file's source, and the ranges whose features were asked for."""

    source: FileSource
    ranges: list[Range]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Give a source whose features are drawn."""
    ranges: list[Range] = []

    def features(_tape: Any, of: Range, home: Path, _progress: Any) -> Prepared:  # noqa: ANN401  not looked at
        assert home == tmp_path
        ranges.append(of)
        return prepared()

    monkeypatch.setattr(learning_bars, "features_for", features)
    return Asked(FileSource(Tape(), tmp_path, lambda *_: None), ranges)


def test_stretch_when_a_file_is_long_then_takes_the_days_and_what_warms_them_up(
    asked: Asked,
) -> None:
    """50 days, before them the bars that features and attention look back on."""
    found = asked.source.stretch(SETTINGS, {})
    first = N_DAYS - 50 + 1 - WARMUP_BARS - LENGTH_BARS
    assert asked.ranges == [Range(DAY_NS * first, DAY_NS * N_DAYS)]
    assert found.origin == {
        "kind": "file",
        "source": "drawn",
        "first_close_ns": DAY_NS * first,
        "last_close_ns": DAY_NS * N_DAYS,
    }


def test_stretch_when_an_end_is_given_then_later_bars_are_unknown(asked: Asked) -> None:
    """A short file is taken from its first bar; one that begins later has none."""
    source = FileSource(Tape(), asked.source.home, asked.source.progress, DAY_NS * 60 + 5)
    source.stretch(SETTINGS, {})
    assert asked.ranges == [Range(DAY_NS, DAY_NS * 60)]
    early = FileSource(Tape(), asked.source.home, asked.source.progress, 5)
    with pytest.raises(TapeError, match=r"bars\.csv has no bar until 1970-01-01T00:00:00"):
        early.stretch(SETTINGS, {})


def test_again_when_the_file_is_the_same_then_gives_the_range_of_the_origin(asked: Asked) -> None:
    """A model is made again from its own bars, and from no other file's."""
    origin = {"source": "drawn", "first_close_ns": 5, "last_close_ns": 9}
    asked.source.again(origin)
    assert asked.ranges == [Range(5, 9)]
    with pytest.raises(TapeError, match=r"bars\.csv is drawn; expected another"):
        asked.source.again(origin | {"source": "another"})


def test_of_base_when_the_fit_s_bars_are_kept_then_no_file_is_read(
    asked: Asked, tmp_path: Path
) -> None:
    """What the fit computed is found by what names it."""
    metadata = fitted().metadata
    key = {
        name: metadata[name]
        for name in (
            "source",
            "first_close_ns",
            "timeframe",
            "pipeline_digest",
            "last_close_ns",
            "symbols",
        )
    }
    FeatureStore(tmp_path / "features").put(key, prepared())
    for source in (asked.source, JournalSource(BarJournal(tmp_path / "bars"), tmp_path)):
        assert source.of_base(metadata).history.symbols == prepared().history.symbols
    assert asked.ranges == []


def test_of_base_when_nothing_is_kept_then_the_fit_s_own_file_will_do(
    asked: Asked, tmp_path: Path
) -> None:
    """Another file would give other information; the message says which one is wanted."""
    metadata = fitted().metadata
    asked.source.of_base(metadata)
    assert asked.ranges == [Range(metadata["first_close_ns"], metadata["last_close_ns"])]
    with pytest.raises(ArtifactMissing, match=r"not kept any more \(other\).*--file FILE"):
        asked.source.of_base(fitted(source="other").metadata)
    with pytest.raises(ArtifactMissing, match=r"not kept any more \(drawn\)"):
        JournalSource(BarJournal(tmp_path / "bars"), tmp_path).of_base(metadata)


def test_stretch_when_days_were_kept_live_then_takes_the_last_and_finds_them_again(
    tmp_path: Path,
) -> None:
    """Window and gate, 45 bars before them; the origin names days and offsets."""
    journal = BarJournal(tmp_path / "bars")
    for number in range(120):
        bar = prepared(n_bars=1, first_day=number + 1, seed=number)
        journal.keep(Day(number, bar, {0: (number, number)}))
    source = JournalSource(journal, tmp_path)
    found = source.stretch(SETTINGS, {})
    closes = found.prepared.history.close_ns
    assert (closes[0], closes[-1], len(closes)) == (DAY_NS * 26, DAY_NS * 120, 95)
    again = source.again(found.origin)
    assert again.history.close_ns.tolist() == closes.tolist()
    assert again.features.tobytes() == found.prepared.features.tobytes()


class Young(NamedTuple):
    """A stack that has been live for some days, and the bars that it was fitted on."""

    source: JournalSource
    fitted: dict[str, Any]

    @classmethod
    def of(cls, home: Path, first_day: int, n_days: int) -> "Young":
        """Keep the bars of a fit, which ends on day 1079, and days of bars behind it."""
        metadata = fitted().metadata
        key = learning_bars._key(metadata)
        FeatureStore(home / "features").put(key, prepared())
        journal = BarJournal(home / "bars")
        for number in range(first_day, first_day + n_days):
            bar = prepared(n_bars=1, first_day=number, seed=number)
            journal.keep(Day(number - 1, bar, {0: (number, number)}))
        return cls(JournalSource(journal, home), metadata)


def test_stretch_when_the_stack_is_young_then_the_fit_s_last_bars_teach_as_well(
    tmp_path: Path,
) -> None:
    """22 live days judge; what lacks of the window, and 45 bars that look back, are the fit's."""
    young = Young.of(tmp_path, first_day=1_080, n_days=22)
    found = young.source.stretch(SETTINGS, young.fitted)
    closes = found.prepared.history.close_ns
    # Behind day 1051 lie the 50 days until 1101: 28 of the fit, 22 live, and 45 bars before them.
    assert closes.tolist() == [DAY_NS * day for day in range(1_007, 1_102)]
    assert found.prepared.features[:73].tobytes() == prepared().features[7:].tobytes()
    again = young.source.again(found.origin)
    assert again.features.tobytes() == found.prepared.features.tobytes()
    for file in (tmp_path / "features").iterdir():
        file.unlink()
    assert len(young.source.stretch(SETTINGS, young.fitted).prepared.history.close_ns) == 22
    with pytest.raises(ArtifactMissing, match="not kept any more"):
        young.source.again(found.origin)


@pytest.mark.parametrize(
    ("first_day", "n_days"), [(1_080, 20), (1_088, 30), (1_000, 30)], ids=["judge", "hole", "old"]
)
def test_stretch_when_the_fit_does_not_lead_up_to_it_then_days_stay_few(
    tmp_path: Path, first_day: int, n_days: int
) -> None:
    """Who was fitted on a bar is not judged on it, and nothing bridges more than a week."""
    young = Young.of(tmp_path, first_day, n_days)
    found = young.source.stretch(SETTINGS, young.fitted)
    assert len(found.prepared.history.close_ns) == n_days
    assert "fitted_on" not in found.origin


def test_stretch_when_bars_are_short_then_a_day_of_them_is_enough_to_look_back(
    tmp_path: Path,
) -> None:
    """45 bars, not 45 days: of minutes that would be half of what is held in memory."""
    journal = BarJournal(tmp_path / "bars")
    for number in range(60):
        bars = prepared(n_bars=48, first_day=0, seed=number)
        half_hours = DAY_NS * number + DAY_NS // 48 * np.arange(1, 49)
        bars = bars._replace(history=bars.history._replace(close_ns=half_hours))
        journal.keep(Day(number, bars, {0: (number, number)}))
    closes = JournalSource(journal, tmp_path).stretch(SETTINGS, {}).prepared.history.close_ns
    assert len(closes) == 51 * 48
