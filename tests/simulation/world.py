"""The world of a run: a broker, a group, workers that are kept alive, and what befalls them."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from faust.types import TP

from agents.topology import TRADING_STAGES
from streams import topics
from streams.failpoints import STEP
from streams.instructions import OrderIntent, TradingState
from streams.transport import Outgoing
from tables.epochs import Epochs
from tests.simulation.broker import COMPACTED_AFTER_S, N_PARTITIONS, Broker, Log
from tests.simulation.disk import Disk
from tests.simulation.group import SESSION_S, Group
from tests.simulation.worker import Worker

PORTFOLIOS = ("main", "other")
"""One in each partition of the book's log."""

_MOST_WORKERS = 3
_BURST_RECORDS, _BURST_S = 24, 6.0
# A worker that dies time and again reads little between two deaths.
DYING_RECORDS = 4

# Nothing that goes on takes longer than this to show in some log.
_STILL_S = 3 * SESSION_S + 60.0
# As long as a changelog is left alone, and more.
_LONG_S = 1.5 * COMPACTED_AFTER_S
_LOOK_S = 0.1
# Workers that come back without their disk.
_LOST_SHARE = 0.2

Death = tuple[str, str, int]
"""Stage, failpoint, and how often the worker must come there."""

Strike = Callable[[], Coroutine[Any, Any, bool]]


class World:
    """One run: a broker, a group, the workers that are wanted, and hands on all of them.

    Parameters
    ----------
    epochs
        The documents that decide.
    symbols
        What people may trade.
    log
        What is there already.
    draw
        Decides everything else.
    """

    def __init__(
        self, epochs: Epochs, symbols: Sequence[str], log: Log, draw: random.Random
    ) -> None:
        self.draw = draw
        self.disks: dict[str, Disk] = {}
        self.broker = Broker(log, draw)
        self.group = Group(self.broker, draw)
        self.workers: dict[str, Worker] = {}
        self.ever: list[Worker] = []
        self.strikes = Counter[str]()
        self.said: list[Outgoing] = []
        self._epochs, self._symbols = epochs, symbols
        self._wanted: dict[str, asyncio.Task[None]] = {}
        self._watching = asyncio.create_task(self.group.watch())

    def want(self, name: str) -> None:
        """Start a worker, and again whenever it ends."""
        self._start(name)
        self._wanted[name] = asyncio.create_task(self._keep(name))

    def _start(self, name: str) -> None:
        disk = self.disks.setdefault(name, {})
        worker = Worker(name, self.broker, self.group, self._epochs, disk)
        self.workers[name] = worker
        self.ever.append(worker)

    async def _keep(self, name: str) -> None:
        while True:
            worker = self.workers[name]
            await worker.ended.wait()
            if worker.failures:
                return  # it would fail again, for ever
            await asyncio.sleep(self.draw.random() * self.draw.choice((1.0, 2 * SESSION_S)))
            if self.draw.random() < _LOST_SHARE:
                self.disks[name] = {}
            self._start(name)

    def unwant(self, name: str) -> Worker:
        """Let a worker end in good order, and do not start it again."""
        self._wanted.pop(name).cancel()
        self.workers[name].stop()
        return self.workers[name]

    async def feed(self, records: Sequence[Outgoing], most: int = _BURST_RECORDS) -> None:
        """Send the input in bursts of so many records at most."""
        left = list(records)
        while left:
            await self.broker.answer()
            n = self.draw.randint(1, most)
            for one in left[:n]:
                self.broker.append(one)
            del left[:n]
            await asyncio.sleep(self.draw.random() * _BURST_S)

    async def die(self, deaths: Iterable[Death], came: Counter[Death]) -> None:
        """Let the worker "0" die at one failpoint after the other, and count those that came."""
        for death in deaths:
            worker = self.workers["0"]
            worker.death = death
            await worker.ended.wait()
            came[death] += 1
            while self.workers["0"] is worker:  # noqa: ASYNC110  its keeper starts it by and by
                await asyncio.sleep(_LOOK_S)

    async def settle(self) -> None:
        """Wait until nothing happens any more, and nobody sleeps."""
        loop = asyncio.get_running_loop()
        while True:
            left_s = self.broker.grown_s + _STILL_S - loop.time()
            if left_s <= 0 and not any(worker.is_frozen for worker in self.workers.values()):
                return
            await asyncio.sleep(max(left_s, _LOOK_S))

    async def begin_anew(self) -> None:
        """Compact the changelogs and end every worker, so that all is read that was left behind."""
        self.broker.compact()
        for name in sorted(self._wanted):
            worker = self.workers[name]
            if self.draw.random() < 0.5:
                worker.stop()
            else:
                worker.die()

    def failures(self) -> list[BaseException]:
        """Return the errors that no death explains."""
        return [error for worker in self.ever for error in worker.failures]

    # What can happen to it; True if it has.

    async def strike(self, n: int) -> None:
        """Let so many things happen, the next often before the last is over."""
        actions = self._actions()
        names, weights = list(actions), [weight for weight, _ in actions.values()]
        for _ in range(n):
            await asyncio.sleep(self.draw.random() * self.draw.choice((0.1, 4.0, 15.0)))
            (name,) = self.draw.choices(names, weights)
            self.broker.trace.note("strike", name)
            self.strikes[name] += await actions[name][1]()

    def _actions(self) -> dict[str, tuple[int, Strike]]:
        return {
            "kill": (5, self._kill),
            "failpoint": (5, self._arm),
            "stop": (3, self._stop),
            "freeze": (5, self._freeze),
            "join": (3, self._join),
            "leave": (2, self._leave),
            "outage": (2, self._outage),
            "quiet": (1, self._quiet),
            "people": (2, self._people),
        }

    def _any(self) -> Worker:
        return self.workers[self.draw.choice(sorted(self._wanted))]

    async def _kill(self) -> bool:
        worker = self._any()
        was_dead = worker.is_dead
        worker.die()
        return not was_dead

    async def _arm(self) -> bool:
        """Arm a failpoint; it is counted, though nobody may come there any more."""
        worker = self._any()
        worker.death = (self.draw.choice(TRADING_STAGES), self.draw.choice(STEP), 1)
        return not worker.is_dead

    async def _stop(self) -> bool:
        worker = self._any()
        worker.stop()
        return not worker.is_dead

    async def _freeze(self) -> bool:
        worker = self._any()
        longest_s = self.draw.choice((1.0, 3 * SESSION_S, 3 * SESSION_S, _LONG_S))
        awake_s = self.draw.random() * longest_s
        if worker.is_dead or worker.is_frozen:
            return False
        worker.freeze()
        asyncio.get_running_loop().call_later(awake_s, worker.awake)
        return True

    async def _join(self) -> bool:
        alive = {name for name, worker in self.workers.items() if not worker.is_dead}
        free = [name for name in "0123" if name not in alive and name not in self._wanted]
        if len(self._wanted) == _MOST_WORKERS or not free:
            return False
        self.want(free[0])
        return True

    async def _leave(self) -> bool:
        if len(self._wanted) == 1:
            return False
        self.unwant(self.draw.choice(sorted(self._wanted)))
        return True

    async def _outage(self) -> bool:
        self.broker.leave(self.draw.random() * self.draw.choice((2.0, 20.0)))
        return True

    async def _quiet(self) -> bool:
        """Let so much time pass that what was written before is compacted."""
        await asyncio.sleep(_LONG_S)
        self.broker.compact()
        return True

    async def _people(self) -> bool:
        await self.broker.answer()
        n = self.strikes["people"]
        for one in said_by_people(self.broker.log, self._symbols, self.draw, n):
            self.said.append(one)
            self.broker.append(one)
        return True


