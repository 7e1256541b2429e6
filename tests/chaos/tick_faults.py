"""Faults of the input: a tape whose ticks are damaged, late, twice, swapped or missing."""

import random
from collections.abc import Iterator

import msgspec

from models.features.catalogue import WARMUP_BARS
from streams.epochs import Portfolio
from streams.records import Tick
from streams.sources.synthetic import SyntheticTape
from streams.sources.tape import Interval, Tape
from tests.chaos.faults import Fault, How, Struck
from tests.runs import LIMITS, TAPE

# Of 1,000 ticks of a bar.
_LATE, _TWICE, _MISSING = 10, 50, 20

# Of 24 parts of a tape. Bars without a good tick warm nothing up, so what lies between the two
# stretches must be longer than the warm-up: then there are orders before the second one and in it.
_STRETCHES = ((1, 5), (19, 23))
_OF_PARTS = 24

# 14 of its 24 parts lie between the stretches, 27 bars more than the warm-up.
ROUGH = SyntheticTape(symbols=8, bars=WARMUP_BARS + 227, ticks_per_bar=18, seed=5)

# The first one opens no more risk once too much of its input is bad, the other whatever comes.
_BOOKS = (
    Portfolio(id="main", limits=LIMITS),
    Portfolio(id="patient", limits=msgspec.structs.replace(LIMITS, max_bad_input_fraction=1.0)),
)


class DamagedTape:
    """A tape on a third of whose bars, near both ends, a share of the ticks cannot be used."""

    def __init__(self, of: Tape, share: float, seed: int) -> None:
        self._of, self._share, self._seed = of, share, seed
        closes = of.closes_ns()
        self._struck = frozenset(
            close
            for since, until in _STRETCHES
            for close in closes[since * len(closes) // _OF_PARTS : until * len(closes) // _OF_PARTS]
        )
        self.name, self.identity = of.name, of.identity
        self.timeframe, self.symbols = of.timeframe, of.symbols
        self.closes_ns = of.closes_ns

    def intervals(self, first_close_ns: int, last_close_ns: int) -> Iterator[Interval]:
        """Yield the bars with their damage, the same at every call."""
        draw = random.Random(self._seed)  # noqa: S311  a seeded experiment
        for interval in self._of.intervals(first_close_ns, last_close_ns):
            share = self._share if interval.close_ns in self._struck else 0.0
            ticks = {
                symbol: [_damaged(tick, draw) if draw.random() < share else tick for tick in of]
                for symbol, of in interval.ticks.items()
            }
            yield interval._replace(ticks=ticks)


def _damaged(tick: Tick, draw: random.Random) -> Tick:
    """Return the tick with a price that is none, of nobody, or far in the future."""
    damages: tuple[dict[str, object], ...] = (
        {"price": -1.0},
        {"price": 1e300},
        {"symbol": "NOBODY"},
        {"size": -5.0},
        {"ts_event": 9_000_000_000_000_000_000},
        {"price": None},
    )
    return msgspec.structs.replace(tick, **draw.choice(damages))


class DisorderedTape(DamagedTape):
    """A tape on which ticks come late, twice, in another order, or not at all."""

    def __init__(self, of: Tape, seed: int) -> None:
        super().__init__(of, 0.0, seed)

    def intervals(self, first_close_ns: int, last_close_ns: int) -> Iterator[Interval]:
        """Yield the bars in disorder, the same at every call."""
        draw = random.Random(self._seed)  # noqa: S311  a seeded experiment
        late: dict[str, list[Tick]] = {}
        for n, interval in enumerate(self._of.intervals(first_close_ns, last_close_ns)):
            now, later = {}, {}
            for symbol, ticks in interval.ticks.items():
                named = [
                    msgspec.structs.replace(tick, trade_id=f"{n}-{m}")
                    for m, tick in enumerate(ticks)
                ]
                now[symbol], later[symbol] = _disorder(named, draw)
                now[symbol] += late.get(symbol, [])
            late = later
            yield interval._replace(ticks=now)


def _disorder(ticks: list[Tick], draw: random.Random) -> tuple[list[Tick], list[Tick]]:
    """Return what comes with its bar, in an order of its own, and what comes a bar later."""
    now, later = [], []
    for tick in ticks:
        at = draw.randrange(1_000)
        if at < _LATE:
            later.append(tick)
        elif at >= _LATE + _MISSING:
            now.append(tick)
            if at < _LATE + _MISSING + _TWICE:
                now.append(tick)
    for first in range(0, len(now) - 1, 5):
        now[first], now[first + 1] = now[first + 1], now[first]
    return now, later


async def _nothing(_: Struck) -> None:
    """Do nothing: the fault is in the tape."""


def damaged(percent: int, seed: int, of: Tape = ROUGH) -> Fault:
    """Return a run on a tape on a third of which so many of 100 ticks cannot be used."""
    tape = DamagedTape(of, percent / 100, seed)
    how = How(equal=False, clean=False, portfolios=_BOOKS, tape=tape)
    promise = "every tick in a bar or a dead letter; every slot decided"
    return Fault(f"damaged-{percent}", promise, _nothing, 1, how)


def disordered(seed: int, of: Tape = TAPE) -> Fault:
    """Return a run on a tape in disorder."""
    how = How(equal=False, clean=False, tape=DisorderedTape(of, seed))
    promise = "the bars of the ticks that came in time, once each, in time order"
    return Fault("disordered", promise, _nothing, 1, how)
