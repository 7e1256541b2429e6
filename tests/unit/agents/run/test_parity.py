"""Risk-parity weights find their way from the models into the portfolios of an epoch."""

import msgspec
import pytest

from agents.run.parity import remarks, spread
from streams.epochs import Instrument, Limits, Portfolio
from tests.builders import epoch

WEIGHTS = {"AAA": 0.5, "BBB": 0.3, "CCC": 0.2}
LOOSE = Limits(max_asset_fraction=1.0)


@pytest.mark.parametrize(
    ("portfolio", "expected"),
    [
        (Portfolio(id="p", limits=LOOSE), WEIGHTS),
        (Portfolio(id="p", limits=LOOSE, universe=("BBB", "CCC")), {"BBB": 0.6, "CCC": 0.4}),
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


def test_spread_when_a_portfolio_caps_assets_then_its_weights_keep_the_cap() -> None:
    """By hand, cap 0.4: 0.1 too much goes to the others as 3 to 2. The other portfolio keeps its.

    The fit knows no portfolio; each is held to its own limits.
    """
    narrow = Portfolio(id="narrow", limits=Limits(max_asset_fraction=0.4))
    wide = Portfolio(id="wide", limits=LOOSE)
    found = spread((narrow, wide), {"risk_parity": WEIGHTS})
    assert found[0].risk_parity == pytest.approx({"AAA": 0.4, "BBB": 0.36, "CCC": 0.24})
    assert found[1].risk_parity == pytest.approx(WEIGHTS)


def test_remarks_when_limits_cannot_hold_the_weights_then_says_which_and_by_how_much() -> None:
    """Three symbols at a quarter each hold three quarters; a sector of two has 0.8 of one half."""
    instruments = (
        *(Instrument(id=symbol, sector="tech") for symbol in ("AAA", "BBB")),
        Instrument(id="CCC"),
    )
    tight = spread((Portfolio(id="tight"),), {"risk_parity": WEIGHTS})
    (told,) = remarks(msgspec.structs.replace(epoch(), instruments=instruments, portfolios=tight))
    assert told.startswith("Portfolio tight: ")
    assert "AAA 0.500 > 0.25, BBB 0.300 > 0.25, tech 0.800 > 0.5" in told


def test_remarks_when_all_weights_are_within_then_is_silent() -> None:
    """Nothing is said where nothing follows, nor where no weights are wanted."""
    fine = Portfolio(id="fine", limits=LOOSE, risk_parity={"AAA": 0.5, "BBB": 0.5})
    portfolios = (fine, Portfolio(id="plain", sizing="plain"))
    assert list(remarks(msgspec.structs.replace(epoch(), portfolios=portfolios))) == []


def test_remarks_when_a_portfolio_goes_without_weights_then_says_so() -> None:
    """The settings asked for risk parity; the models do not know one of its symbols."""
    portfolios = spread((Portfolio(id="p", universe=("AAA", "ZZZ")),), {"risk_parity": WEIGHTS})
    (told,) = remarks(msgspec.structs.replace(epoch(), portfolios=portfolios))
    assert "Portfolio p is sized by risk parity" in told
