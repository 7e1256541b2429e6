"""The fold of the book: decisions, void slices, portfolios, barriers and crashes."""

import json
import math
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.risk import SNAPSHOT_BARS, RiskFold
from agents.stage import Output, Reader
from streams.epochs import Instrument, Portfolio
from streams.errors import SliceConflict
from streams.ids import decision_id
from streams.slices import Slice, SliceMeta
from streams.timestamps import format_ns
from streams.transport import Record
from tests.builders import (
    FREE,
    MIDNIGHT,
    MINUTE,
    Run,
    Sent,
    bars,
    epoch,
    epochs_in,
    homes,
    letters,
    meta,
    outputs,
    proposal,
    record,
)

SYMBOLS = tuple(homes(2, 2))

# Symbol -> (close, confidence, target).
Bar = Mapping[str, tuple[float, float, float]]


class World:
    """A book of two source partitions.

    Parameters
    ----------
    root
        Directory of the artefacts.
    changes
        What the epoch has otherwise.
    """

    def __init__(self, root: Path, **changes: Any) -> None:  # noqa: ANN401  any field
        fields = {"n_partitions": 2, "portfolios": (Portfolio(id="main", limits=FREE),)}
        self.document = epoch(SYMBOLS, **(fields | changes))
        self.epochs, (self.digest,) = epochs_in(root, self.document)
        self.run = Run(self.new_fold)
        self.offset = 0

    def new_fold(self, _partition: int, read: Reader) -> RiskFold:
        """Make the fold."""
        return RiskFold(self.epochs, read)

    def slice(self, minute: int, partition: int, rows: Bar) -> Slice:
        """Build what prediction sends of one partition; rows of other partitions are left out."""
        (symbols,) = self.document.chunks(partition)
        about = self.about(minute, partition)
        fresh = bars(about, {s: rows[s][0] for s in symbols if s in rows}, symbols)
        return proposal(fresh, {s: row[1:] for s, row in rows.items()})

    def about(self, minute: int, partition: int) -> SliceMeta:
        """Describe a slice."""
        close_ns = MIDNIGHT + minute * MINUTE
        return meta(close_ns, partition=partition, n_partitions=2, epoch_digest=self.digest)

    def record(self, slice_: Slice, portfolio: str = "main") -> Record:
        """Build the record of a slice at the next offset."""
        self.offset += 1
        return record(
            slice_.encode(),
            self.offset - 1,
            key=portfolio.encode(),
            headers=[("from", str(slice_.meta.partition).encode())],
            topic="portfolio-events",
        )

    def bar(self, minute: int, rows: Bar, portfolio: str = "main") -> list[Record]:
        """Build the records of one bar, partition by partition."""
        return [self.record(self.slice(minute, p, rows), portfolio) for p in (0, 1)]

    def take(self, minute: int, rows: Bar) -> list[Sent]:
        """Fold one bar."""
        return self.run.take(self.bar(minute, rows))

    def warm(self) -> "World":
        """Fold three bars without targets: two returns of zero."""
        for minute in (-3, -2, -1):
            self.take(minute, dict.fromkeys(SYMBOLS, (100.0, math.nan, math.nan)))
        return self


@pytest.fixture
def cold(tmp_path: Path) -> World:
    """Give a book whose limits do not bind and that has seen nothing."""
    return World(tmp_path)


@pytest.fixture
def world(cold: World) -> World:
    """Give the book with the returns that a second position needs."""
    return cold.warm()


def read(sent: list[Sent], topic: str = "trading-decisions") -> list[dict[str, Any]]:
    """Read what a consumer of a topic sees."""
    return [json.loads(value) for value in outputs(sent, topic)]


def all_at(price: float, sure: float = 0.6, target: float = 0.1) -> dict[str, tuple[float, ...]]:
    """Give every symbol the same row."""
    return dict.fromkeys(SYMBOLS, (price, sure, target))


def test_fold_when_a_partition_is_missing_then_waits_without_effect(cold: World) -> None:
    """The first half of a bar decides nothing and holds progress back."""
    first, second = cold.bar(1, all_at(100.0))
    assert cold.run.take([first]) == []
    cold.run.persist()
    assert (cold.run.resume_at, cold.run.memory.states) == (0, {})
    sent = cold.run.take([second])
    assert [d["symbol"] for d in read(sent)] == sorted(SYMBOLS)
    cold.run.persist()
    assert (cold.run.resume_at, list(cold.run.memory.states)) == (0, [b"main"])


