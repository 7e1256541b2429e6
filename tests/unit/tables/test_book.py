"""An account survives its snapshot to the last unit of money and the last bit of its window."""

import numpy as np
import pytest

from models.portfolio.ledger import Book, Position
from models.portfolio.reservation import OpenOrder, Reservations
from models.risk.decide import AccountState
from streams.codec import StateError
from tables.book import decode_account, encode_account


def account() -> AccountState:
    """Build an account whose money exceeds 64 bits."""
    book = Book(-(10**25) - 1, {"AAA": 1, "BBB": 10**10}, {}, 10**24 + 3, 7)
    book.positions = {"BBB": Position(-5, -(10**22), 3), "AAA": Position(2**40, 10**30, 10**18)}
    orders = [OpenOrder("AAA", 5, 60, 2), OpenOrder("AAA", -3, 120), OpenOrder("BBB", 1, 60)]
    window = np.array([[np.nan, -0.0], [0.1, 1e-300]])
    return AccountState(book, Reservations(orders), window, np.array([np.nan, 2.5]))


def test_decode_when_encoded_then_is_the_same_account() -> None:
    """Cash, positions, open orders in their order, windows and the bar decided come back."""
    state = account()
    decided, back = decode_account(encode_account((60, 1), state))
    assert decided == (60, 1)
    assert back.book == state.book
    assert list(back.book.positions) == ["BBB", "AAA"]
    assert back.reservations == state.reservations
    assert back.window.tobytes() == state.window.tobytes()
    assert back.last_close.tobytes() == state.last_close.tobytes()
    assert encode_account(decided, back) == encode_account((60, 1), account())


def test_decode_when_bytes_are_no_account_then_says_so() -> None:
    """A table of another version is named as such."""
    with pytest.raises(StateError):
        decode_account(b"garbage")
