"""A replay is the live step, bar by bar."""

import numpy as np

from models.weights import controller, replay
from models.weights.controller import ControllerModel


def test_replay_when_a_symbol_has_gaps_then_is_the_fold_of_its_own_bars() -> None:
    """Rows without a bar are not folded; the others get the bits of a fold by hand."""
    draw = np.random.default_rng(93)
    regime = np.concatenate([draw.dirichlet(np.ones(3), (20, 2)), np.ones((20, 2, 1))], axis=2)
    scores = draw.normal(size=(20, 2, 3))
    close = 100.0 + np.cumsum(draw.normal(size=(20, 2)), axis=0)
    close[[3, 4, 11], 1] = np.nan
    model = ControllerModel()
    course = replay.replay(model, regime, scores, close)
    state = controller.initial_state(2)
    for bar in range(20):
        rows = np.flatnonzero(np.isfinite(close[bar]))
        state, weights = controller.step(
            model, state, rows, regime[bar, rows], scores[bar, rows], close[bar, rows]
        )
        assert course.weights[bar, rows].tobytes() == weights.tobytes()
        assert course.log_performance[bar, rows].tobytes() == state.log_performance[rows].tobytes()
    assert np.isnan(course.weights[3, 1]).all()
    for first, second in zip(course.state, state, strict=True):
        assert first.tobytes() == second.tobytes()
