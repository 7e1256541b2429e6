"""In every push: a few hundred inputs for each decoder, random ones and damaged good ones."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.decoders import DECODERS, Decoder

NAMED = pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)


@NAMED
def test_decoder_when_given_its_examples_then_reads_them(decoder: Decoder) -> None:
    """What is damaged below was good: otherwise only the first check would ever be met."""
    for example in decoder.examples:
        assert decoder.read(example) is not None


@NAMED
@given(value=st.binary(max_size=300))
def test_decoder_when_bytes_are_random_then_answers_or_refuses(
    decoder: Decoder, value: bytes
) -> None:
    """No exception but the refusals that its callers know."""
    with suppress(*decoder.refusals):
        decoder.read(value)


@NAMED
@given(data=st.data())
def test_decoder_when_a_good_record_is_damaged_then_answers_or_refuses(
    decoder: Decoder, data: st.DataObject
) -> None:
    """Bytes changed, cut out, doubled or cut off, at any place."""
    value = data.draw(st.sampled_from(decoder.examples))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(value)))
        end = data.draw(st.integers(start, min(start + 8, len(value))))
        noise = data.draw(st.binary(max_size=8) | st.sampled_from(_NASTY))
        value = value[:start] + noise + value[end:]
    with suppress(*decoder.refusals):
        decoder.read(value)


# What readers of JSON and of numbers stumble over.
_NASTY = (
    *(b"null", b"NaN", b"Infinity", b"-0", b"1e999", b"1e-999", b"9" * 400, b"-1", b"0.1e1"),
    *(b'"\\ud800"', b"[" * 2_000, b'{"a":' * 500, b"\x00", b"\xef\xbb\xbf", b"true", b"{}", b"[]"),
)
