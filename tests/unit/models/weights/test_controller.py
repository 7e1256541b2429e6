"""Laws of the controller: always on the simplex, never faster than its limit, no look ahead."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import simplex
from models.errors import NotFitted, ShapeError
from models.weights import controller, hedge, options
from models.weights.controller import BLEND, HEDGE, OPTIONS, ControllerModel, ControllerState

N_SYMBOLS = 65
MODEL = ControllerModel()


def policy(number: int) -> ControllerModel:
    """Give a model of each policy; its options see something in every feature."""
    values = np.random.default_rng(60).normal(size=(2, 3, len(options.FEATURES)))
    return ControllerModel(policy=number, selection=2.0 * values[0], termination=values[1])


POLICIES = [policy(number) for number in (BLEND, HEDGE, OPTIONS)]
each_policy = pytest.mark.parametrize("model", POLICIES, ids=["blend", "hedge", "options"])


def slices(seed: int, n_bars: int, n_symbols: int = N_SYMBOLS) -> list[tuple[np.ndarray, ...]]:
    """Draw bars of valid regime probabilities, scores and prices."""
    rng = np.random.default_rng(seed)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(size=(n_bars, n_symbols)) * 0.01, axis=0))
    bars = []
    for close in closes:
        probabilities = rng.dirichlet([0.5, 0.5, 0.5], n_symbols)
        regime = np.column_stack([probabilities, simplex.entropy_bits(probabilities)])
        bars.append((regime, rng.normal(size=(n_symbols, 3)), close))
    return bars


def run(bars: list[tuple[np.ndarray, ...]], model: ControllerModel = MODEL) -> list[np.ndarray]:
    """Fold bars from the start; give the weights of each."""
    rows = np.arange(len(bars[0][2]))
    state, weights = controller.initial_state(len(rows)), []
    for bar in bars:
        state, given_weights = controller.step(model, state, rows, *bar)
        weights.append(given_weights)
    return weights


@each_policy
def test_step_when_the_regime_jumps_then_weights_move_by_the_limit_at_most(
    model: ControllerModel,
) -> None:
    """Half the L1 distance between consecutive bars never exceeds 5 %."""
    weights = [simplex.uniform(N_SYMBOLS, 3), *run(slices(61, 80), model)]
    moved = np.concatenate([simplex.distance(a, b) for a, b in itertools.pairwise(weights)])
    assert moved.max() <= MODEL.max_change_fraction + 1e-12
    assert moved.max() > 0.99 * MODEL.max_change_fraction


def test_step_when_nothing_limits_then_weights_have_the_closed_form() -> None:
    """Without limit, floor and forgetting, w_k is proportional to p_k exp(-rate * losses)."""
    bars = slices(62, 30, n_symbols=4)
    model = ControllerModel(2.0, max_change_fraction=1.0, floor=0.0, half_life_bars=np.inf)
    total = np.zeros((4, 3))
    for (_, scores, before), (_, _, after) in itertools.pairwise(bars):
        up = (after > before).astype(float)[:, None]
        total += (1 / (1 + np.exp(-scores)) - up) ** 2
    expected = bars[-1][0][:, :3] * np.exp(-2.0 * total)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run(bars, model)[-1], expected, atol=1e-12)


def test_step_when_one_specialist_is_always_right_then_it_gets_most_weight() -> None:
    """Under a flat regime the weights follow performance, down to the floor."""
    rng = np.random.default_rng(63)
    rows, state = np.arange(2), controller.initial_state(2)
    regime = np.tile([1 / 3, 1 / 3, 1 / 3, np.log2(3)], (2, 1))
    close = np.array([100.0, 50.0])
    for _ in range(200):
        direction = rng.choice([-1.0, 1.0], size=2)
        scores = np.stack([-direction, 2.0 * direction, np.zeros(2)], axis=1)
        state, weights = controller.step(MODEL, state, rows, regime, scores, close)
        close = close * (1.0 + 0.01 * direction)
    np.testing.assert_allclose(weights[:, 1], 1.0 - 2.0 * MODEL.floor, atol=1e-3)


@each_policy
def test_step_when_a_specialist_dies_then_its_weight_is_zero_at_once(
    model: ControllerModel,
) -> None:
    """A missing score takes the specialist out within the same bar, past the limit."""
    rows, state = np.arange(1), controller.initial_state(1)
    regime = np.array([[0.8, 0.1, 0.1, 0.92]])
    for close in (10.0, 11.0, 12.0):
        state, _ = controller.step(model, state, rows, regime, np.ones((1, 3)), np.array([close]))
    dead = np.array([[np.nan, 1.0, 1.0]])
    state, weights = controller.step(model, state, rows, regime, dead, np.array([12.5]))
    assert weights[0, 0] == 0.0
    assert not simplex.off_simplex(weights).any()
    state, weights = controller.step(model, state, rows, regime, np.ones((1, 3)), np.array([12.0]))
    assert 0.0 < weights[0, 0] <= MODEL.max_change_fraction + 1e-12
    assert state.repairs.tolist() == [0]


def test_step_when_all_specialists_warm_up_then_weights_follow_the_regime() -> None:
    """Rows without any score keep three living specialists."""
    bars = [
        (regime, np.full_like(scores, np.nan), close) for regime, scores, close in slices(64, 3)
    ]
    weights = run(bars)[-1]
    assert (weights > 0.0).all()
    assert not simplex.off_simplex(weights).any()


@given(
    st.sampled_from([BLEND, HEDGE, OPTIONS]),
    st.lists(
        st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 8), min_size=1, max_size=5
    ),
)
def test_step_when_given_anything_then_weights_lie_on_the_simplex(
    number: int,
    values: list[tuple[float, ...]],
) -> None:
    """NaN, infinity and negative numbers never get through, bar after bar."""
    array = np.array(values)
    rows, state = np.arange(len(array)), controller.initial_state(len(array))
    for _ in range(3):
        state, weights = controller.step(
            policy(number), state, rows, array[:, :4], array[:, 4:7], array[:, 7]
        )
        assert not simplex.off_simplex(weights).any()
        array = np.roll(array, 1, axis=1)


def test_step_when_probabilities_are_unusable_then_counts_a_repair() -> None:
    """A NaN regime is replaced by uniform thirds and counted once, others are not."""
    rows, state = np.arange(3), controller.initial_state(3)
    regime = np.array([[np.nan] * 4, [0.2, 0.2, 0.2, 1.5], [0.2, 0.3, 0.5, 1.49]])
    state, weights = controller.step(MODEL, state, rows, regime, np.zeros((3, 3)), np.ones(3))
    np.testing.assert_allclose(weights[:2], 1 / 3, atol=1e-15)
    assert state.repairs.tolist() == [1, 1, 0]


def test_step_when_the_state_is_damaged_then_falls_back_to_equal_weights() -> None:
    """Weights that cannot be computed are replaced, counted, and never passed on."""
    bad = np.full((1, 3), np.nan)
    state = controller.initial_state(1)._replace(log_performance=bad)
    regime = np.array([[0.2, 0.3, 0.5, 1.49]])
    state, weights = controller.step(
        MODEL, state, np.arange(1), regime, np.zeros((1, 3)), np.ones(1)
    )
    np.testing.assert_array_equal(weights, 1 / 3)
    assert state.repairs.tolist() == [1]


def test_step_when_a_price_is_missing_then_judges_nobody_and_remembers_nothing() -> None:
    """Scores are judged by the next good price, not by a bad one."""
    rows, state = np.arange(1), controller.initial_state(1)
    regime, scores = np.array([[0.2, 0.3, 0.5, 1.49]]), np.array([[1.0, -1.0, 0.0]])
    state, _ = controller.step(MODEL, state, rows, regime, scores, np.array([10.0]))
    for price in (np.nan, -1.0, 0.0, np.inf):
        after, _ = controller.step(MODEL, state, rows, regime, -scores, np.array([price]))
        np.testing.assert_array_equal(after.last_scores, scores)
        np.testing.assert_array_equal(after.last_close, 10.0)
        np.testing.assert_array_equal(after.log_performance, state.log_performance)


@each_policy
@pytest.mark.parametrize("n_rows", [1, 3, 64, 65])
def test_step_when_rows_come_alone_or_together_then_gives_the_same_bits(
    n_rows: int, model: ControllerModel
) -> None:
    """Weights of a symbol depend on that symbol only."""
    bars = slices(65, 5)
    order = np.random.default_rng(0).permutation(n_rows)
    together = alone = shuffled = controller.initial_state(N_SYMBOLS)
    for bar in bars:
        rows = np.arange(n_rows)
        part = [array[:n_rows] for array in bar]
        together, whole = controller.step(model, together, rows, *part)
        shuffled, mixed = controller.step(model, shuffled, order, *(a[order] for a in part))
        assert mixed.tobytes() == whole[order].tobytes()
        for row in rows:
            one = slice(row, row + 1)
            alone, weights = controller.step(model, alone, rows[one], *(a[one] for a in part))
            assert weights.tobytes() == whole[row].tobytes()
    for first, second, third in zip(together, alone, shuffled, strict=True):
        assert first.tobytes() == second.tobytes() == third.tobytes()


@each_policy
def test_step_when_later_bars_differ_then_earlier_weights_do_not(model: ControllerModel) -> None:
    """The fold of a prefix is the prefix of the fold."""
    bars = slices(66, 20)
    assert np.stack(run(bars[:12], model)).tobytes() == np.stack(run(bars, model)[:12]).tobytes()


@each_policy
def test_step_when_called_then_changes_no_input(model: ControllerModel) -> None:
    """State and slices belong to the caller."""
    bar = slices(67, 1)[0]
    state = controller.initial_state(N_SYMBOLS)
    copies = [array.copy() for array in (*state, *bar)]
    controller.step(model, state, np.arange(N_SYMBOLS), *bar)
    for array, copy in zip((*state, *bar), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@each_policy
def test_step_when_the_state_passes_through_bytes_then_goes_on_the_same(
    model: ControllerModel,
) -> None:
    """Nothing is remembered outside the state's arrays."""
    first, second = slices(68, 2)
    rows = np.arange(N_SYMBOLS)
    state, _ = controller.step(model, controller.initial_state(N_SYMBOLS), rows, *first)
    copied = ControllerState(*(np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape) for a in state))
    expected = controller.step(model, state, rows, *second)[1]
    assert controller.step(model, copied, rows, *second)[1].tobytes() == expected.tobytes()