def test_fold_when_a_bar_is_complete_then_every_row_has_one_decision(world: World) -> None:
    """A tenth of a million at 100 is a thousand lots of each symbol, with the slot's id."""
    sent = world.take(1, all_at(100.0))
    found = read(sent)
    assert [(d["action"], d["quantity"], d["approved"]) for d in found] == [
        ("BUY", 1_000, True)
    ] * len(SYMBOLS)
    for decision in found:
        assert decision["decision_id"] == decision_id(
            "main", "1min", MIDNIGHT + MINUTE, decision["symbol"]
        )
        assert decision["timestamp"] == format_ns(MIDNIGHT + MINUTE)
        assert len(decision["features"]) == 60
    (snapshot,) = read(sent, "portfolio-snapshots")
    assert (snapshot["equity"], snapshot["gross"]) == ("1000000", "0")
    assert {h["open_quantity"] for h in snapshot["holdings"]} == {1_000}


def test_fold_when_outputs_leave_then_carry_key_and_the_last_headers(world: World) -> None:
    """All events of a portfolio share its key; latency is counted from the slice that completed."""
    world.take(1, all_at(100.0))
    sent = [o for o in world.take(2, all_at(100.0)) if isinstance(o, Output)]
    assert [o.topic for o in sent] == (
        ["executions"] * 4 + ["trading-decisions"] * 4 + ["portfolio-snapshots"]
    )
    assert {o.key for o in sent} == {b"main"}
    expected = [("from", b"1"), ("source-offsets", b"0:0-0,1:0-0"), ("epoch", b"1")]
    assert [o.headers for o in sent] == [expected] * len(sent)


def test_fold_when_orders_fill_then_executions_and_money_follow(world: World) -> None:
    """1000 lots at 100.01 with a fee of half a basis point, four times."""
    world.take(1, all_at(100.0))
    sent = world.take(2, all_at(100.0, target=0.1))
    executions = read(sent, "executions")
    assert len(executions) == 4
    assert {(e["kind"], e["side"], e["quantity"]) for e in executions} == {("fill", "BUY", 1_000)}
    assert {e["price"] for e in executions} == {100.01}
    assert {e["fee"] for e in executions} == {5.0005}
    (snapshot,) = read(sent, "portfolio-snapshots")
    # A million less four times 100,010 and 5.0005 of fee.
    assert snapshot["cash"] == "599939.998"
    assert snapshot["fees"] == "20.002"


def test_fold_when_a_slice_is_void_then_its_symbols_are_refused(world: World) -> None:
    """The other partition's rows are decided as usual; the void ones get INPUT_VOID."""
    good, bad = world.slice(1, 0, all_at(100.0)), world.slice(1, 1, all_at(100.0))
    sent = world.run.take([world.record(good), world.record(bad.voided("NotFinite"))])
    by_symbol = {d["symbol"]: d for d in read(sent)}
    assert set(by_symbol) == set(SYMBOLS)
    for symbol in world.document.chunks(1)[0]:
        assert by_symbol[symbol]["note"] == "INPUT_VOID"
        assert not by_symbol[symbol]["approved"]
    for symbol in world.document.chunks(0)[0]:
        assert by_symbol[symbol]["approved"]


def test_fold_when_a_symbol_did_not_trade_then_has_no_decision(world: World) -> None:
    """No row, no slot."""
    found = read(world.take(1, {SYMBOLS[0]: (100.0, 0.6, 0.1)}))
    assert [d["symbol"] for d in found] == [SYMBOLS[0]]
    sent = world.take(2, {})
    assert read(sent) == []
    assert len(read(sent, "portfolio-snapshots")) == 1


def test_fold_when_rows_warm_up_then_hold_without_null(world: World) -> None:
    """NaN targets become HOLD with WARMING_UP; no number on the wire is null."""
    sent = world.take(1, all_at(100.0, math.nan, math.nan))
    for value in outputs(sent, "trading-decisions"):
        assert b"null" not in value
        decision = json.loads(value)
        assert (decision["action"], decision["note"], decision["approved"]) == (
            "HOLD",
            "WARMING_UP",
            True,
        )


def test_fold_when_limits_bind_then_refusals_are_decisions_too(tmp_path: Path) -> None:
    """A quarter is the limit: three tenths are refused with the room that there is."""
    limits = msgspec.structs.replace(FREE, max_asset_fraction=0.25)
    world = World(tmp_path, portfolios=(Portfolio(id="main", limits=limits),))
    (decision,) = read(world.take(1, {SYMBOLS[0]: (100.0, 0.6, 0.3)}))
    assert (decision["action"], decision["quantity"], decision["approved"]) == ("BUY", 3_000, False)
    assert decision["allowed_quantity"] == 2_500
    (reason,) = decision["rejection_reasons"]
    assert (reason["code"], reason["limit"], reason["actual"]) == ("MAX_ASSET_FRACTION", 0.25, 0.3)


