"""Limits at their edges: one lot fits, one more does not; a lot is worth 5, the account 1,000."""

import pytest

from tests.chaos.judge.exact import E16
from tests.chaos.judge.limits import Asked, check_order
from tests.chaos.judge.verdict import Invariant
from tests.unit.chaos.world import LIMITS, account, record


def broken(asked: Asked, held: int = 0, selling: int = 0, **limits: object) -> list[str]:
    """Return what an order breaks while 40 lots of B, worth 200, are being bought."""
    book, _ = account(limits=LIMITS | limits)
    book.approve("b", "B", 40, 0)
    book.position("A").lots = held
    book.cash -= held * 5 * E16
    if selling:
        book.approve("a", "A", -selling, 0)
    found = Invariant("I5", "")
    check_order(book, asked, record(), found)
    return [found.first.expected] * found.n_broken if found.first else []


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("max_order_fraction", 0.1, 20),
        ("max_order_lots", 30, 30),
        ("max_asset_fraction", 0.1, 20),
        ("max_sector_fraction", 0.3, 20),
        ("max_leverage", 0.3, 20),
        ("max_gross_fraction", 0.3, 20),
        ("max_net_fraction", 0.3, 20),
    ],
)
def test_order_when_it_meets_a_limit_then_one_lot_more_is_found(
    name: str, value: float, fits: int
) -> None:
    """A limit is tight to the lot; what is being bought counts as bought."""
    assert broken(Asked("A", fits), **{name: value}) == []
    assert broken(Asked("A", fits + 1), **{name: value}) == [f"{name} {value}"]


def test_order_when_another_sector_is_full_then_fits() -> None:
    """The 200 of B are in the sector of A, not of C."""
    assert broken(Asked("C", 60), max_sector_fraction=0.3) == []


def test_order_when_its_price_is_above_the_last_then_that_is_its_value() -> None:
    """At 20 a lot is worth 10, so ten of them are the most."""
    assert broken(Asked("A", 10, 20 * 10**8), max_order_fraction=0.1) == []
    assert broken(Asked("A", 11, 20 * 10**8), max_order_fraction=0.1) != []


def test_sale_when_it_only_reduces_then_no_limit_binds_it() -> None:
    """Ten lots are held and four being sold: six may go whatever the limits, the seventh not."""
    tight = {"max_asset_fraction": 0.001, "max_order_fraction": 0.001}
    assert broken(Asked("A", -6), held=10, selling=4, **tight) == []
    assert "at most 6, or it is a short sale" in broken(Asked("A", -7), 10, 4, **tight)[0]


def test_sale_when_instrument_and_account_may_be_short_then_limits_bind_it() -> None:
    """B may be short, A may not."""
    assert broken(Asked("B", -20), max_net_fraction=0.1) == []
    assert broken(Asked("B", -21), max_net_fraction=0.1) == ["max_net_fraction 0.1"]
    assert broken(Asked("A", -1)) == ["at most 0, or it is a short sale"]
    assert broken(Asked("B", -1), allow_short=False) == ["at most 0, or it is a short sale"]


def test_order_when_the_symbol_is_restricted_or_has_no_price_then_is_found() -> None:
    """Both refuse sales as well."""
    assert broken(Asked("A", -1), held=1, restricted=["A"]) == ["refused: the symbol is restricted"]
    book, _ = account()
    book.position("A").price = 0
    found = Invariant("I5", "")
    check_order(book, Asked("A", 1), record(), found)
    assert found.n_broken == 1