def test_step_when_shapes_disagree_then_refuses() -> None:
    """A regime without its entropy column is another stage's array."""
    with pytest.raises(ShapeError, match=r"was \(\(2,\), \(2, 3\), \(2, 3\), \(2,\)\)"):
        controller.step(
            MODEL,
            controller.initial_state(2),
            np.arange(2),
            np.ones((2, 3)),
            np.ones((2, 3)),
            np.ones(2),
        )


def test_step_when_hedge_decides_then_regimes_do_not_count() -> None:
    """Without limit and floor, the weights are Hedge's own over all losses so far."""
    bars = slices(69, 30, n_symbols=4)
    model = ControllerModel(2.0, 1.0, 0.0, np.inf, HEDGE)
    performance = np.zeros((4, 3))
    for (_, scores, before), (_, _, after) in itertools.pairwise(bars):
        loss = hedge.losses(scores, after - before)
        performance = hedge.fold(performance, loss, learning_rate=2.0, half_life_bars=np.inf)
    np.testing.assert_allclose(run(bars, model)[-1], hedge.weights(performance), atol=1e-12)


def constant_options(leave: float, *shares: float) -> ControllerModel:
    """Let every option end with the same probability, and the next one have fixed shares."""
    shape = (3, len(options.FEATURES))
    selection, termination = np.zeros(shape), np.zeros(shape)
    selection[:, 0] = np.log(shares)
    termination[:, 0] = np.log(leave / (1.0 - leave))
    return ControllerModel(policy=OPTIONS, selection=selection, termination=termination)


