"""The newest decisions in the order in which they came, for those who follow them.

Every reader has a queue of its own that is bounded: who reads too slowly loses the oldest lines and
is told how many. A reader that comes back says up to where it knows each partition; what the tail
still has is given to it, and what it has no more is counted.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable

from tables.views.decision_row import DecisionRow, Place

# A bar of 200 symbols and ten portfolios; 1.6 MB.
TAIL_MAX = 2_000
# More than a page shows at once.
QUEUE_MAX = 256

_POSITION = re.compile(r"\d{1,9}:\d{1,19}(,\d{1,9}:\d{1,19}){0,1023}")

Position = dict[int, int]


def position_text(position: Position) -> str:
    """Return a position as an id of an event.

    Examples
    --------
    >>> position_text({1: 42, 0: 7})
    '0:7,1:42'
    """
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(position.items()))


def parse_position(text: str) -> Position | None:
    """Return the position that a text stands for; None if it is none.

    Examples
    --------
    >>> parse_position("0:7,1:42"), parse_position("yesterday")
    ({0: 7, 1: 42}, None)
    """
    if not _POSITION.fullmatch(text):
        return None
    pairs = (pair.split(":") for pair in text.split(","))
    return {int(partition): int(offset) for partition, offset in pairs}


class Reader:
    """One who follows.

    Parameters
    ----------
    wants
        Which lines it is given.
    position
        Up to where it knows each partition.
    """

    def __init__(self, wants: Callable[[DecisionRow], bool], position: Position) -> None:
        self.wants = wants
        self.position = position
        self.is_over = False
        self._waiting: deque[DecisionRow] = deque()
        self._n_left_out = 0
        self._woken = asyncio.Event()

    def offer(self, row: DecisionRow) -> None:
        """Give it a line, if it wants it."""
        if not self.wants(row):
            return
        if len(self._waiting) >= QUEUE_MAX:
            self._waiting.popleft()
            self._n_left_out += 1
        self._waiting.append(row)
        self._woken.set()

    def miss(self, n_records: int) -> None:
        """Count records that it will never be given."""
        self._n_left_out += n_records
        self._woken.set()

    def end(self) -> None:
        """Let it read no more."""
        self.is_over = True
        self._woken.set()

    async def take(self, patience_s: float) -> tuple[list[DecisionRow], int]:
        """Return the lines that wait, and how many were left out; none after a while of silence."""
        try:
            async with asyncio.timeout(patience_s):
                await self._woken.wait()
        except TimeoutError:
            return [], 0
        self._woken.clear()
        rows, n_left_out = list(self._waiting), self._n_left_out
        self._waiting.clear()
        self._n_left_out = 0
        for row in rows:
            place = place_of(row)
            known = self.position.get(place.partition, -1)
            self.position[place.partition] = max(known, place.offset)
        return rows, n_left_out


class LiveTail:
    """The newest lines, and those who follow them.

    Parameters
    ----------
    rows_max
        How many lines are kept for who comes back.
    """

    def __init__(self, rows_max: int = TAIL_MAX) -> None:
        self.readers: set[Reader] = set()
        self._rows_max = rows_max
        self._rows: deque[DecisionRow] = deque()
        self._reached: Position = {}
        self._forgotten: Position = {}

    def add(self, row: DecisionRow) -> None:
        """Take a line that was not there before, and give it to all who want it."""
        self._rows.append(row)
        _reach(self._reached, row)
        if len(self._rows) > self._rows_max:
            _reach(self._forgotten, self._rows.popleft())
        for reader in self.readers:
            reader.offer(row)

    def position(self) -> str:
        """Return up to where everything was read, for a page to go on from."""
        return position_text(self._reached)

    def open(self, wants: Callable[[DecisionRow], bool], since: Position | None) -> Reader:
        """Return a reader that goes on from a position, or from now."""
        reader = Reader(wants, dict(self._reached if since is None else since))
        if since is not None:
            gaps = (
                reached - max(since.get(partition, -1), -1)
                for partition, reached in self._forgotten.items()
                if reached > since.get(partition, -1)
            )
            if n_missed := sum(gaps):
                reader.miss(n_missed)
            for row in self._rows:
                place = place_of(row)
                if place.offset > since.get(place.partition, -1):
                    reader.offer(row)
        self.readers.add(reader)
        return reader

    def close(self, reader: Reader) -> None:
        """Forget a reader."""
        self.readers.discard(reader)


def place_of(row: DecisionRow) -> Place:
    """Return where a line's record stands."""
    return Place(-row.key.minus_partition, -row.key.minus_offset)


def _reach(position: Position, row: DecisionRow) -> None:
    partition, offset = place_of(row)
    position[partition] = max(position.get(partition, -1), offset)
