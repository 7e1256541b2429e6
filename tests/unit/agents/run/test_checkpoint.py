"""Which checkpoints stay, when time takes away what would be folded behind them."""

from pathlib import Path

from agents.run.checkpoint import thinned
from streams.topics import MARKET_BARS, MARKET_TICKS, PORTFOLIO_EVENTS
from tables.stores.run_checkpoints import RunCheckpoints
from tests.unit.tables.test_checkpoint import KEPT

HOUR_NS = 3_600 * 10**9


def kept(home: Path, hours: range) -> RunCheckpoints:
    """Return checkpoints of some hours, each ten ticks, ten bars and ten records further."""
    found = RunCheckpoints(home, "")
    for hour in hours:
        at = [10 * hour, 10 * hour]
        made = KEPT._replace(close_ns=hour * HOUR_NS, ticks=at, bars=at, book=at)
        found.keep(made)
    return found


def begins(ticks: int, bars: int, book: int) -> dict[str, list[int]]:
    """Return the first offsets that are kept, the same in both partitions."""
    topics = (MARKET_TICKS, MARKET_BARS, PORTFOLIO_EVENTS)
    return {
        spec.name: [first, first] for spec, first in zip(topics, (ticks, bars, book), strict=True)
    }


def hours_of(found: RunCheckpoints) -> list[int]:
    """Return the hours that are left, in order."""
    return [close_ns // HOUR_NS for close_ns in reversed(found.closes_ns())]


def test_thinned_when_ticks_are_gone_then_the_first_of_each_day_stays_for_its_book(
    tmp_path: Path,
) -> None:
    """Ticks of two days are gone to the hour 41, and of the book nothing."""
    found = kept(tmp_path, range(20, 50, 4))
    thinned(found, begins(ticks=410, bars=480, book=0))
    assert hours_of(found) == [20, 24, 44, 48]


def test_thinned_when_bars_reach_further_than_ticks_then_they_count(tmp_path: Path) -> None:
    """Either of them is enough to fold the chain."""
    found = kept(tmp_path, range(1, 5))
    assert thinned(found, begins(ticks=100, bars=30, book=0)) == [2 * HOUR_NS]
    assert hours_of(found) == [1, 3, 4]


def test_thinned_when_the_books_log_is_gone_then_nothing_stays(tmp_path: Path) -> None:
    """Without it no decision comes, whatever there is of ticks."""
    found = kept(tmp_path, range(1, 5))
    thinned(found, begins(ticks=0, bars=0, book=31))
    assert hours_of(found) == [4]


def test_thinned_when_a_file_cannot_be_read_then_it_goes(tmp_path: Path) -> None:
    """Another version's checkpoint, or half of one, is of no use to anybody."""
    found = kept(tmp_path, range(1, 3))
    found.keep(KEPT._replace(close_ns=3 * HOUR_NS)).write_bytes(b"half")
    assert thinned(found, begins(0, 0, 0)) == [3 * HOUR_NS]
    assert hours_of(found) == [1, 2]
