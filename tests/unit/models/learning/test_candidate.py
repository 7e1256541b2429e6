"""Candidates: which bars they learn from and are judged on, and what becomes of the model set."""

import numpy as np
import pytest

from models.errors import HistoryTooShort
from models.history import next_returns
from models.learning import candidate
from models.learning.settings import Settings
from models.learning.update import Base
from models.model_set import ModelSet
from models.regime import posterior
from models.specialists import serving, window
from tests.learning_worlds import DAY_NS, SHORT, SYMBOLS, fitted, prepared

DAYS = DAY_NS * np.arange(1, 101)


@pytest.fixture(scope="module")
def models() -> ModelSet:
    """Draw models once."""
    return fitted()


@pytest.fixture(scope="module")
def base(models: ModelSet) -> Base:
    """Take the information of the drawn models once."""
    return candidate.base_of(models, prepared())


def test_plan_when_days_are_daily_then_no_label_of_the_window_is_judged() -> None:
    """30 bars judge, 60 teach, and the bar between them is given up."""
    learned, judged = candidate.plan(DAYS, Settings())
    assert (learned, judged) == (slice(8, 68), slice(69, 99))


def test_plan_when_bars_are_hourly_then_days_count_and_not_bars() -> None:
    """A window of thirty days has 720 hours."""
    hours = DAY_NS // 24 * np.arange(1, 24 * 60)
    learned, judged = candidate.plan(hours, SHORT)
    assert (learned.stop - learned.start, judged.stop - judged.start) == (720, 480)


@pytest.mark.parametrize("n_bars", [0, 1, 40])
def test_plan_when_history_is_short_then_says_what_is_missing(n_bars: int) -> None:
    """Learning from less than the window would be another experiment."""
    with pytest.raises(HistoryTooShort, match=r"was|days are missing"):
        candidate.plan(DAYS[:n_bars], Settings())


def test_plan_when_the_window_just_fits_then_one_bar_lies_before_it() -> None:
    """The window's first return needs the bar before it: 60 and 30 days take 92 bars, not 91."""
    assert candidate.plan(DAYS[:92], Settings()).learned == slice(0, 60)
    with pytest.raises(HistoryTooShort, match="days are missing"):
        candidate.plan(DAYS[:91], Settings())


def test_base_of_when_bars_are_others_then_is_refused(models: ModelSet) -> None:
    """The information is of the bars that the networks were fitted on."""
    with pytest.raises(HistoryTooShort, match="training stretch has 40 bars, was 30"):
        candidate.base_of(models, prepared(n_bars=50))


def test_learned_when_later_bars_change_then_is_the_same(models: ModelSet, base: Base) -> None:
    """Nothing is learned from the bars that judge, nor from the one before them."""
    bars = prepared()
    part = candidate.plan(bars.history.close_ns, SHORT)
    once = candidate.learned(models, base, bars, settings=SHORT, seed=7)
    changed = bars._replace(
        history=bars.history._replace(close=bars.history.close.copy()),
        features=bars.features.copy(),
    )
    changed.features[part.learned.stop :] += 1.0
    changed.history.close[part.judged.start :] *= 1.5
    again = candidate.learned(models, base, changed, settings=SHORT, seed=7)
    assert again.specialists.weights_1.tobytes() == once.specialists.weights_1.tobytes()
    assert once.from_base_fraction > 0.0


def test_said_when_folded_then_is_what_the_stages_say(models: ModelSet) -> None:
    """The scores behind what is judged are those of serving, bar by bar."""
    bars = prepared(n_bars=25)
    found = candidate.said(models, bars)
    silent = models._replace(ensemble=models.ensemble._replace(slope=0.0, intercept=0.5))
    assert candidate.said(silent, bars).probability_up == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert np.isfinite(found.probability_up).all()
    rows = np.arange(len(SYMBOLS))
    _, scores = serving.step(
        models.specialists, window.initial_state(len(rows)), rows, bars.features[0]
    )
    low, high = np.sort(scores, axis=1)[:, [0, 2]].T
    logits = np.log(found.probability_up[0] / (1.0 - found.probability_up[0]))
    assert ((low - 1e-9 <= logits) & (logits <= high + 1e-9)).all()


def test_lessons_of_when_laid_out_then_regimes_are_those_of_the_stage(models: ModelSet) -> None:
    """A row's weights are the probabilities that its bar had."""
    bars = prepared(n_bars=5)
    lessons = candidate.lessons_of(models, bars)
    state, rows = posterior.initial_state(len(SYMBOLS)), np.arange(len(SYMBOLS))
    for bar in range(5):
        state, regime = posterior.step(models.regime, state, rows, bars.features[bar])
        assert np.array_equal(lessons.probabilities[bar], regime[:, :3])
    assert np.array_equal(lessons.next_returns, next_returns(bars.history), equal_nan=True)


