"""An update from end to end without a registry: kept, judged, told, and made again."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from agents.run.learn import Judged, Learner, Told, event_of, gate_metrics, window_of
from agents.run.lineage import line_of
from models.errors import ModelError
from models.learning import stability
from models.learning.settings import SAFE, Settings
from models.prepared import Prepared
from streams.errors import SettingsError
from tables.stores.artifacts import Artifacts
from tables.stores.bar_journal import Stretch
from tests.learning_worlds import SHORT, fitted, prepared

ORIGIN = {"kind": "drawn"}


class Drawn(NamedTuple):
    """Bars that are drawn; counts how often the base's were asked for."""

    bars: Prepared
    asked: list[int]

    def stretch(self, _settings: Settings, _fitted: object = None) -> Stretch:
        """Return all bars."""
        return Stretch(self.bars, ORIGIN)

    def again(self, origin: Mapping[str, Any]) -> Prepared:
        """Return the very bars."""
        assert origin == ORIGIN
        return self.bars

    def of_base(self, _metadata: Mapping[str, Any]) -> Prepared:
        """Return the bars of the fit."""
        self.asked.append(1)
        return prepared()


class Place(NamedTuple):
    """A stack's folder with a champion."""

    learner: Learner
    champion: str
    source: Drawn


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a folder with a fitted model set."""
    source = Drawn(prepared(first_day=1_100, seed=6), [])
    champion = Artifacts(tmp_path / "artifacts").put_models(fitted())
    return Place(Learner(tmp_path, source, SHORT, lambda *_: None), champion, source)


def test_advance_when_it_ends_then_the_set_is_kept_with_its_lineage(place: Place) -> None:
    """Base, start, bars, settings, seed and code: all that it can be made again from."""
    stretch = place.source.stretch(SHORT)
    judged = place.learner.advance(place.champion, place.champion, stretch)
    metadata = place.learner.artifacts.load_models(judged.digest).metadata
    assert metadata["learned"]["base"] == metadata["learned"]["start"] == place.champion
    assert metadata["learned"]["origin"] == ORIGIN
    assert metadata["learned"]["settings"] == SHORT.record()
    assert metadata["last_close_ns"] == int(stretch.prepared.history.close_ns[-1])
    assert judged.update is not None
    assert judged.update.penalty > 0.0


def test_rebuilt_when_made_again_then_has_the_same_digest(place: Place) -> None:
    """Also by a learner with other settings: the lineage has its own."""
    judged = place.learner.advance(place.champion, place.champion, place.source.stretch(SHORT))
    other = replace(place.learner, settings=SAFE)
    assert other.rebuilt(judged.digest) == judged.digest


def test_rebuilt_when_the_set_was_fitted_then_says_so(place: Place) -> None:
    """A fit is made again by fitting."""
    with pytest.raises(SettingsError, match="did not learn: they were fitted"):
        place.learner.rebuilt(place.champion)


def test_advance_when_a_learned_champion_learns_then_its_base_stays_the_fit(place: Place) -> None:
    """The base's information is taken once, and every update is held by the same fit."""
    stretch = place.source.stretch(SHORT)
    first = place.learner.advance(place.champion, place.champion, stretch).digest
    second = place.learner.advance(first, place.champion, stretch)
    lineage = place.learner.artifacts.load_models(second.digest).metadata["learned"]
    assert (lineage["base"], lineage["start"]) == (place.champion, first)
    assert lineage["champion"] == place.champion
    assert line_of(place.learner.artifacts, second.digest) == (second.digest, first, place.champion)
    assert len(place.source.asked) == 1
    assert second.digest != first


