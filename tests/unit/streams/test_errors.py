"""What a refused record says, and how much of it."""

from streams.errors import LONGEST_DETAIL, RecordError, StreamError


def test_record_error_when_made_then_names_reason_and_detail() -> None:
    """The reason is for counting, the detail for the producer, the text has both."""
    error = RecordError("BAD_PRICE", "price was -1")
    assert (error.reason, error.detail, str(error)) == (
        "BAD_PRICE",
        "price was -1",
        "BAD_PRICE: price was -1",
    )
    assert isinstance(error, StreamError)


def test_record_error_when_the_detail_quotes_a_megabyte_then_cuts_it() -> None:
    """A hostile value swells neither headers nor logs."""
    error = RecordError("BAD_TIMESTAMP", "x" * 1_000_000)
    assert error.detail == "x" * LONGEST_DETAIL
    assert len(str(error)) < 600
