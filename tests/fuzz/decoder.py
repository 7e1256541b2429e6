"""What the fuzzers drive."""

from collections.abc import Callable
from typing import NamedTuple


class Decoder(NamedTuple):
    """A decoder: what it is called with, how it may refuse, and bytes that it takes."""

    name: str
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    examples: tuple[bytes, ...]
