"""Where results come from: the parts add up to what positions earned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.backtest.attribution import Attribution
from models.portfolio.ledger import MONEY_SCALE, Book, Position


@given(
    lots=st.integers(-50, 50),
    prices=st.lists(st.integers(1, 10**12), min_size=2, max_size=6),
    bull=st.floats(0.0, 1.0),
    share=st.floats(0.0, 1.0),
)
def test_attribution_when_prices_move_then_the_parts_are_the_whole(
    lots: int, prices: list[int], bull: float, share: float
) -> None:
    """Whatever the probabilities are, nothing is lost and nothing is made up."""
    bear = (1.0 - bull) * share
    book = Book(0, {"A": 10**8}, {"A": Position(lots, 0, prices[0])})
    by = Attribution()
    earned = [by.step(book, {"A": (bull, bear, 1.0 - bull - bear)})]
    for price in prices[1:]:
        book.positions["A"].price_e8 = price
        earned.append(by.step(book, {}))
    whole = lots * 10**8 * (prices[-1] - prices[0]) / MONEY_SCALE
    assert sum(map(sum, earned)) == pytest.approx(whole, abs=1e-6)


def test_attribution_when_a_symbol_has_no_regime_then_counts_as_each_alike() -> None:
    """A position that was there before any bar of its symbol says nothing about regimes."""
    book = Book(0, {"A": 10**8}, {"A": Position(3, 0, 10**8), "B": Position()})
    by = Attribution()
    by.step(book, {})
    book.positions["A"].price_e8 = 4 * 10**8
    assert by.step(book, {}) == (3.0, 3.0, 3.0)


def test_attribution_when_a_position_is_traded_then_the_old_one_earned() -> None:
    """The bar's gain belongs to what was held when it began."""
    book = Book(0, {"A": 10**8}, {"A": Position(1, 0, 10**8)})
    by = Attribution()
    by.step(book, {"A": (1.0, 0.0, 0.0)})
    book.positions["A"] = Position(100, 0, 2 * 10**8)
    assert by.step(book, {"A": (0.0, 1.0, 0.0)}) == (1.0, 0.0, 0.0)