def test_successor_when_made_then_only_networks_and_metadata_differ(
    models: ModelSet, base: Base
) -> None:
    """What is judged is the update and nothing else; a backtest knows which bars were seen."""
    made = candidate.learned(models, base, prepared(), settings=SHORT, seed=7)
    lineage = {"base": "b", "start": "s", "settings": SHORT.record()}
    new = candidate.successor(models, made, lineage, 99)
    assert new.regime is models.regime
    assert new.ensemble is models.ensemble
    assert new.specialists is made.specialists
    assert new.metadata["last_close_ns"] == 99
    assert new.metadata["config"]["learning"]["window_days"] == 30
    assert new.metadata["learned"]["update"]["penalty"] == made.penalty
    assert "learned" not in models.metadata


def test_judge_when_the_networks_are_turned_round_then_refuses(models: ModelSet) -> None:
    """A champion that knows the direction is not replaced by its opposite."""
    bars = prepared()
    knowing = models.specialists._replace(
        weights_3=40.0 * models.specialists.weights_3, biases_3=models.specialists.biases_3
    )
    first = models._replace(specialists=knowing)
    up = candidate.said(first, bars).probability_up
    rises = np.where(up > 0.5, 0.01, -0.01)
    close = bars.history.close.copy()
    close[1:] = close[0] * np.cumprod(1.0 + rises[:-1], axis=0)
    told = bars._replace(history=bars.history._replace(close=close))
    # Prices changed, so the controller weighs anew: the signs of the scores stay what they were.
    other = first._replace(ensemble=first.ensemble._replace(slope=-1.0))
    assert "LOSS_WORSE" in candidate.judge(first, other, told, SHORT).reasons
    same = candidate.judge(first, first, told, SHORT)
    assert same.passed
    # 20 daily bars are 19 days; targets are long only, returns go to the next bar.
    part = candidate.plan(told.history.close_ns, SHORT).judged
    held = np.maximum(candidate.said(first, told).target_fraction[part], 0.0)
    earned = (held * next_returns(told.history)[part]).sum(axis=1)
    a_year = 20 / (19 / 365.25)
    expected = earned.mean() / earned.std(ddof=1) * np.sqrt(a_year)
    assert (same.n_bars, same.sharpe_pre) == (20, pytest.approx(expected))


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({}, ""),
        ({"pipeline_digest": "x" * 64}, "its features are those of pipeline xxxxxxxxxxxx"),
        ({"symbols": ["AAA", "BBB"]}, "it was not fitted on CCC, DDD"),
    ],
)
def test_fits_when_features_or_symbols_are_others_then_says_so(
    metadata: dict[str, object], why: str
) -> None:
    """Networks learn from the features and the symbols that they know."""
    found = candidate.fits(fitted(**metadata), prepared())
    assert found.startswith(why)
    assert bool(found) == bool(why)


def stretched(until_day: int, **metadata: object) -> ModelSet:
    """Return models that were fitted on days up to one, the last tenth of which only tested."""
    ends = {"training": until_day - 30, "validation": until_day, "test": until_day + 10}
    stretches = {name: {"last_close_ns": day * DAY_NS} for name, day in ends.items()}
    return fitted(stretches=stretches, **metadata)


def test_check_unknown_when_the_fit_knew_the_gate_then_says_how_many_days_are_missing() -> None:
    """The days 70 to 99 judge: a fit that was stopped on the 75th would judge itself."""
    candidate.check_unknown(stretched(69), DAYS, Settings())
    with pytest.raises(HistoryTooShort, match=r"models know bars until .*: 5\.0 days are missing"):
        candidate.check_unknown(stretched(75), DAYS, Settings())


def test_check_unknown_when_a_set_learned_then_its_own_gate_is_no_bar_that_it_knows() -> None:
    """The same stretch once more, or a day later, may judge what learned from it."""
    for days in (DAYS, DAYS[:-1], DAYS[:-3]):
        learned = {"settings": Settings().record()}
        made = stretched(20, learned=learned, last_close_ns=int(days[-1]))
        candidate.check_unknown(made, DAYS, Settings())


def test_check_unknown_when_a_set_learned_from_later_days_then_they_cannot_judge_it() -> None:
    """Its gate began on the 93rd day, so it learned until the 91st; now the 70th judges."""
    learned = {"settings": Settings(gate_days=7).record()}
    made = stretched(20, learned=learned, last_close_ns=int(DAYS[-1]))
    with pytest.raises(HistoryTooShort, match=r"21\.0 days are missing"):
        candidate.check_unknown(made, DAYS, Settings())
    # Its window of 90 days began before the 100 days that there are now.
    learned = {"settings": Settings(window_days=90, gate_days=10).record()}
    made = stretched(20, learned=learned, last_close_ns=int(DAYS[-8]))
    with pytest.raises(HistoryTooShort, match=r"11\.0 days are missing"):
        candidate.check_unknown(made, DAYS, Settings())
