"""Exposure by hand: the worst outcome of open orders, and sums by sector."""

from models.portfolio.ledger import Book, Position
from models.portfolio.reservation import OpenOrder, Reservations
from models.risk.exposure import NOTHING, UNCLASSIFIED, Exposure, Stake, stake_of


def test_stake_when_both_sides_are_open_then_has_both_outcomes() -> None:
    """Two lots of three units at 5: held 30, up with 4 more, down with 3 fewer."""
    book = Book(0, {"AAA": 3}, {"AAA": Position(2, 0, 5)})
    open_orders = Reservations([OpenOrder("AAA", 4, 1), OpenOrder("AAA", -3, 1)])
    assert stake_of(book, open_orders, "AAA") == Stake(30, 90, -15)


def test_exposure_when_stakes_are_replaced_then_sums_follow() -> None:
    """Gross and sector move by the worst case, held and net by the signed values."""
    exposure = Exposure({"AAA": "x", "BBB": "x"})
    exposure.put("AAA", Stake(10, 20, -5))
    exposure.put("BBB", Stake(-10, -10, -30))
    exposure.put("CCC", Stake(1, 1, 1))
    assert (exposure.held, exposure.gross, exposure.up, exposure.down) == (1, 51, 11, -34)
    assert exposure.by_sector == {"x": 50, UNCLASSIFIED: 1}
    exposure.put("BBB", NOTHING)
    assert (exposure.held, exposure.gross, exposure.up, exposure.down) == (11, 21, 21, -4)
    assert exposure.by_sector["x"] == 20


def test_exposure_when_a_symbol_is_unknown_then_is_nothing() -> None:
    """What was never put is no exposure, and a stake put twice counts once."""
    exposure = Exposure({})
    assert exposure.of("AAA") == NOTHING
    for _ in range(2):
        exposure.put("AAA", Stake(1, 1, 1))
    assert exposure.gross == 1
