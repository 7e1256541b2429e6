"""The witness finds a book that executions do not explain."""

from hypothesis import given
from hypothesis import strategies as st

from models.portfolio.ledger import Book, Fill, post
from models.portfolio.witness import Witness

FILLS = st.lists(
    st.builds(
        Fill,
        st.sampled_from(["AAA", "BBB"]),
        st.integers(-50, 50).filter(bool),
        st.integers(1, 10**12),
        st.integers(0, 10**9),
    ),
    max_size=30,
)


@given(FILLS)
def test_witness_when_every_fill_is_posted_then_agrees(fills: list[Fill]) -> None:
    """Two folds of the same executions, two ways of calculating, one result."""
    book, witness = Book(10**20, {"AAA": 10**8, "BBB": 3}), Witness(10**20)
    for fill in fills:
        post(book, fill)
        witness.saw(fill, book.lot_sizes[fill.symbol])
    assert witness.differences(book) == []


@given(FILLS.filter(bool), st.data())
def test_witness_when_one_fill_is_lost_or_doubled_then_says_so(
    fills: list[Fill], data: st.DataObject
) -> None:
    """A planted defect of one fill is found whatever the others are."""
    at = data.draw(st.integers(0, len(fills) - 1))
    times = data.draw(st.sampled_from([0, 2]))
    book, witness = Book(0, {"AAA": 10**8, "BBB": 3}), Witness(0)
    for n, fill in enumerate(fills):
        for _ in range(times if n == at else 1):
            post(book, fill)
        witness.saw(fill, book.lot_sizes[fill.symbol])
    assert witness.differences(book) != []


def test_witness_when_cash_or_positions_are_stated_then_takes_them() -> None:
    """Openings and payments are records, too."""
    book, witness = Book(5, {"AAA": 1}), Witness(2)
    witness.received(3)
    witness.holds("AAA", 7)
    assert witness.differences(book) == ["AAA is 0 lots, executions say 7"]
    book.position("AAA").lots = 7
    assert witness.differences(book) == []
    book.cash = 6
    assert witness.differences(book) == ["cash is 6, executions say 5"]
