"""Risk-parity weights find their way from the models into the portfolios of an epoch."""

import pytest

from agents.run.fit import spread
from streams.epochs import Portfolio

WEIGHTS = {"AAA": 0.5, "BBB": 0.3, "CCC": 0.2}


@pytest.mark.parametrize(
    ("portfolio", "expected"),
    [
        (Portfolio(id="p"), WEIGHTS),
        (Portfolio(id="p", universe=("BBB", "CCC")), {"BBB": 0.6, "CCC": 0.4}),
        (Portfolio(id="p", universe=("BBB", "ZZZ")), {}),
        (Portfolio(id="p", sizing="plain"), {}),
        (Portfolio(id="p", risk_parity={"AAA": 1.0}), {"AAA": 1.0}),
    ],
)
def test_spread_when_models_have_weights_then_portfolios_get_their_share(
    portfolio: Portfolio, expected: dict[str, float]
) -> None:
    """All of it, the share of a universe, none where a symbol is unknown or none is wanted."""
    (found,) = spread((portfolio,), {"risk_parity": WEIGHTS})
    assert found.risk_parity == pytest.approx(expected)


def test_spread_when_models_have_none_then_changes_nothing() -> None:
    """Models fitted before there were weights decide as they did."""
    portfolios = (Portfolio(id="p"),)
    assert spread(portfolios, {}) == portfolios
