"""What a tape is."""

from streams.records import Tick
from streams.sources.tape import Interval


def test_n_ticks_when_symbols_have_different_many_then_counts_all() -> None:
    """Two ticks of one symbol and one of another are three."""
    ticks = {"A": [Tick("A", 1, price=1.0), Tick("A", 2, price=1.0)], "B": [Tick("B", 1, price=2)]}
    assert Interval(10, ticks).n_ticks() == 3


def test_n_ticks_when_nothing_traded_then_is_zero() -> None:
    """An interval without ticks has none."""
    assert Interval(10, {}).n_ticks() == 0
