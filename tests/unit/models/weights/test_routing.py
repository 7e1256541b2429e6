"""Hard routing, the arm that blending is compared with."""

import numpy as np

from models.weights import routing


def test_route_when_one_regime_leads_then_takes_all_weight() -> None:
    """The likeliest regime's specialist decides alone."""
    regime = np.array([[0.5, 0.3, 0.2, 1.49], [0.1, 0.3, 0.6, 1.3]])
    assert routing.route(regime).tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_route_when_tied_then_the_first_regime_wins() -> None:
    """Ties are broken by the order of the regimes, the same way each time."""
    assert routing.route(np.array([[0.4, 0.4, 0.2]])).tolist() == [[1.0, 0.0, 0.0]]


def test_route_when_a_probability_is_missing_then_weights_are_equal() -> None:
    """Without a regime there is nothing to route by."""
    np.testing.assert_array_equal(routing.route(np.array([[np.nan, 0.4, 0.6, 1.0]])), 1 / 3)
