"""The prediction stage: a target per row, and every slice for every portfolio."""

import math
from pathlib import Path

import numpy as np

from agents.prediction import PREDICTION
from models.model_set import ModelSet
from models.prediction.ensemble import predict
from streams.epochs import Portfolio
from streams.slices import Slice
from tests.builders import bars, epoch, epochs_in, meta, models, record

SYMBOLS = ("AAA", "BBB", "CCC")


def weighted(closes: dict[str, float]) -> Slice:
    """Build a slice as the weights stage leaves it; BBB has no score."""
    fresh = bars(meta(), closes, SYMBOLS)
    n_rows = fresh.n_rows
    scores = np.tile([0.2, 0.4, -0.1], (n_rows, 1))
    scores[[s == "BBB" for s in fresh.symbols()]] = math.nan
    return fresh.with_columns(
        {
            "features": np.full((n_rows, 60), 0.02),
            "scores": scores,
            "weights": np.tile([0.5, 0.3, 0.2], (n_rows, 1)),
        }
    )


def step(slice_: Slice, given: ModelSet) -> dict[str, np.ndarray]:
    """Run the step and return its columns."""
    _, columns = PREDICTION.step(given, PREDICTION.initial(3), slice_)
    return dict(columns)


def test_step_when_scores_are_blended_then_gives_the_ensembles_target() -> None:
    """Confidence and target are the ensemble's; a row without a score has NaN in both."""
    slice_, given = weighted({"AAA": 1.0, "BBB": 1.0}), models()
    columns = step(slice_, given)
    names = ("features", "scores", "weights")
    confidence, _, target = predict(given.ensemble, *(slice_.matrix(name) for name in names))
    np.testing.assert_array_equal(columns["confidence"], confidence)
    np.testing.assert_array_equal(columns["target_fraction"], target)
    # 0.5 * 0.2 + 0.3 * 0.4 - 0.2 * 0.1 = 0.2: the logistic of it is the probability of a rise.
    np.testing.assert_allclose(columns["confidence"], [1 / (1 + math.exp(-0.2)), math.nan])


def test_step_when_nothing_traded_then_gives_no_rows() -> None:
    """A bar without rows has both columns, without rows."""
    columns = step(weighted({}), models())
    assert columns["confidence"].shape == columns["target_fraction"].shape == (0,)


def test_route_when_portfolios_have_universes_then_each_gets_its_rows(tmp_path: Path) -> None:
    """Every portfolio gets every slice, for its barrier counts them, but only its own rows."""
    portfolios = (
        Portfolio(id="all"),
        Portfolio(id="two", universe=("CCC", "AAA")),
        Portfolio(id="none", universe=("BBB",)),
    )
    epochs, (digest,) = epochs_in(tmp_path, epoch(SYMBOLS, portfolios=portfolios))
    result = weighted({"AAA": 1.0, "CCC": 3.0})
    source = record(b"", 5, headers=[("due_ns", b"1")])
    sent = list(PREDICTION.route(epochs.load(digest), result, result.encode(), source))
    assert {o.topic for o in sent} == {"portfolio-events"}
    assert [o.key for o in sent] == [b"all", b"two", b"none"]
    assert {o.partition for o in sent} == {None}
    assert [o.headers for o in sent] == [[("due_ns", b"1")]] * 3
    parts = [Slice.decode(o.value) for o in sent]
    assert [p.symbols() for p in parts] == [["AAA", "CCC"], ["AAA", "CCC"], []]
    assert {p.key for p in parts} == {result.key}
    assert sent[0].value == result.encode()
    assert parts[1].matrix("scores").tolist() == result.matrix("scores").tolist()


def test_route_when_the_slice_is_void_then_every_portfolio_hears_of_it(tmp_path: Path) -> None:
    """The reason reaches all barriers."""
    portfolios = (Portfolio(id="all"), Portfolio(id="one", universe=("AAA",)))
    epochs, (digest,) = epochs_in(tmp_path, epoch(SYMBOLS, portfolios=portfolios))
    void = bars(meta(), {"AAA": 1.0}, SYMBOLS).voided("NotFinite")
    sent = PREDICTION.route(epochs.load(digest), void, void.encode(), record(b"", 5))
    assert [Slice.decode(o.value).meta.void for o in sent] == ["NotFinite"] * 2