def test_step_when_options_end_at_a_constant_rate_then_occupancy_has_its_closed_form() -> None:
    """o_t = s + (1 - b)^t (1/3 - s), while a bar ends less than the limit."""
    model, shares = constant_options(0.1, 0.5, 0.3, 0.2), np.array([0.5, 0.3, 0.2])
    weights = run(slices(70, 25, n_symbols=2), model)
    for bar, found in enumerate(weights, start=1):
        expected = shares + 0.9**bar * (1 / 3 - shares)
        np.testing.assert_allclose(found, np.tile(expected, (2, 1)), atol=1e-12)


def test_step_when_options_end_at_a_constant_rate_then_the_state_tells_their_length() -> None:
    """An eighth ends each bar, so an option lasts eight bars; usage is the mean of the weights."""
    model = constant_options(0.125, 0.4, 0.3, 0.3)._replace(half_life_bars=1e12)
    rows, state, total = np.arange(2), controller.initial_state(2), np.zeros((2, 3))
    carried = np.zeros((2, 3))
    for bar in slices(71, 60, n_symbols=2):
        carried += state.weights
        state, weights = controller.step(model, state, rows, *bar)
        total += weights
    np.testing.assert_allclose(state.occupied_bars, total, rtol=1e-9)
    np.testing.assert_allclose(state.endings, carried / 8.0, rtol=1e-9)
    np.testing.assert_allclose(options.usage(state.occupied_bars), total / 60.0, rtol=1e-9)
    lengths = options.length_bars(carried, state.endings)
    np.testing.assert_allclose(lengths, 8.0, rtol=1e-9)
    assert not options.collapsed(state.occupied_bars).any()