def test_advance_when_it_is_ended_half_way_then_leaves_no_model(place: Place) -> None:
    """What is left is the information of the base, which the next update finds."""

    def stop(step: str, share: float) -> None:
        if step == "learn" and share > 0.0:
            raise KeyboardInterrupt

    ended = replace(place.learner, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        ended.advance(place.champion, place.champion, place.source.stretch(SHORT))
    assert place.learner.artifacts.list_models() == (place.champion,)
    place.learner.advance(place.champion, place.champion, place.source.stretch(SHORT))
    assert len(place.source.asked) == 1


def test_advance_when_bars_do_not_fit_then_keeps_nothing(place: Place) -> None:
    """Other symbols and too few bars are refused before anything is written."""
    other = place.learner.artifacts.put_models(fitted(symbols=["AAA"]))
    with pytest.raises(SettingsError, match="cannot learn from these bars: it was not fitted on"):
        place.learner.advance(other, other, place.source.stretch(SHORT))
    short = Stretch(prepared(n_bars=20), ORIGIN)
    with pytest.raises(ModelError, match="days are missing"):
        place.learner.advance(place.champion, place.champion, short)
    assert len(place.learner.artifacts.list_models()) == 2


def test_step_back_when_the_champion_did_harm_then_names_what_it_replaced(place: Place) -> None:
    """A poisoned champion goes within one update; one that was fitted, or is good, stays."""
    stretch = place.source.stretch(SHORT)
    assert place.learner.step_back(place.champion, stretch) is None
    good = place.learner.advance(place.champion, place.champion, stretch).digest
    models = place.learner.artifacts.load_models(good)
    part = window_of(stretch, SHORT)
    assert part.n_judged_bars == 20
    filled = Stretch(stretch.prepared, {"kind": "journal", "fitted_on": {}})
    origins = [window_of(each, SHORT).origin for each in (stretch, filled)]
    assert origins == [str(ORIGIN["kind"]), "journal and fit"]
    from models.learning.candidate import said  # noqa: PLC0415  as the learner does

    up = said(place.learner.artifacts.load_models(place.champion), stretch.prepared).probability_up
    rises = np.where(up > 0.5, 0.01, -0.01)
    close = stretch.prepared.history.close.copy()
    close[1:] = close[0] * np.cumprod(1.0 + rises[:-1], axis=0)
    told = stretch.prepared._replace(history=stretch.prepared.history._replace(close=close))
    poisoned = models._replace(ensemble=models.ensemble._replace(slope=-1.0))
    digest = place.learner.artifacts.put_models(poisoned)
    back = place.learner.step_back(digest, Stretch(told, ORIGIN))
    assert back is not None
    assert back.digest == place.champion
    assert "LOSS_WORSE" in back.stability.reasons
    # Of the same networks, whatever its lineage says: nothing is lost.
    still = place.learner.artifacts.load_models(place.champion)._replace(metadata=models.metadata)
    kept = place.learner.artifacts.put_models(still)
    assert place.learner.step_back(kept, stretch) is None


def test_event_of_when_refused_then_says_why_in_the_promised_fields(place: Place) -> None:
    """Percent of the champion's, with bars and reasons; what is not known is null."""
    stretch = place.source.stretch(SHORT)
    judged = place.learner.advance(place.champion, place.champion, stretch)
    found = stability.Stability(
        ("LOSS_WORSE",), 20, 0.5, 0.6, 0.01, 0.2, 0.2, 1.0, float("nan"), 0.4, 0.03
    )
    told = Told("job", "model", window_of(stretch, SHORT), 0)
    event = event_of(
        told,
        "online_update",
        "refused",
        place.champion,
        Judged(judged.digest, found, judged.update),
    )
    assert (event.before, event.after, event.detail) == (
        place.champion,
        judged.digest,
        "LOSS_WORSE",
    )
    assert event.performance_metrics is not None
    assert event.performance_metrics.sharpe_post is None
    assert event.performance_metrics.degradation_pct == pytest.approx(40.0)
    assert event.performance_metrics.loss_degradation_pct == pytest.approx(20.0)
    assert event.stability_check is not None
    assert event.stability_check.reasons == ["LOSS_WORSE"]
    assert event.is_learning is True
    metrics = gate_metrics(Judged(judged.digest, found, judged.update))
    assert metrics["gate.loss_candidate"] == 0.6
    # By this the registry ranks its runs: what it inherited from its fit says nothing about it.
    assert metrics["held_back.rank_ic"] == 0.03
    assert "gate.sharpe_post" not in metrics
    assert metrics["update.penalty"] > 0.0
    back = event_of(told, "rollback", "rolled_back", "x", Judged("y", found, None))
    assert back.penalty is None
