"""Features as bytes: the key, and rows that come back bit for bit or not at all."""

from hypothesis import given
from hypothesis import strategies as st

from tables.stores.cached_row import CachedRow, CacheKey, Whose

KEY = CacheKey("EURUSD.OANDA", "1min", "v1.0.0")
ROW = CachedRow(7, (1.0, -0.5, 0.0))
MARK = Whose("s1", "r1.").mark()


def test_key_when_written_then_is_the_contracts() -> None:
    """``feature:{symbol}:{timeframe}:{version}``."""
    assert KEY.text() == "feature:EURUSD.OANDA:1min:v1.0.0"
    assert KEY.text("run-1.") == "run-1.feature:EURUSD.OANDA:1min:v1.0.0"


def test_mark_when_stack_or_run_is_another_then_is_another() -> None:
    """Also where the two texts in a row are the same."""
    whose = [Whose(), Whose("a"), Whose("a", "b."), Whose("ab."), Whose("", "ab.")]
    assert len({one.mark() for one in whose}) == len(whose)


@given(st.integers(-(2**63), 2**63 - 1), st.lists(st.floats(width=64), max_size=70))
def test_row_when_packed_then_comes_back_bit_for_bit(close_ns: int, values: list[float]) -> None:
    """NaN and signed zero are values too."""
    row = CachedRow(close_ns, tuple(values))
    found = CachedRow.unpack(row.pack(MARK))
    assert found is not None
    # The texts tell NaN from numbers and one zero from the other.
    assert (found.close_ns, str(found.features)) == (close_ns, str(row.features))


@given(st.data())
def test_row_when_a_byte_is_another_then_is_no_row(data: st.DataObject) -> None:
    """Cut anywhere or changed anywhere: the checksum tells."""
    packed = ROW.pack(MARK)
    at = data.draw(st.integers(0, len(packed) - 1))
    by = data.draw(st.integers(1, 255))
    assert CachedRow.unpack(packed[:at]) is None
    damaged = bytearray(packed)
    damaged[at] ^= by
    assert CachedRow.unpack(bytes(damaged)) is None


@given(st.binary(max_size=600))
def test_row_when_it_is_nonsense_then_is_no_row(value: bytes) -> None:
    """Whatever somebody wrote under our key."""
    assert CachedRow.unpack(value) is None
