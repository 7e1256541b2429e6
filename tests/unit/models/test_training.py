"""The whole fit on seeded bars: reproducible, honest about its split, clear in its refusals."""

import json
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models import training
from models.errors import HistoryTooShort, NotFinite, NotFitted, ShapeError
from models.features import catalogue
from models.history import BarHistory
from models.model_set import ModelSet
from models.prediction import ensemble
from models.prepared import prepare
from models.regime.succession import Predecessor
from models.registry.card import card
from models.specialists import fitting, serving, window
from models.specialists import split as splitting
from models.weights.controller import HEDGE, OPTIONS
from models.weights.policy_gradient import DEFAULTS
from tables.stores.artifacts import Artifacts
from tables.stores.checkpoints import Checkpoints
from tests.builders import specialists

N_BARS, SYMBOLS = 900, ("AAA", "BBB", "CCC", "DDD")


def ignore(_stage: str, _share: float) -> None:
    """Take a progress report and do nothing."""


def bars(n_bars: int = N_BARS) -> BarHistory:
    """Draw four random walks that reverse a little; the last symbol is listed late."""
    rng = np.random.default_rng(101)
    shocks = rng.normal(size=(n_bars, len(SYMBOLS))) * 0.01
    shocks[1:] -= 0.3 * shocks[:-1]
    close = 100.0 * np.exp(np.cumsum(shocks, axis=0))
    first = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(first, close) * 1.002, np.minimum(first, close) * 0.998
    columns = [first, high, low, close, rng.uniform(1e3, 1e4, close.shape)]
    columns.append(close.copy())
    for column in columns:
        column[:100, -1] = np.nan
    return BarHistory(SYMBOLS, np.arange(n_bars) * 86_400_000_000_000, *columns)


@pytest.fixture(scope="module")
def models() -> ModelSet:
    """Fit once for the tests of this file."""
    return training.fit(prepare(bars()), timeframe="1d", seed=7, progress=ignore)


def test_fit_when_interrupted_then_goes_on_where_it_was_with_the_same_bytes(
    models: ModelSet, tmp_path: Path
) -> None:
    """A training that was killed after the specialists does not fit them again."""
    checkpoints = Checkpoints(tmp_path)

    def killed(step: str, _share: float) -> None:
        if step == "controller":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.fit(
            prepare(bars()), timeframe="1d", seed=7, progress=killed, keep=checkpoints.keep
        )
    steps: list[str] = []
    again = training.fit(
        prepare(bars()),
        timeframe="1d",
        seed=7,
        progress=lambda step, _: steps.append(step),
        keep=checkpoints.keep,
    )
    assert as_bytes(again) == as_bytes(models)
    assert not {"bull", "bear", "sideways"} & set(steps)


def as_bytes(models: ModelSet) -> list[bytes]:
    """List the bytes of every array and number."""
    return [np.asarray(value).tobytes() for part in models[:4] for value in part]


def test_fit_when_repeated_then_gives_the_same_bytes(models: ModelSet) -> None:
    """Seed and history determine every array, number and metric."""
    again = training.fit(prepare(bars()), timeframe="1d", seed=7, progress=ignore)
    assert as_bytes(again) == as_bytes(models)
    assert again.metadata == models.metadata


def test_fit_when_held_back_bars_differ_then_gives_the_same_models(models: ModelSet) -> None:
    """Nothing is fitted on the last stretch: other bars there change no byte of any model."""
    changed = bars()
    for column in (changed.open, changed.high, changed.low, changed.close, changed.vwap):
        column[-90::2] *= 1.01
    again = training.fit(prepare(changed), timeframe="1d", seed=7, progress=ignore)
    assert as_bytes(again) == as_bytes(models)
    assert again.metadata["metrics"]["held_back"] != models.metadata["metrics"]["held_back"]


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("leaking", [False, True])
def test_scores_when_a_halfs_labels_change_then_only_a_leak_changes_its_scores(
    at: int, monkeypatch: pytest.MonkeyPatch, *, leaking: bool
) -> None:
    """No training bar is scored by networks that saw it; the same check catches a planted leak.

    Moves of one half are turned round: its scores keep their bits, those of the other half, which
    was learned from, do not.
    """
    material = training._material(prepare(bars()))
    halves = splitting.halves(material.parts.training)
    if leaking:
        whole = tuple(half._replace(training=material.parts.training) for half in halves)
        monkeypatch.setattr(splitting, "halves", lambda _training: whole)

    def scores(next_returns: np.ndarray) -> list[bytes]:
        thirds, present = np.full((*next_returns.shape, 3), 1 / 3), np.isfinite(material.close)
        lessons = fitting.Lessons(material.features, next_returns, thirds, present)
        learn = partial(fitting.fit, lessons, seed=7)
        found = training._halves(learn, material.parts, ignore, training.made)
        served = specialists(np.random.default_rng(1))
        every = training._scores(served, found, material, ignore)
        return [every[half.scored].tobytes() for half in halves]

    turned = material.next_returns.copy()
    turned[halves[at].scored] *= -1.0
    before, after = scores(material.next_returns), scores(turned)
    assert (before[at] != after[at]) is leaking
    assert before[1 - at] != after[1 - at]