@pytest.mark.parametrize(
    ("key", "reason"),
    [(b"nobody", "UNKNOWN_PORTFOLIO"), (None, "UNKNOWN_PORTFOLIO"), (b"\xff", "BAD_KEY")],
)
def test_fold_when_the_portfolio_is_unknown_then_is_a_letter(
    world: World, key: bytes | None, reason: str
) -> None:
    """A slice for nobody is kept, and the others go on."""
    stray = world.record(world.slice(1, 0, all_at(100.0)))._replace(key=key)
    (letter,) = letters(world.run.take([stray]))
    assert (letter.reason, letter.stage, letter.raw) == (reason, "risk", stray.value)
    assert len(read(world.take(1, all_at(100.0)))) == 4


def test_fold_when_portfolios_differ_then_each_decides_its_universe(tmp_path: Path) -> None:
    """Two books in one partition share nothing but the log."""
    one, two, *_ = SYMBOLS
    portfolios = (
        Portfolio(id="first", universe=(one,), limits=FREE),
        Portfolio(id="second", universe=(one, two), limits=FREE, cash="5000"),
    )
    world = World(tmp_path, portfolios=portfolios)
    log = [
        *world.bar(1, {one: (100.0, 0.6, 0.5)}, "first"),
        *world.bar(1, {one: (100.0, 0.6, 0.5), two: (100.0, 0.6, 0.2)}, "second"),
    ]
    sent = world.run.take(log)
    found = [(d["portfolio"], d["symbol"], d["quantity"]) for d in read(sent)]
    assert found == [("first", one, 5_000), ("second", one, 25), ("second", two, 10)]
    void = world.slice(2, 0, {}).voided("x"), world.slice(2, 1, {}).voided("x")
    refused = world.run.take([world.record(v, "first") for v in void])
    assert [d["symbol"] for d in read(refused)] == [one]


def test_fold_when_lots_are_not_units_then_money_counts_units(tmp_path: Path) -> None:
    """A lot of 100 units at 100 is 10,000: a tenth of a million is ten lots, 1,000 units."""
    instruments = tuple(Instrument(id=s, lot_size="100") for s in SYMBOLS)
    world = World(tmp_path, instruments=instruments).warm()
    assert {d["quantity"] for d in read(world.take(1, all_at(100.0)))} == {1_000}


def test_fold_when_a_slice_is_repeated_then_decides_nothing_twice(world: World) -> None:
    """A re-sent slice, waiting or decided, changes nothing."""
    first, second = world.bar(1, all_at(100.0))
    sent = world.run.take([first, first, second, second, first])
    assert len(read(sent)) == 4
    world.run.persist()
    assert world.run.resume_at == first.offset


def test_fold_when_one_partition_runs_ahead_then_bars_come_in_order(world: World) -> None:
    """Three bars of one partition wait for the other; then all are decided in time order."""
    log = [world.bar(minute, all_at(100.0)) for minute in (1, 2, 3)]
    ahead = [pair[1] for pair in log] + [pair[0] for pair in log]
    times = [d["timestamp"] for d in read(world.run.take(ahead))]
    assert times == [format_ns(MIDNIGHT + n * MINUTE) for n in (1, 2, 3) for _ in SYMBOLS]


def test_fold_when_a_partition_sends_chunks_then_waits_for_the_last(cold: World) -> None:
    """A bar is complete with the last chunk of every partition."""
    parts = [cold.slice(1, partition, all_at(100.0)) for partition in (0, 1)]
    for part, chunk in ((parts[0], 0), (parts[1], 0)):
        part.meta = msgspec.structs.replace(part.meta, chunk=chunk, n_chunks=2)
    last = [Slice(msgspec.structs.replace(p.meta, chunk=1), p.batch.slice(0, 0)) for p in parts]
    log = [cold.record(one) for one in (*parts, *last)]
    assert cold.run.take(log[:3]) == []
    assert len(read(cold.run.take(log[3:]))) == len(SYMBOLS)


