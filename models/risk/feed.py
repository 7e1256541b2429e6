"""How much of the input of the last minute could not be used: who is fed rubbish takes no risk.

The counts come with the slices, so the same log stops the same account at the same bar. Late ticks,
duplicates and crossed quotes are counted apart and are no rubbish: a feed that retries sends
duplicates, and a sound tape of quotes crosses itself in one minute of eight.
"""

from typing import NamedTuple

# Of event time, back from the bar's close; a longer bar is looked at alone.
WINDOW_NS = 60_000_000_000


class Fed(NamedTuple):
    """Ticks that came for one bar, and those of them that nothing could be made of."""

    n_in: int = 0
    n_bad: int = 0


NOTHING_FED = Fed()


class Feed(NamedTuple):
    """The counts of the bars of the last minute, by close, the newest last."""

    bars: tuple[tuple[int, int, int], ...] = ()

    def take(self, close_ns: int, fed: Fed) -> "Feed":
        """Return the counts with those of another bar.

        Examples
        --------
        >>> Feed().take(60 * 10**9, Fed(100, 2)).take(120 * 10**9, Fed(50, 0)).sums()
        Fed(n_in=50, n_bad=0)
        """
        recent = [bar for bar in self.bars if bar[0] > close_ns - WINDOW_NS]
        return Feed((*recent, (close_ns, *fed)) if fed.n_in else tuple(recent))

    def sums(self) -> Fed:
        """Return all ticks of the window, and all bad ones."""
        return Fed(sum(bar[1] for bar in self.bars), sum(bar[2] for bar in self.bars))
