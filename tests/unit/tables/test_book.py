"""An account survives its snapshot to the last unit of money and the last bit of its window."""

import cramjam
import numpy as np
import pytest

from models.portfolio.ledger import Book, Position
from models.portfolio.reservation import OpenOrder, Reservations
from models.portfolio.witness import Witness
from models.risk.account import Day, Kept
from models.risk.feed import Feed
from models.risk.flow import OrderFlow, Sent
from models.risk.memory import Memory, Taken
from models.risk.switches import Switch, Switches
from streams.codec import StateError
from tables.book import StoredAccount, decode_account, encode_account

EARNED = np.array([-0.0, 1e300])


def account() -> StoredAccount:
    """Build an account whose money exceeds 64 bits, with something of everything."""
    book = Book(-(10**25) - 1, {"AAA": 1, "BBB": 10**10}, {}, 10**24 + 3, 7)
    book.positions = {"BBB": Position(-5, -(10**22), 3), "AAA": Position(2**40, 10**30, 10**18)}
    orders = [
        OpenOrder("AAA", 5, 60, 2, "d1", "model", 7),
        OpenOrder("AAA", -3, 120, 0, "d2"),
        OpenOrder("BBB", 1, 60, 0, "d3"),
    ]
    kept = Kept(
        book,
        Witness(-(10**26), {"AAA": -3}),
        Reservations(orders),
        np.array([[np.nan, -0.0], [0.1, 1e-300]]),
        np.array([np.nan, 2.5]),
        Day(17, 10**24, 10**25),
        EARNED,
        now_ns=99,
        bar_ns=98,
        priced_ns={"AAA": 60},
        flow=OrderFlow((Sent(1, "model", "AAA", 5, 0), Sent(2, "x", "BBB", -1, 9)), 12),
        switches=Switches({"symbol:AAA": Switch("HALTED", "why", "ann", 5)}),
        memory=Memory(
            17,
            {"intent:1": 16, "change:1": 17},
            {"execution:1": Taken(17, "d1", "AAA", 1, 2, 10**25)},
            {"intent:1": 2**32 - 1},
        ),
        changed={"max_leverage": 0.5, "restricted": ("AAA",), "allow_short": True},
        parity={"AAA": 0.75, "BBB": 0.25},
        feed=Feed(((40, 100, 1), (60, 50, 0))),
    )
    return StoredAccount((60, 1), "e" * 64, 3, kept)


def test_decode_when_encoded_then_is_the_same_account() -> None:
    """Everything an account knows comes back, in its order, to the last bit."""
    stored = account()
    back = decode_account(encode_account(stored, EARNED))
    assert back[:3] == ((60, 1), "e" * 64, 3)
    kept, again = stored.kept, back.kept
    for name in (
        "book",
        "witness",
        "reservations",
        "day",
        "now_ns",
        "bar_ns",
        "priced_ns",
        "memory",
        "changed",
        "parity",
        "feed",
    ):
        assert getattr(again, name) == getattr(kept, name), name
    assert list(again.book.positions) == ["BBB", "AAA"]
    assert again.flow.recent == kept.flow.recent
    assert again.flow.n_today == 12
    assert again.switches.thrown == kept.switches.thrown
    for name in ("window", "last_close", "earned"):
        assert getattr(again, name).tobytes() == getattr(kept, name).tobytes()
    assert encode_account(back, EARNED) == encode_account(account(), EARNED)


def test_decode_when_bytes_are_no_account_then_says_so() -> None:
    """A table of another version is named as such."""
    with pytest.raises(StateError):
        decode_account(b"garbage")


def test_decode_when_a_number_in_it_is_none_then_says_so() -> None:
    """Bytes that unpack can still hold money that is no number."""
    plain = cramjam.zstd.decompress(encode_account(account(), EARNED))
    cash = str(account().kept.book.cash).encode()
    damaged = bytes(plain).replace(cash, b"x" * len(cash))
    with pytest.raises(StateError, match="no snapshot of an account"):
        decode_account(bytes(cramjam.zstd.compress(damaged)))
