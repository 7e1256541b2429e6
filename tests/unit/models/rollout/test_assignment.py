"""Who decides for what: sticky, growing, even."""

import hashlib
import math

from hypothesis import given
from hypothesis import strategies as st

from models.rollout.assignment import challenged, position

NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)


def test_position_when_asked_then_is_the_head_of_the_hash() -> None:
    """The rule is written down: 53 bits of SHA-256 over the three names, parted by NUL."""
    digest = hashlib.sha256(b"r1\x00main\x00AAPL").hexdigest()
    assert position("r1", "main", "AAPL") == (int(digest[:16], 16) // 2**11) / 2**53


@given(
    rollout=NAMES,
    symbols=st.sets(NAMES, max_size=30),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_challenged_when_the_share_grows_then_keeps_who_is_in(
    rollout: str, symbols: set[str], shares: tuple[float, float]
) -> None:
    """Who is in 5 % is in 25 %: nobody changes sides twice."""
    few, many = (challenged(rollout, "main", sorted(symbols), share) for share in sorted(shares))
    assert few <= many <= symbols


def test_challenged_when_names_could_be_run_together_then_differ() -> None:
    """Portfolio ``ab`` with ``c`` is not portfolio ``a`` with ``bc``."""
    assert position("r", "ab", "c") != position("r", "a", "bc")


def test_challenged_when_the_share_is_a_symbols_own_place_then_leaves_it_out() -> None:
    """Below the share is in, at the share is out: at 0 nobody is, whatever the hash."""
    place = position("r1", "main", "AAPL")
    assert challenged("r1", "main", ["AAPL"], place) == frozenset()
    assert challenged("r1", "main", ["AAPL"], math.nextafter(place, 1.0)) == {"AAPL"}
