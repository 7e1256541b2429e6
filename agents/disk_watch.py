"""The watch of a worker's disk: warns while it fills, takes new risk away while it is full.

``disk -> a switch of each book -> portfolio-events``: a record like a person's, so every replay of
the log decides as the live stack did. The watch never sets a switch back: whoever has made room
does.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from mode import Service

from agents.risk import RiskFold
from agents.stage import Stage
from streams.clock import random_id, wall_ns
from streams.instructions import TradingState
from streams.transport import Outgoing
from tables.stores.disk import FILLING_FRACTION, Disk

log = logging.getLogger("tradewind.disk")

LOOK_S = 10.0
ACTOR = "disk-watch"

_JSON = msgspec.json.Encoder()

# The state of each book of this worker: ACTIVE, REDUCING or HALTED.
States = Callable[[], Mapping[str, str]]
Append = Callable[[Outgoing], Awaitable[None]]


def states_of(stage: Stage) -> dict[str, str]:
    """Return the states of the books that a stage folds here, by portfolio."""
    return {
        name: book.account.kept.switches.state()
        for fold in stage.folds()
        if isinstance(fold, RiskFold)
        for name, book in fold.portfolios.items()
    }


class DiskWatch(Service):
    """Looks at the disk as long as the worker lives.

    Parameters
    ----------
    disk
        Where the worker keeps its tables.
    topic
        Full name of the books' log.
    states
        The books of this worker, as the records read so far have left them.
    append
        Sends a record and returns when the broker has it.
    """

    def __init__(self, disk: Disk, topic: str, states: States, append: Append) -> None:
        super().__init__()
        self._disk = disk
        self._topic = topic
        self._states = states
        self._append = append
        self._said = 0

    async def on_start(self) -> None:
        """Begin to look."""
        self.add_future(self._watch())

    async def _watch(self) -> None:
        while not self.should_stop:
            await self.look()
            await self.sleep(LOOK_S)

    async def look(self) -> None:
        """Look once: say what changed, and reduce the books that are active on a full disk."""
        used, refusal = self._disk.used(), self._disk.refusal()
        level = 2 if refusal else 1 if used >= FILLING_FRACTION else 0
        if level != self._said:
            self._say(level, used, refusal)
        if not refusal:
            return
        for portfolio, state in self._states().items():
            if state == "ACTIVE":
                await self._reduce(portfolio, used)

    def _say(self, level: int, used: float, refusal: str) -> None:
        self._said = level
        if refusal:
            log.error("%s; books go to REDUCING, `tradewind risk resume` afterwards", refusal)
        elif level:
            log.warning("the disk of %s is %.1f %% full", self._disk.folder, 100.0 * used)
        else:
            log.warning("the disk of %s has room again", self._disk.folder)

    async def _reduce(self, portfolio: str, used: float) -> None:
        said = TradingState(
            portfolio=portfolio,
            ts_event=wall_ns(),
            change_id=random_id(),
            actor=ACTOR,
            role="trader",
            reason=f"DISK_FULL: the disk of the tables is {used:.1%} full; expected less than "
            f"{self._disk.full_fraction:.0%}",
            action="reduce",
        )
        said.check()
        await self._append(Outgoing(self._topic, portfolio.encode(), _JSON.encode(said), [], None))
        log.warning("portfolio %s goes to REDUCING: its worker's disk is full", portfolio)