def said_by_people(
    log: Log, symbols: Sequence[str], draw: random.Random, n: int
) -> Iterator[Outgoing]:
    """Yield an order, a change of the book's state and a venue's report, as of the last bar."""
    snapshots = [
        one
        for partition in range(N_PARTITIONS)
        for one in log.records.get(TP(topics.PORTFOLIO_SNAPSHOTS.name, partition), [])
    ]
    ts_event = max(msgspec.json.decode(one.value or b"")["timestamp"] for one in snapshots)
    symbol, portfolio = draw.choice(symbols), draw.choice(PORTFOLIOS)
    order = OrderIntent(
        portfolio=portfolio,
        ts_event=ts_event,
        intent_id=f"order-{n}",
        symbol=symbol,
        side=draw.choice(("BUY", "SELL")),
        quantity=draw.choice((1, 3, 500)),
    )
    change = TradingState(
        portfolio=portfolio,
        ts_event=ts_event,
        change_id=f"change-{n}",
        actor="ann",
        role="admin",
        reason="a story",
        action=draw.choice(("halt", "reduce", "resume")),
    )
    report = {
        "record": "venue_execution",
        "portfolio": portfolio,
        "ts_event": ts_event,
        "execution_id": f"report-{n}",
        "decision_id": "stranger",
        "kind": "fill",
        "symbol": symbol,
        "side": "BUY",
        "quantity": 2,
        "price": 100,
        "currency": "USD",
        "venue": "X",
    }
    events, venue, key = (
        topics.PORTFOLIO_EVENTS.name,
        topics.VENUE_EXECUTIONS.name,
        portfolio.encode(),
    )
    yield Outgoing(events, key, msgspec.json.encode(order), [], None)
    yield Outgoing(events, key, msgspec.json.encode(change), [], None)
    yield Outgoing(venue, key, msgspec.json.encode(report), [], None)