def test_fit_when_it_reports_then_every_step_begins_at_nought_and_ends_at_one() -> None:
    """Who times a step must hear when it begins: the first pass counts."""
    said: dict[str, list[float]] = {}

    def note(step: str, share: float) -> None:
        said.setdefault(step, []).append(share)

    training.fit(prepare(bars()), timeframe="1d", seed=7, progress=note)
    networks = ["bull", "bear", "sideways", "halves"]
    assert list(said) == ["regime", *networks, "scores", "controller", "ensemble"]
    for step, shares in said.items():
        assert (shares[0], shares[-1]) == (0.0, pytest.approx(1.0)), step
        assert shares == sorted(shares), step


def test_fit_when_it_succeeds_a_set_then_its_regimes_keep_their_names(models: ModelSet) -> None:
    """Thirty bars more: the names are those of the earlier set, and the metadata say from whom."""
    earlier = Predecessor.of("d" * 64, models.regime, models.metadata["succession"])
    fitted = training.fit(
        prepare(bars(N_BARS + 30)), timeframe="1d", seed=7, progress=ignore, previous=earlier
    )
    told = fitted.metadata["succession"]
    assert fitted.metadata["previous"] == "d" * 64
    assert (told["outcome"], told["agreement_fraction"] >= 0.85) == ("carried", True)
    # All earlier training bars: the regimes' features of a symbol listed 100 bars late are warm
    # before the 253rd.
    stretch = models.metadata["stretches"]["training"]
    assert told["n_shared_rows"] == len(SYMBOLS) * stretch["n_bars"]
    np.testing.assert_array_equal(fitted.regime.scaler_mean, models.regime.scaler_mean)
    assert as_bytes(fitted)[1:] != as_bytes(models)[1:]
    assert "names carried from dddddddddddd" in card(fitted.metadata)


def test_fit_when_a_refit_cannot_be_aligned_then_the_earlier_regimes_stay(models: ModelSet) -> None:
    """Bull and bear of the earlier set are planted the wrong way round: that is not carried on."""
    swapped = models.regime._replace(component_regime=models.regime.component_regime[:, [1, 0, 2]])
    earlier = Predecessor.of("d" * 64, swapped, models.metadata["succession"])
    fitted = training.fit(
        prepare(bars(N_BARS + 30)), timeframe="1d", seed=7, progress=ignore, previous=earlier
    )
    for name, array in swapped._asdict().items():
        np.testing.assert_array_equal(getattr(fitted.regime, name), array)
    told = fitted.metadata["succession"]
    assert told["outcome"] == "refused"
    assert told["last_close_ns"] == models.metadata["succession"]["last_close_ns"]
    assert "turned round" in told["why"]


def test_fit_when_done_then_metadata_is_json_and_complete(models: ModelSet) -> None:
    """The metadata says from what, with what and how well, in plain JSON."""
    metadata = json.loads(json.dumps(models.metadata, allow_nan=False))
    assert metadata == models.metadata
    assert metadata["timeframe"] == "1d"
    assert metadata["pipeline_version"] == catalogue.PIPELINE_VERSION
    assert metadata["pipeline_digest"] == catalogue.pipeline_digest()
    assert metadata["symbols"] == list(SYMBOLS)
    assert metadata["last_close_ns"] == (N_BARS - 1) * 86_400_000_000_000
    assert metadata["code"] is None
    report = metadata["controller"]
    assert report["policy"] == ("options", "hedge")[models.controller.policy == HEDGE]
    assert report["training"]["episodes"] == DEFAULTS.updates * DEFAULTS.episodes
    assert report["validation"]["n_bars"] > 0
    assert models.controller.policy in {HEDGE, OPTIONS}
    for stretch in ("validation", "held_back"):
        row = metadata["metrics"][stretch]
        assert row["n_bars"] > 0
        assert 0.0 <= row["expected_calibration_error"] <= 1.0
        assert row["hit_rate_always_up"] is not None


