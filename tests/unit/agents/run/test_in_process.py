"""The chain in one process beside the chain of records: the same decisions, the same letters."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agents.run.in_process import Books, InProcess, play
from streams.dead_letters import DeadLetter
from streams.epochs import Epoch, Portfolio
from streams.sources.replay import Stretch, timed
from streams.sources.synthetic import SyntheticTape
from streams.sources.tape import Interval
from tables.epochs import Epochs
from tests.builders import FREE, beat, epoch, notice, record
from tests.worlds import Chain

TAPE = SyntheticTape(symbols=6, bars=40, ticks_per_bar=2, seed=4, timeframe="1min")
_ALL = Stretch(0, TAPE.closes_ns()[-1])
PORTFOLIOS = (
    Portfolio(id="main", limits=FREE),
    Portfolio(id="part", limits=FREE, universe=TAPE.symbols[:2]),
)


def document(n_partitions: int) -> Epoch:
    """Return an epoch of the tape."""
    return epoch(TAPE.symbols, n_partitions=n_partitions, portfolios=PORTFOLIOS, lateness_ms=0)


def decided(chain: Chain, tape: "Spoiled") -> list[bytes]:
    """Fold a tape record by record, as bytes, and return the decisions in order of their slots."""
    chain.say(notice(chain.digest, 0))
    n = 0
    for begins_ns, interval, ends_ns in timed(tape, _ALL, 0):
        if begins_ns is not None:
            chain.say(beat(n, begins_ns, 0))
            n += 1
        for symbol, ticks in interval.ticks.items():
            home = chain.home(symbol)
            chain.feed(record(msgspec.json.encode(ticks), key=symbol.encode(), partition=home))
        chain.say(beat(n, ends_ns, 0))
        n += 1
    return sorted(chain.values("trading-decisions"))


class Spoiled:
    """The tape with ticks that cannot be used: a bad price, a stranger, a duplicate."""

    name, identity, timeframe, symbols = TAPE.name, "spoiled", TAPE.timeframe, TAPE.symbols
    closes_ns = TAPE.closes_ns

    def intervals(self, first_close_ns: int, last_close_ns: int) -> Iterator[Interval]:
        """Yield the intervals, the tenth spoiled."""
        for number, interval in enumerate(TAPE.intervals(first_close_ns, last_close_ns)):
            if number == 10:
                symbol, (first, *others) = next(iter(interval.ticks.items()))
                bad = msgspec.structs.replace(first, price=-1.0, seq=None)
                strange = msgspec.structs.replace(first, symbol="NOBODY", seq=None)
                interval.ticks[symbol] = [first, first, bad, strange, *others]
            yield interval


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_chain_when_in_one_process_then_decides_as_records_do(
    tmp_path: Path, n_partitions: int
) -> None:
    """Slices that never were bytes, and ticks that never were, change nothing."""
    chain = Chain(tmp_path, document(n_partitions))
    by_records = decided(chain, Spoiled())
    epochs: Epochs = chain.epochs
    books = Books(epochs, n_partitions)
    made: list[str] = []
    inside = InProcess(epochs, n_partitions, books.take, lambda stage, _slice: made.append(stage))
    said = list(play(inside, epochs.load(chain.digest), Spoiled(), _ALL))
    letters = [each for each in said if isinstance(each, DeadLetter)]
    decisions = [
        msgspec.json.encode(decision)
        for each in said
        if not isinstance(each, DeadLetter)
        for decision in each.decisions
    ]
    assert sorted(decisions) == by_records
    assert len(by_records) == 40 * (6 + 2)
    expected = ["BAD_PRICE", "DUPLICATE", "UNKNOWN_SYMBOL"]
    assert sorted(each.reason for each in letters) == expected
    assert sorted(each.reason for each in chain.letters) == expected
    assert {made.count(stage) for stage in made} == {40 * n_partitions}
