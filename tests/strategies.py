"""Generators that several tests share."""

from typing import Any

from hypothesis import strategies as st

from models.bars import BarRules, Trade
from models.risk.decide import Row
from tests.builders import MIDNIGHT, MINUTE, SECOND

RULES = BarRules(MINUTE, 2 * SECOND, 5 * SECOND, SECOND // 2)

PRICES = st.integers(1, 10**7).map(lambda cents: cents / 100)


def trades(symbols: tuple[str, ...] = ("AAA", "BBB")) -> st.SearchStrategy[list[Trade]]:
    """Draw trades of the minute behind midnight, in any order, with equal times among them."""
    one = st.builds(
        Trade,
        st.sampled_from(symbols),
        st.integers(0, 119).map(lambda half: MIDNIGHT + half * SECOND // 2),
        PRICES,
        st.integers(0, 1_000).map(float),
        st.just(""),
    )
    return st.lists(one, max_size=40)


def markets(symbols: tuple[str, ...]) -> st.SearchStrategy[list[list[Row]]]:
    """Draw bars of some symbols: prices that move, gaps, missing fills, any target."""
    maybe_nan = st.just(float("nan"))

    def row(symbol: str) -> st.SearchStrategy[Any]:
        return st.none() | st.builds(
            Row,
            st.just(symbol),
            st.integers(50, 200).map(float),
            st.integers(50, 200).map(float) | maybe_nan,
            st.integers(50, 100).map(lambda percent: percent / 100) | maybe_nan,
            st.integers(-40, 60).map(lambda percent: percent / 100) | maybe_nan,
        )

    bar = st.tuples(*(row(symbol) for symbol in symbols))
    return st.lists(bar.map(lambda rows: [r for r in rows if r is not None]), max_size=12)