def test_fit_when_done_then_stretches_say_what_was_used_for_what(models: ModelSet) -> None:
    """In time order, a gap of 22 bars between them, and the last bar without a label."""
    stretches = models.metadata["stretches"]
    assert list(stretches) == ["training", "validation", "held_back"]
    day_ns = 86_400_000_000_000
    assert stretches["training"]["first_close_ns"] == (catalogue.WARMUP_BARS - 1) * day_ns
    assert stretches["held_back"]["last_close_ns"] == (N_BARS - 2) * day_ns
    for earlier, later in pairwise(stretches.values()):
        assert later["first_close_ns"] - earlier["last_close_ns"] == (22 + 1) * day_ns


def test_fit_when_done_then_its_metadata_make_a_card(models: ModelSet) -> None:
    """Whoever registers the models has all that a card needs."""
    text = card(models.metadata)
    assert "# Model card: 4 symbols, 1d" in text
    assert "| held back | " in text
    assert "`attended`" in text


def test_fit_when_reloaded_then_scores_are_the_same_bits(models: ModelSet, tmp_path: Path) -> None:
    """What is stored and loaded gives the very output that was measured."""
    store = Artifacts(tmp_path)
    again = store.load_models(store.put_models(models))
    rng = np.random.default_rng(103)
    rows, first, second = np.arange(5), window.initial_state(5), window.initial_state(5)
    for _ in range(20):
        features = rng.normal(size=(5, len(catalogue.NAMES))) * models.specialists.scale
        first, expected = serving.step(models.specialists, first, rows, features)
        second, scores = serving.step(again.specialists, second, rows, features)
        assert scores.tobytes() == expected.tobytes()


def test_fit_when_done_then_models_serve_a_slice(models: ModelSet) -> None:
    """Scores and predictions of the fitted set are finite and within their ranges."""
    features = np.random.default_rng(102).normal(size=(5, len(catalogue.NAMES)))
    features = features * models.specialists.scale + models.specialists.mean
    features[:, models.ensemble.volatility_column] = 0.01
    _, scores = serving.step(models.specialists, window.initial_state(5), np.arange(5), features)
    weights = np.full((5, 3), 1 / 3)
    confidence, _, target = ensemble.predict(models.ensemble, features, scores, weights)
    assert ((confidence >= 0.5) & (confidence <= 1.0)).all()
    assert (np.abs(target) <= models.ensemble.max_target_fraction).all()


def test_fit_when_the_history_is_too_short_then_says_how_many_bars_are_missing() -> None:
    """The features' warm-up counts on top of the 549 bars that three stretches need."""
    missing = catalogue.WARMUP_BARS - 1 + 549 - 600
    with pytest.raises(HistoryTooShort, match=f"^{missing} bars are missing"):
        training.fit(prepare(bars(600)), timeframe="1d", seed=7, progress=ignore)


def test_fit_when_a_symbol_never_lives_long_enough_then_says_what_it_had() -> None:
    """Many bars of the grid do not help when each symbol has only a few."""
    history = bars()
    for column in history[2:]:
        column[200:] = np.nan
    with pytest.raises(HistoryTooShort, match="was 200 at most"):
        training.fit(prepare(history), timeframe="1d", seed=7, progress=ignore)


def test_fit_when_a_price_is_missing_then_names_its_place() -> None:
    """A hole in one column of a bar is refused before anything is fitted."""
    history = bars()
    history.close[300, 1] = np.nan
    with pytest.raises(NotFinite, match=r"close of row 300 .*column 1 \(BBB\)"):
        training.fit(prepare(history), timeframe="1d", seed=7, progress=ignore)


@pytest.mark.parametrize(("from_bar", "stretch"), [(0, "training"), (600, "validation")])
def test_fit_when_prices_stand_still_then_says_where(from_bar: int, stretch: str) -> None:
    """Constant features have no scale, and labels that are all one half teach nothing."""
    history = bars()
    for column in history[2:]:
        column[from_bar:] = np.where(np.isnan(column[from_bar:]), np.nan, 100.0)
    with pytest.raises(NotFitted, match=f"rows of the {stretch} stretch moves"):
        training.fit(prepare(history), timeframe="1d", seed=7, progress=ignore)


def test_fit_when_times_are_unsorted_then_refuses() -> None:
    """Training on shuffled time would see the future."""
    history = bars()
    with pytest.raises(ShapeError, match="rise strictly"):
        prepare(history._replace(close_ns=history.close_ns[::-1]))