def story(world: World) -> list[Record]:
    """Write five bars whose partitions come in turns, one ahead of the other, with repeats."""
    bar_rows: list[Bar] = [
        all_at(100.0, 0.6, 0.2),
        {SYMBOLS[0]: (101.0, 0.7, 0.3), SYMBOLS[2]: (99.0, 0.9, 0.0)},
        all_at(103.0, 0.8, 0.05),
        {},
        all_at(98.0, 0.6, 0.2),
    ]
    order = [(0, 0), (1, 0), (0, 1), (1, 0), (1, 1), (2, 1), (3, 1), (2, 0), (3, 0), (4, 1), (4, 0)]
    slices = {
        (n, p): world.slice(n + 1, p, rows) for n, rows in enumerate(bar_rows) for p in (0, 1)
    }
    slices[3, 1] = slices[3, 1].voided("NotFinite")
    return [world.record(slices[place]) for place in order]


def test_fold_when_restarted_anywhere_then_decides_the_same(cold: World) -> None:
    """Also where slices wait for another partition: the same bytes to every topic."""
    log = story(cold)
    whole = Run(cold.new_fold)
    expected = whole.take(log)
    assert len(read(expected, "portfolio-snapshots")) == 5
    whole.persist()
    for cut in range(len(log) + 1):
        run = Run(cold.new_fold)
        assert run.take_with_restart_at(cut, log) == expected
        run.persist()
        assert run.memory.states == whole.memory.states


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(data=st.data())
def test_fold_when_partitions_interleave_then_events_are_the_same_bytes(
    tmp_path: Path, data: st.DataObject
) -> None:
    """The order of workers and partitions cannot show in a decision."""
    world = World(tmp_path)
    rows = [all_at(100.0 + n, 0.6, 0.2 - n / 20) for n in range(4)]
    pairs = [world.bar(n, one) for n, one in enumerate(rows, start=1)]
    expected = [o.value for o in Run(world.new_fold).take(chain(*pairs)) if isinstance(o, Output)]
    queues = [[pair[p] for pair in pairs] for p in (0, 1)]
    mixed = []
    while any(queues):
        mixed.append(data.draw(st.sampled_from([q for q in queues if q])).pop(0))
    log = [one._replace(offset=offset) for offset, one in enumerate(mixed)]
    got = [o.value for o in Run(world.new_fold).take(log) if isinstance(o, Output)]
    assert got == expected


def test_fold_when_the_epoch_changes_limits_then_the_next_bar_obeys(tmp_path: Path) -> None:
    """Limits are those of the slice's epoch."""
    world = World(tmp_path).warm()
    limits = msgspec.structs.replace(FREE, max_asset_fraction=0.01)
    strict = msgspec.structs.replace(
        world.document, portfolios=(Portfolio(id="main", limits=limits),)
    )
    _, (digest,) = epochs_in(tmp_path, strict)
    assert {d["approved"] for d in read(world.take(1, all_at(100.0)))} == {True}
    before = read(world.take(2, all_at(100.0, target=0.2)))
    world.digest = digest
    after = read(world.take(3, all_at(100.0, target=0.3)))
    assert {d["approved"] for d in after} == {False}
    assert before[0]["digests"]["limits"] != after[0]["digests"]["limits"]
    assert before[0]["digests"]["universe"] == after[0]["digests"]["universe"]


def test_due_when_many_bars_were_decided_then_asks_for_a_snapshot(cold: World) -> None:
    """A restart sends at most so many bars again."""
    for minute in range(1, SNAPSHOT_BARS):
        cold.take(minute, {})
    assert not cold.run.fold.due()
    cold.take(SNAPSHOT_BARS, {})
    assert cold.run.fold.due()
    cold.run.persist()
    assert not cold.run.fold.due()
    assert cold.run.fold.snapshot().states == {}


def test_fold_when_a_waiting_slice_comes_again_changed_then_stops(cold: World) -> None:
    """Two values of one slice key mean two writers: nothing may be decided on either."""
    first, _ = cold.bar(1, all_at(100.0))
    changed, _ = cold.bar(1, all_at(101.0))
    cold.run.take([first])
    with pytest.raises(SliceConflict, match="came again with other bytes"):
        cold.run.take([changed])


def test_fold_when_a_lot_is_a_fraction_then_quantity_has_its_decimals(tmp_path: Path) -> None:
    """A tenth of a million at 100 is 1,000 units, however small a lot is."""
    instruments = tuple(Instrument(id=s, lot_size="0.125") for s in SYMBOLS)
    world = World(tmp_path, instruments=instruments).warm()
    (quantity,) = {d["quantity"] for d in read(world.take(1, all_at(99.9)))}
    assert quantity == 1_001.0
