"""The paired comparison, against the whole stretch at once."""

import math

import numpy as np
import pytest

from models import paired
from models.errors import ShapeError
from models.rollout import comparison
from models.rollout.comparison import Bar, Compared, Findings, findings, initial_state, step

N_BARS, N_SYMBOLS = 150, 4


class World:
    """Random bars of two arms; a fifth of all rows is missing."""

    def __init__(self, seed: int, better: float = 0.0) -> None:
        draw = np.random.default_rng(seed)
        moves = draw.normal(0.0, 0.01, (N_BARS, N_SYMBOLS))
        self.close = 100.0 * np.exp(np.cumsum(moves, axis=0))
        self.close[draw.random((N_BARS, N_SYMBOLS)) < 0.2] = np.nan
        after = np.vstack([moves[1:], np.zeros((1, N_SYMBOLS))])
        noise = draw.uniform(0.3, 0.7, (2, N_BARS, N_SYMBOLS))
        self.up = noise.copy()
        self.up[1] = np.clip(self.up[0] + better * np.sign(after), 0.05, 0.95)
        self.up[:, :3] = np.nan
        self.target = np.where(np.isnan(self.up), np.nan, (self.up - 0.5) * 0.4)
        raw = draw.random((2, N_BARS, N_SYMBOLS, 3))
        self.weights = raw / raw.sum(axis=-1, keepdims=True)

    def bar(self, at: int) -> Bar:
        """Return one bar; a symbol without a row says nothing."""
        gone = np.isnan(self.close[at])
        target, up = self.target[:, at].copy(), self.up[:, at].copy()
        target[:, gone], up[:, gone] = np.nan, np.nan
        return Bar(self.close[at], up, target, self.weights[:, at])

    def folded(self) -> Compared:
        """Fold all bars."""
        state = initial_state(N_SYMBOLS)
        for at in range(N_BARS):
            state = step(state, self.bar(at))
        return state


