"""What a partition shows of its clock and feed: silence counts only while the market is open."""

from pathlib import Path

from prometheus_client import REGISTRY

from agents.bars_shown import ShownBars
from models.bars import BarState
from models.risk.sessions import Sessions
from streams import metrics
from streams.epochs import Instrument
from tables.calendars import encode_sessions
from tables.stores.artifacts import Artifacts
from tests.builders import MIDNIGHT, MINUTE, epoch, epochs_in
from tests.worlds import LATE_NS, TickWorld, tick

_HOUR = 60


def shown(what: str) -> float | None:
    """Return a gauge of partition 0."""
    return REGISTRY.get_sample_value(f"tradewind_bars_{what}_seconds", {"partition": "0"})


def test_gauges_when_the_clock_beats_then_say_the_time_that_it_said(tmp_path: Path) -> None:
    """The alert on the clock compares this with the wall."""
    TickWorld(tmp_path).start().close(3)
    assert shown("heartbeat_timestamp") == (MIDNIGHT + 3 * MINUTE + LATE_NS) / 1e9
    assert shown("timeframe") == 60.0


def test_silence_when_bars_pass_without_a_tick_then_is_as_long_as_they(tmp_path: Path) -> None:
    """Around the clock every bar counts; a tick ends it, and says when it was sent."""
    world = TickWorld(tmp_path).start()
    for minutes in (1, 2, 3):
        world.close(minutes)
    assert shown("silent") == 180.0
    world.take(tick(181))
    assert shown("silent") == 0.0
    assert shown("tick_timestamp") is not None
    world.close(4)
    assert shown("silent") == 60.0


def test_silence_when_the_market_is_closed_then_does_not_grow(tmp_path: Path) -> None:
    """Of the hours of a day only those with a part of the session count, whole."""
    opens, closes = MIDNIGHT + 90 * MINUTE, MIDNIGHT + 180 * MINUTE
    hours = encode_sessions("XNYS", Sessions((opens,), (closes,)))
    digest = Artifacts(tmp_path).put_json(hours)
    world = TickWorld(
        tmp_path,
        timeframe="1hour",
        calendars={"XNYS": digest},
        instruments=(Instrument(id="AAA", calendar="XNYS"),),
    ).start()
    seen = []
    for hour in range(1, 6):
        world.close(hour * _HOUR)
        seen.append(shown("silent"))
    # Open from 01:30 to 03:00: the bars that close at 02:00 and 03:00.
    assert seen == [0.0, 3_600.0, 7_200.0, 7_200.0, 7_200.0]


def test_silence_when_no_symbol_lives_in_the_partition_then_is_not_told(tmp_path: Path) -> None:
    """A partition without a feed must not hide that all feeds are away."""
    document = epoch(("AAA",), n_partitions=2)
    epochs, (digest,) = epochs_in(tmp_path, document)
    (empty,) = (place for place in (0, 1) if document.chunks(place) == ((),))
    metrics.SILENT_SECONDS.remove(empty)
    bars = ShownBars(empty)
    for n in (1, 2):
        state = BarState(heartbeat_n=n, heartbeat_ns=MIDNIGHT + n * MINUTE, closed_ns=n * MINUTE)
        bars.beaten(epochs.load(digest), state)
    labels = {"partition": str(empty)}
    name = "tradewind_bars_heartbeat_timestamp_seconds"
    assert REGISTRY.get_sample_value(name, labels) == (MIDNIGHT + 2 * MINUTE) / 1e9
    assert REGISTRY.get_sample_value("tradewind_bars_silent_seconds", labels) is None
