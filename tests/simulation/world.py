"""The world of a run: a broker, a group, workers that are kept alive, and what befalls them."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from faust.types import TP

from streams import topics
from streams.failpoints import STEP
from streams.instructions import OrderIntent, TradingState
from streams.transport import Outgoing
from tables.epochs import Epochs
from tests.simulation.broker import N_PARTITIONS, Broker, Log
from tests.simulation.group import SESSION_S, Group
from tests.simulation.worker import STAGES, Disk, Worker, draw_disk

PORTFOLIOS = ("main", "other")
"""One in each partition of the book's log."""

_MOST_WORKERS = 3
_BURST_RECORDS, _BURST_S = 24, 6.0
# A worker that dies time and again reads little between two deaths.
DYING_RECORDS = 4

# Nothing that goes on takes longer than this to show in some log.
_STILL_S = 3 * SESSION_S + 60.0
_QUIET_S = 700.0

Death = tuple[str, str, int]
"""Stage, failpoint, and how often the worker must come there."""

Strike = Callable[[], Coroutine[Any, Any, None]]


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
        self.ended: list[Worker] = []
        self.strikes = Counter[str]()
        self.has_people = False
        self._epochs, self._symbols = epochs, symbols
        self._began, self._feeding = asyncio.Event(), asyncio.Event()
        self._feeding.set()
        self._wanted: dict[str, asyncio.Task[None]] = {}
        self._others = [asyncio.create_task(self.group.watch())]

    def want(self, name: str) -> None:
        """Start a worker, and again whenever it ends."""
        self._start(name)
        self._wanted[name] = asyncio.create_task(self._keep(name))

    def _start(self, name: str) -> None:
        self._began.set()
        disk = self.disks.setdefault(name, {})
        self.workers[name] = Worker(name, self.broker, self.group, self._epochs, disk)

    async def _keep(self, name: str) -> None:
        while True:
            worker = self.workers[name]
            await worker.ended.wait()
            self.ended.append(worker)
            if worker.failures:
                return  # it would fail again, for ever
            self._began.clear()
            await asyncio.sleep(self.draw.random() * self.draw.choice((1.0, 2 * SESSION_S)))
            self.disks[name] = draw_disk(self.disks[name], self.draw)
            self._start(name)

    def unwant(self, name: str) -> Worker:
        """Let a worker end in good order, and do not start it again."""
        self._wanted.pop(name).cancel()
        worker = self.workers.pop(name)
        self.ended.append(worker)
        worker.stop()
        return worker

    async def feed(self, records: Sequence[Outgoing], most: int = _BURST_RECORDS) -> None:
        """Send the input in bursts of so many records at most."""
        left = list(records)
        while left:
            await self._feeding.wait()
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
            await self._began.wait()

    async def settle(self) -> None:
        """Wait until nothing happens any more."""
        loop = asyncio.get_running_loop()
        while (left_s := self.broker.grown_s + _STILL_S - loop.time()) > 0:  # noqa: ASYNC110  it is time that is asked for
            await asyncio.sleep(left_s)

    def failures(self) -> list[BaseException]:
        """Return the errors that no death explains."""
        ever = (*self.ended, *self.workers.values())
        return [error for worker in ever for error in worker.failures]

    # What can happen to it.

    async def strike(self, n: int) -> None:
        """Let so many things happen, the next often before the last is over."""
        actions = self._actions()
        names, weights = list(actions), [weight for weight, _ in actions.values()]
        for _ in range(n):
            await asyncio.sleep(self.draw.random() * self.draw.choice((0.1, 4.0, 15.0)))
            (name,) = self.draw.choices(names, weights)
            self.broker.trace.note("strike", name)
            self.strikes[name] += 1
            await actions[name][1]()

    def _actions(self) -> dict[str, tuple[int, Strike]]:
        return {
            "kill": (5, self._kill),
            "failpoint": (5, self._arm),
            "stop": (3, self._stop),
            "freeze": (4, self._freeze),
            "join": (3, self._join),
            "leave": (2, self._leave),
            "outage": (2, self._outage),
            "quiet": (1, self._quiet),
            "people": (2, self._people),
        }

    def _any(self) -> Worker:
        return self.workers[self.draw.choice(sorted(self._wanted))]

    async def _kill(self) -> None:
        self._any().die()

    async def _arm(self) -> None:
        self._any().death = (self.draw.choice(STAGES), self.draw.choice(STEP), 1)

    async def _stop(self) -> None:
        self._any().stop()

    async def _freeze(self) -> None:
        worker = self._any()
        worker.freeze()
        awake_s = self.draw.random() * self.draw.choice((1.0, 3 * SESSION_S))
        asyncio.get_running_loop().call_later(awake_s, worker.awake)

    async def _join(self) -> None:
        if len(self._wanted) < _MOST_WORKERS:
            self.want(next(name for name in "0123" if name not in self._wanted))

    async def _leave(self) -> None:
        if len(self._wanted) > 1:
            self.unwant(self.draw.choice(sorted(self._wanted)))

    async def _outage(self) -> None:
        self.broker.leave(self.draw.random() * self.draw.choice((2.0, 20.0)))

    async def _quiet(self) -> None:
        """Let so much time pass that changelogs are compacted."""
        self._feeding.clear()
        await asyncio.sleep(_QUIET_S)
        self.broker.compact()
        self._feeding.set()

    async def _people(self) -> None:
        self.has_people = True
        n = self.strikes["people"]
        for one in said_by_people(self.broker.log, self._symbols, self.draw, n):
            self.broker.append(one)


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