def test_step_when_the_limit_holds_options_back_then_fewer_count_as_ended() -> None:
    """All would leave for the first; 5 % of the book may, so 7.5 % end: 1/3 of them come back."""
    model = constant_options(1.0 - 1e-12, 1.0 - 2e-12, 1e-12, 1e-12)
    state = controller.initial_state(1)
    regime, score, close = np.full((1, 4), 1 / 3), np.zeros((1, 3)), np.ones(1)
    state, weights = controller.step(model, state, np.arange(1), regime, score, close)
    np.testing.assert_allclose(weights, [[1 / 3 + 0.05, 1 / 3 - 0.025, 1 / 3 - 0.025]], atol=1e-9)
    np.testing.assert_allclose(state.endings.sum(), 0.075, atol=1e-9)


def test_step_when_options_give_no_weights_then_hedge_stands_in_and_is_counted() -> None:
    """Coefficients that are not finite must not stop the chain."""
    broken = policy(OPTIONS)._replace(selection=np.full((3, len(options.FEATURES)), np.nan))
    bars = slices(72, 10, n_symbols=3)
    rows, state = np.arange(3), controller.initial_state(3)
    for bar, expected in zip(bars, run(bars, policy(HEDGE)), strict=True):
        state, weights = controller.step(broken, state, rows, *bar)
        np.testing.assert_array_equal(weights, expected)
    assert state.fallbacks.tolist() == [10, 10, 10]
    assert state.repairs.tolist() == [0, 0, 0]
    assert not state.endings.any()


def test_step_when_policies_change_then_the_state_goes_on() -> None:
    """A fallback is one number of the model: the next bar walks on from where the weights are."""
    bars = slices(73, 12)
    rows, state = np.arange(N_SYMBOLS), controller.initial_state(N_SYMBOLS)
    for number, bar in enumerate(bars):
        before = state.weights
        state, weights = controller.step(POLICIES[number % 3], state, rows, *bar)
        assert simplex.distance(before, weights).max() <= MODEL.max_change_fraction + 1e-12


def test_step_when_the_model_is_not_of_this_kind_then_refuses() -> None:
    """An unknown policy and options for other features are named."""
    bar = slices(74, 1, n_symbols=2)[0]
    state, rows = controller.initial_state(2), np.arange(2)
    with pytest.raises(NotFitted, match="was 7"):
        controller.step(MODEL._replace(policy=7), state, rows, *bar)
    with pytest.raises(NotFitted, match=r"must be \(3, 8\), was \(\(3, 5\), \(3, 8\)\)"):
        controller.step(MODEL._replace(selection=np.zeros((3, 5))), state, rows, *bar)