def outcomes(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Give losses and earnings of both arms by bar, symbol by symbol with plain loops."""
    lost: list[list[float]] = []
    gained: list[list[float]] = []
    last: dict[int, int] = {}
    for at in range(N_BARS):
        sums, counts, money = [0.0, 0.0], 0, [0.0, 0.0]
        for s in range(N_SYMBOLS):
            if math.isnan(world.close[at, s]):
                continue
            before = last.get(s)
            last[s] = at
            if before is None or math.isnan(world.up[0, before, s]):
                continue
            counts += 1
            rise = world.close[at, s] / world.close[before, s] - 1.0
            for arm in (0, 1):
                up = world.up[arm, before, s]
                sums[arm] -= math.log(up if rise > 0 else 1.0 - up)
                money[arm] += max(world.target[arm, before, s], 0.0) * rise
        if counts:
            lost.append([each / counts for each in sums])
            gained.append(money)
    return np.array(lost), np.array(gained)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_findings_when_folded_then_are_those_of_the_whole_stretch(seed: int) -> None:
    """Sums that are kept bar by bar give what all bars at once give."""
    world = World(seed, better=0.05)
    found = findings(world.folded(), tightest_at=1000.0)
    lost, gained = outcomes(world)
    assert (lost[:, 0] != lost[:, 1]).any()
    difference = lost[:, 1] - lost[:, 0]
    wide = float(paired.radius(len(lost), float(difference.std()), tightest_at=1000.0))
    assert found.n_bars == len(lost)
    assert (found.loss_champion, found.loss_challenger) == pytest.approx(lost.mean(axis=0))
    assert (found.loss_lower, found.loss_upper) == pytest.approx(
        (difference.mean() - wide, difference.mean() + wide)
    )
    beyond = difference - 0.05 * (math.log(2.0) - lost[:, 0])
    wide = float(paired.radius(len(lost), float(beyond.std()), tightest_at=1000.0))
    assert found.beyond_upper == pytest.approx(beyond.mean() + wide)
    means = lost.mean(axis=0)
    assert found.loss_degradation_fraction == pytest.approx(means[1] / means[0] - 1.0)
    more = gained[:, 1] - gained[:, 0]
    wide = float(paired.radius(len(gained), float(more.std()), tightest_at=1000.0))
    assert (found.earned_lower, found.earned_upper) == pytest.approx(
        (more.mean() - wide, more.mean() + wide)
    )
    assert (found.earned_champion, found.earned_challenger) == pytest.approx(gained.sum(axis=0))
    here = np.isfinite(world.close) & np.isfinite(world.up[0])
    x, y = world.target[:, here]
    assert found.n_rows == here.sum()
    assert found.target_correlation == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found.largest_target_difference == np.abs(y - x).max()
    same = [
        (a >= 0.005) - (a <= -0.005) == (b >= 0.005) - (b <= -0.005)
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    ]
    assert found.agreement_fraction == pytest.approx(np.mean(same))
    moved = 0.5 * np.abs(world.weights[1] - world.weights[0])[here].sum(axis=1)
    assert found.weight_distance == pytest.approx(moved.mean())


def test_findings_when_there_is_nothing_then_nobody_goes_on() -> None:
    """No data: no reason to go on, none to end."""
    found = findings(initial_state(2), tightest_at=100.0)
    assert (found.reasons, found.is_degraded) == (("TOO_FEW_BARS",), False)
    assert found.record()["loss_champion"] is None
    assert math.isnan(found.target_correlation)


def numbers(**changes: float) -> Findings:
    """Return findings of two equal arms, with changes."""
    equal = Findings(
        n_bars=500, n_rows=1000, loss_champion=0.7, loss_challenger=0.7, loss_lower=-0.01,
        loss_upper=0.01, loss_degradation_fraction=0.0, beyond_upper=0.0, earned_champion=0.1,
        earned_challenger=0.1, earned_lower=-0.01, earned_upper=0.01, agreement_fraction=1.0,
        weight_distance=0.0, target_correlation=1.0, largest_target_difference=0.0,
        silent_fraction=0.0, is_mute=False,
    )  # fmt: skip
    return equal._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, ()),
        ({"n_bars": 99}, ("TOO_FEW_BARS",)),
        ({"n_bars": 100}, ()),
        ({"beyond_upper": 1e-6}, ("NOT_SHOWN_HARMLESS",)),
        ({"beyond_upper": 1e-6, "loss_upper": 0.00034}, ()),
        ({"beyond_upper": 1e-6, "loss_upper": 0.00035}, ("NOT_SHOWN_HARMLESS",)),
        ({"beyond_upper": math.nan}, ("NOT_SHOWN_HARMLESS",)),
        ({"loss_lower": 0.001}, ("LOSS_WORSE",)),
        ({"loss_lower": 0.0}, ()),
        ({"earned_upper": -0.001}, ("EARNED_LESS",)),
        ({"earned_upper": 0.0}, ()),
        ({"silent_fraction": 0.0101}, ("CHALLENGER_SILENT",)),
        ({"silent_fraction": 0.01}, ()),
    ],
)
def test_reasons_when_something_is_against_it_then_names_it(
    changes: dict[str, float], reasons: tuple[str, ...]
) -> None:
    """5 % of the smallest gain, of ln 2 / 100, are 0.000347 nats; of a larger one it is bounded."""
    assert numbers(**changes).reasons == reasons


@pytest.mark.parametrize(
    ("changes", "is_degraded"),
    [
        ({}, False),
        ({"loss_degradation_fraction": 0.31, "loss_lower": 0.01}, True),
        ({"loss_degradation_fraction": 0.31, "loss_lower": 0.01, "n_bars": 19}, False),
        ({"loss_degradation_fraction": 0.31, "loss_lower": 0.01, "n_bars": 20}, True),
        ({"loss_degradation_fraction": 0.31}, False),
        ({"loss_degradation_fraction": 0.31, "loss_lower": 0.0}, False),
        ({"loss_degradation_fraction": 0.30, "loss_lower": 0.01}, False),
        ({"loss_degradation_fraction": 0.29, "loss_lower": 0.01}, False),
        ({"earned_upper": -0.00007}, True),
        ({"earned_upper": -0.00005}, False),
        ({"earned_champion": -0.1, "earned_upper": -0.00007}, True),
        ({"earned_champion": -0.1, "earned_upper": -0.00005}, False),
        ({"earned_champion": 0.0, "earned_upper": 0.0}, False),
    ],
)
def test_is_degraded_when_worse_by_thirty_percent_then_ends_it(
    changes: dict[str, float], *, is_degraded: bool
) -> None:
    """30 % more loss and for certain; or 30 % less of 0.1 / 500 a bar, which is 0.00006."""
    assert numbers(**changes).is_degraded is is_degraded


def test_findings_when_the_challenger_knows_more_then_it_may_go_on() -> None:
    """An arm that leans to what happens is shown to be harmless, the other way round harmful."""
    good = findings(World(5, better=0.15).folded(), tightest_at=150.0)
    assert good.reasons == ()
    bad = findings(World(5, better=-0.15).folded(), tightest_at=150.0)
    assert "LOSS_WORSE" in bad.reasons


def test_findings_when_the_challenger_knows_nothing_then_a_champion_that_does_stays() -> None:
    """One half of everything loses all of a gain of 0.02 nats, which is 3 % of the loss."""
    draw = np.random.default_rng(8)
    n_symbols, state = 50, initial_state(50)
    close, weights = np.ones(n_symbols), np.full((2, n_symbols, 3), 1 / 3)
    for _ in range(600):
        chance = np.where(draw.random(n_symbols) < 0.5, 0.4, 0.6)
        up = np.array([chance, np.full(n_symbols, 0.5)])
        state = step(state, Bar(close, up, up - 0.5, weights))
        close = close * np.where(draw.random(n_symbols) < chance, 1.01, 0.99)
    found = findings(state)
    assert 0.02 < found.loss_degradation_fraction < 0.04
    assert "NOT_SHOWN_HARMLESS" in found.reasons


def test_step_when_the_bar_has_other_symbols_then_is_refused() -> None:
    """A bar of another universe is an error of the caller."""
    with pytest.raises(ShapeError, match="4 symbols"):
        step(initial_state(4), World(1).bar(0)._replace(close=np.ones(3)))


def test_step_when_one_arm_is_still_cold_then_the_bar_is_judged_for_neither() -> None:
    """A challenger that warms up later is held against the same rows only."""
    one, weights, state = np.ones((2, 1)), np.full((2, 1, 3), 1 / 3), initial_state(1)
    cold = Bar(np.ones(1), np.array([[0.6], [np.nan]]), np.array([[0.1], [np.nan]]), weights)
    warm = cold._replace(up=0.6 * one, target=0.1 * one)
    for close, bar in ((1.0, cold), (1.1, warm), (1.2, warm)):
        state = step(state, bar._replace(close=np.array([close])))
    assert (state.n_bars, state.n_rows) == (1, 2)
    assert findings(state).silent_fraction == pytest.approx(1 / comparison.MIN_BARS)


def test_findings_when_the_challenger_falls_silent_then_earlier_bars_carry_it_no_more() -> None:
    """Only what is recent counts, and a bar in which nobody wishes says nothing."""
    weights, state = np.full((2, 2, 3), 1 / 3), initial_state(2)
    close = np.ones(2)
    both = Bar(close, np.full((2, 2), 0.6), np.full((2, 2), 0.1), weights)
    one = both._replace(target=np.array([[0.1, 0.1], [0.1, np.nan]]))
    mute = both._replace(target=np.array([[0.1, 0.1], [np.nan, np.nan]]))
    nobody = both._replace(target=np.full((2, 2), np.nan))
    for _ in range(comparison.MIN_BARS):
        state = step(state, mute)
    assert findings(state).is_mute
    for _ in range(comparison.MIN_BARS):
        state = step(step(state, both), nobody)
    assert (findings(state).silent_fraction, findings(state).is_mute) == (0.0, False)
    for _ in range(2):
        state = step(state, one)
    assert findings(state).silent_fraction == pytest.approx(2 * 0.5 / comparison.MIN_BARS)
    for _ in range(comparison.MIN_BARS_OF_HARM - 1):
        state = step(state, mute)
    assert not findings(state).is_mute
    assert findings(step(state, mute)).is_mute


@pytest.mark.parametrize(
    ("champion", "challenger", "n_agreed"),
    [(0.005, 0.3, 1), (0.005, 0.00499, 0), (-0.005, 0.005, 0), (0.00499, -0.00499, 1)],
)
def test_step_when_a_target_is_at_the_edge_of_a_side_then_trades(
    champion: float, challenger: float, n_agreed: int
) -> None:
    """From half a percent of equity on a book without a position buys or sells; below it holds."""
    target = np.array([[champion], [challenger]])
    bar = Bar(np.ones(1), 0.5 * np.ones((2, 1)), target, np.full((2, 1, 3), 1 / 3))
    assert step(initial_state(1), bar).n_agreed == n_agreed


def test_step_when_targets_never_change_then_have_no_correlation() -> None:
    """A constant has none."""
    state = initial_state(1)
    one = np.ones((2, 1))
    for _ in range(3):
        state = step(state, Bar(np.ones(1), 0.5 * one, 0.1 * one, np.ones((2, 1, 3)) / 3))
    assert math.isnan(findings(state, tightest_at=10.0).target_correlation)
    assert comparison.ARMS == ("champion", "challenger")
