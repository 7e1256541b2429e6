"""What a partition of ticks shows of its clock and its feed, for the alerts on their silence.

A feed is silent for as long as bars pass without a tick while its market is open, so nobody is
woken at night. All of it is told by the log; only the alert on the clock looks at the wall.
"""

from models.bars import BarState
from streams import metrics
from streams.epochs import AROUND_THE_CLOCK
from streams.partitions import symbols_of
from tables.epochs import LoadedEpoch

_NS_PER_S = 1_000_000_000


class ShownBars:
    """The gauges of one partition.

    Parameters
    ----------
    partition
        Of ``market-ticks``.
    """

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._silent_ns = 0
        self._closed_ns = -1
        self._has_ticked = False
        # Of the epoch with this digest: the calendars of the partition's instruments.
        self._calendars: tuple[str, frozenset[str]] = ("", frozenset())

    def ticked(self, sent_ms: int) -> None:
        """Note a record of ticks by the time at which it was sent."""
        metrics.TICK_SECONDS.labels(self._partition).set(sent_ms / 1e3)
        if self._silent_ns or not self._has_ticked:
            self._silent_ns, self._has_ticked = 0, True
            metrics.SILENT_SECONDS.labels(self._partition).set(0.0)

    def beaten(self, loaded: LoadedEpoch, state: BarState) -> None:
        """Note where a record of the clock has left the bars."""
        timeframe_ns, place = loaded.epoch.timeframe_ns, self._partition
        if state.heartbeat_ns < 0:
            return
        metrics.HEARTBEAT_SECONDS.labels(place).set(state.heartbeat_ns / _NS_PER_S)
        metrics.TIMEFRAME_SECONDS.labels(place).set(timeframe_ns / _NS_PER_S)
        closed_ns, self._closed_ns = self._closed_ns, state.closed_ns
        calendars = self._calendars_of(loaded)
        if not calendars:
            return  # none of the universe lives here: no feed is missing
        is_open = AROUND_THE_CLOCK in calendars or any(
            loaded.sessions[name].was_open(state.closed_ns - timeframe_ns, state.closed_ns)
            for name in sorted(calendars)
        )
        if is_open and 0 <= closed_ns < state.closed_ns:
            self._silent_ns += timeframe_ns
        metrics.SILENT_SECONDS.labels(place).set(self._silent_ns / _NS_PER_S)

    def _calendars_of(self, loaded: LoadedEpoch) -> frozenset[str]:
        if self._calendars[0] != loaded.digest:
            epoch = loaded.epoch
            here = set(symbols_of(self._partition, epoch.symbols(), epoch.n_partitions))
            found = frozenset(one.calendar for one in epoch.instruments if one.id in here)
            self._calendars = (loaded.digest, found)
        return self._calendars[1]
