"""The fold of ticks: poison, clocks, epochs, slices, and a crash at every record."""

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.bars import SNAPSHOT_TICKS, BarFold
from agents.stage import Output
from streams.epochs import Portfolio
from streams.slices import Slice
from streams.ticks import MAX_LIST
from streams.transport import Record
from tables.epochs import Epochs
from tables.stores.artifacts import ArtifactMissing
from tests.builders import (
    MIDNIGHT,
    MINUTE,
    SECOND,
    Memory,
    Run,
    beat,
    epoch,
    epochs_in,
    homes,
    letters,
    notice,
    outputs,
    reasons,
    record,
)
from tests.worlds import LATE_NS, TickWorld, tick


def heartbeat(clock_id: str, ts_ns: int) -> dict[str, object]:
    """Write what a clock may say."""
    return {"type": "heartbeat", "clock_id": clock_id, "n": 5, "ts_event_ns": ts_ns}


@pytest.fixture
def world(tmp_path: Path) -> TickWorld:
    """Give a partition whose clock stands at midnight."""
    return TickWorld(tmp_path).start()


POISON = [
    (None, "EMPTY"),
    (b"", "EMPTY"),
    (b"\xff" * 1_000_000, "NOT_JSON"),
    (b'{"x":' + b"[" * 100_000, "NOT_JSON"),
    (tick(price="10"), "WRONG_TYPE"),
    (tick(price=-1), "BAD_PRICE"),
    (tick(symbol=None), "WRONG_TYPE"),
    (tick(symbol="ZZZ"), "UNKNOWN_SYMBOL"),
    (tick(version=9), "UNKNOWN_VERSION"),
    (tick(ts_event="tomorrow"), "BAD_TIMESTAMP"),
    (tick(ts_event=MIDNIGHT // SECOND), "BAD_TIMESTAMP"),
    (tick(ts_event=10**30), "BAD_TIMESTAMP"),
    (tick(-1), "LATE"),
    (tick(3_600), "TOO_FAR_AHEAD"),
    (tick(60, type="bar", open=1, high=1, low=1, close=1, timeframe="5min"), "WRONG_TIMEFRAME"),
    (tick(59, type="bar", open=1, high=1, low=1, close=1), "MISALIGNED_BAR"),
]


@pytest.mark.parametrize(("value", "reason"), POISON)
def test_fold_when_a_record_is_poison_then_one_letter_with_its_bytes_and_the_next_counts(
    world: TickWorld, value: object, reason: str
) -> None:
    """The letter has reason, origin and the raw bytes, the slice counts it, and life goes on."""
    offset = world.offset
    (letter,) = letters(world.take(value))
    raw = record(value).value or b""
    assert (letter.reason, letter.stage, letter.raw) == (reason, "bars", raw)
    assert letter.origin[:4] == ("market-ticks", 0, offset, 0)
    assert world.take(tick()) == []
    (slice_,) = world.close()
    assert slice_.symbols() == ["AAA"]
    counts = slice_.meta.counts
    assert counts.n_in == 2
    assert (counts.n_late, counts.n_dead) == ((1, 0) if reason == "LATE" else (0, 1))


def test_fold_when_a_list_holds_poison_then_the_neighbours_count(world: TickWorld) -> None:
    """Each bad element is a letter with its own place and bytes; the good ones make the bar."""
    spaced = b'[{"symbol":"AAA", "ts_event":%d, "price":11, "extra" : 1} , %s, %s,%s]'
    late = b'{ "price": 9,  "symbol": "AAA", "ts_event": %d, "extra": [] }' % (MIDNIGHT - 1)
    value = spaced % (MIDNIGHT, b'{"symbol":5}', late, msgspec.json.encode(tick(2)))
    found = letters(world.take(value))
    assert [(x.origin.place, x.reason, x.raw) for x in found] == [
        (1, "WRONG_TYPE", b'{"symbol":5}'),
        (2, "LATE", late),
    ]
    (slice_,) = world.close()
    assert slice_.floats("open").tolist() == [11.0]
    assert slice_.floats("close").tolist() == [10.0]


def test_fold_when_a_readable_list_holds_a_late_tick_then_keeps_its_bytes(
    world: TickWorld,
) -> None:
    """Also where the whole list could be read, the letter has what the producer wrote."""
    late = b'{ "price": 9,  "symbol": "AAA", "ts_event": %d, "unknown": [] }' % (MIDNIGHT - 1)
    value = b"[" + msgspec.json.encode(tick()) + b"," + late + b"]"
    (letter,) = letters(world.take(value))
    assert (letter.raw, letter.origin.place) == (late, 1)


def test_fold_when_an_id_repeats_then_is_a_letter_and_counted(world: TickWorld) -> None:
    """The second tick with an id changes nothing."""
    assert world.take(tick(trade_id="x")) == []
    assert reasons(world.take(tick(2, 99.0, trade_id="x"))) == ["DUPLICATE"]
    (slice_,) = world.close()
    assert slice_.meta.counts == msgspec.structs.replace(slice_.meta.counts, n_in=2, n_duplicate=1)
    assert slice_.floats("high").tolist() == [10.0]


def test_fold_when_a_quote_is_crossed_then_is_counted_and_no_letter(world: TickWorld) -> None:
    """A crossed market is a fact about the market, not a bad record."""
    assert world.take(tick(type="quote", bid=11, ask=10)) == []
    (slice_,) = world.close()
    assert (slice_.meta.counts.n_crossed, slice_.n_rows) == (1, 0)


def test_fold_when_the_partition_is_wrong_then_advises_the_producer(tmp_path: Path) -> None:
    """A symbol of another partition would make a second bar under the same id."""
    symbols = homes(2, 1)
    world = TickWorld(tmp_path, symbols=symbols, n_partitions=2).start()
    sent = [world.take(tick(symbol=symbol)) for symbol in symbols]
    found = [letter for one in sent for letter in letters(one)]
    assert [letter.reason for letter in found] == ["WRONG_PARTITION"]
    assert "murmur2_random" in found[0].detail


def test_fold_when_no_epoch_is_announced_then_ticks_and_heartbeats_are_letters(
    tmp_path: Path,
) -> None:
    """Without the clock there is nothing to decide by; the whole record is kept."""
    run = Run(TickWorld(tmp_path).new_fold)
    value = [tick(), tick()]
    found = letters(run.take([record(value, 0), beat(0, MIDNIGHT, 1)]))
    assert [letter.reason for letter in found] == ["NO_CLOCK", "NO_CLOCK"]
    assert found[0].raw == record(value).value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "NOT_JSON"),
        (b"garbage", "NOT_JSON"),
        (b'{"type":"heartbeat","x":' + b"[" * 100_000, "NOT_JSON"),
        (b'{"type":"heartbeat","clock_id":"\xff","n":1,"ts_event_ns":1}', "NOT_JSON"),
        ({"type": "alarm"}, "WRONG_TYPE"),
        (
            {"type": "heartbeat", "clock_id": "test-clock", "n": 5, "ts_event_ns": 10**30},
            "WRONG_TYPE",
        ),
        (
            {"type": "heartbeat", "clock_id": "another", "n": 5, "ts_event_ns": MIDNIGHT},
            "FOREIGN_CLOCK",
        ),
    ],
)
def test_clock_when_it_says_nonsense_then_time_stands_still(
    world: TickWorld, value: object, reason: str
) -> None:
    """A clock record that cannot be used is a letter, and the next heartbeat closes the bar."""
    world.take(tick())
    before = world.run.fold.kept.state.heartbeat_ns  # type: ignore[attr-defined]
    poison = record(value, world.offset, headers=[("clock", b"1")])
    assert reasons(world.run.take([poison])) == [reason]
    assert world.run.fold.kept.state.heartbeat_ns == before  # type: ignore[attr-defined]
    world.offset += 1
    assert [s.n_rows for s in world.close()] == [1]


def test_heartbeat_when_it_closes_a_bar_then_the_slice_says_where_it_comes_from(
    world: TickWorld,
) -> None:
    """Key, epoch, origin and counts are in the slice; the heartbeat's headers travel beside it."""
    world.take(tick(3, 10.5, size=2))
    at = MIDNIGHT + MINUTE + LATE_NS
    said = beat(1, at, world.offset)
    said.headers.append(("due_ns", b"123"))
    (output,) = world.run.take([said])
    assert isinstance(output, Output)
    assert (output.topic, output.key, output.partition) == ("market-bars", b"0", 0)
    assert output.headers == [("due_ns", b"123")]
    meta = Slice.decode(output.value).meta
    assert (meta.close_ns, meta.rank, meta.chunk, meta.n_chunks) == (MIDNIGHT + MINUTE, 0, 0, 1)
    assert (meta.epoch, meta.epoch_digest, meta.timeframe) == (1, world.digest, "1min")
    assert (meta.first_offset, meta.last_offset) == (0, world.offset)
    assert meta.counts.n_in == 1
    slice_ = Slice.decode(output.value)
    assert slice_.floats("fill_price").tolist() == [10.5]
    assert slice_.floats("volume").tolist() == [2.0]


def test_heartbeat_when_repeated_or_going_back_then_nothing_is_sent(world: TickWorld) -> None:
    """Only a later heartbeat moves time."""
    world.take(tick())
    offset = world.offset
    assert len(world.run.take([beat(1, MIDNIGHT + MINUTE + LATE_NS, offset)])) == 1
    again = [
        beat(1, MIDNIGHT + MINUTE + LATE_NS, offset + 1),
        beat(0, MIDNIGHT + 9 * MINUTE, offset + 2),
        beat(2, MIDNIGHT, offset + 3),
    ]
    assert world.run.take(again) == []


def test_heartbeat_when_the_partition_is_large_then_sends_chunks(tmp_path: Path) -> None:
    """600 symbols are two slices of one bar; the counts stand in the first."""
    symbols = [f"S{i:04d}" for i in range(600)]
    world = TickWorld(tmp_path, symbols=symbols).start()
    world.take([tick(symbol=s) for s in ("S0000", "S0511", "S0512", "S0599")])
    first, second = world.close()
    assert [(s.meta.chunk, s.meta.n_chunks) for s in (first, second)] == [(0, 2), (1, 2)]
    assert (first.symbols(), first.rows().tolist()) == (["S0000", "S0511"], [0, 511])
    assert (second.symbols(), second.rows().tolist()) == (["S0512", "S0599"], [0, 87])
    assert (first.meta.counts.n_in, second.meta.counts.n_in) == (4, 0)
    assert first.key < second.key


def test_epoch_when_announced_ahead_then_decides_from_its_close_on(tmp_path: Path) -> None:
    """The slice names the epoch of its close, so all partitions switch at the same bar."""
    world = TickWorld(tmp_path).start()
    limited = epoch(portfolios=(Portfolio(id="main", order_expiry_bars=9),))
    _, (digest,) = epochs_in(tmp_path, limited)
    said = notice(digest, world.offset, number=2, from_close_ns=MIDNIGHT + MINUTE)
    assert world.run.take([said]) == []
    world.offset += 1
    found = [world.close(n)[-1].meta for n in (1, 2, 3)]
    assert [(m.epoch, m.epoch_digest) for m in found] == [
        (1, world.digest),
        (2, digest),
        (2, digest),
    ]


def test_epoch_when_announced_again_then_nothing_happens(world: TickWorld) -> None:
    """A clock that restarts repeats itself."""
    assert world.run.take([notice(world.digest, world.offset)]) == []
    assert len(world.run.fold.kept.epochs) == 1  # type: ignore[attr-defined]


def test_epoch_when_it_contradicts_then_is_a_letter(tmp_path: Path) -> None:
    """Another grid, another clock and another document under a known number are refused."""
    world = TickWorld(tmp_path).start()
    _, (grid, other, expiry) = epochs_in(
        tmp_path,
        epoch(lateness_ms=1),
        epoch(clock_id="other"),
        epoch(portfolios=(Portfolio(id="main", order_expiry_bars=9),)),
    )
    said = [
        notice(grid, 10, number=2),
        notice(other, 11, number=2),
        notice(other, 12, number=2, clock_id="other"),
        notice(expiry, 13, number=1),
    ]
    assert reasons(world.run.take(said)) == [
        "LAYOUT_CHANGED",
        "FOREIGN_CLOCK",
        "FOREIGN_CLOCK",
        "EPOCH_CONFLICT",
    ]


def test_epoch_when_a_stranger_announces_it_then_nothing_stops(tmp_path: Path) -> None:
    """Its document is not here and is not asked for; a text that is no digest is a letter too."""
    world = TickWorld(tmp_path).start()
    said = [
        notice("0" * 64, 10, number=2, clock_id="stranger"),
        notice("../../etc/passwd", 11, number=2),
        notice("", 12, number=2),
    ]
    assert reasons(world.run.take(said)) == ["FOREIGN_CLOCK", "BAD_DIGEST", "BAD_DIGEST"]


def test_epoch_when_it_cannot_be_loaded_then_the_stage_stops(tmp_path: Path) -> None:
    """Going on without what decides would be another run."""
    run = Run(TickWorld(tmp_path).new_fold)
    with pytest.raises(ArtifactMissing):
        run.take([notice("f" * 64, 0)])


def log_of(world: TickWorld) -> list[Record]:
    """Write a log of three bars with ticks in disorder, poison, repeats and two epochs."""
    records = [notice(world.digest, 0), beat(0, MIDNIGHT + LATE_NS, 1)]
    values: list[object] = [
        tick(5, 11.0, trade_id=1, size=3),
        [tick(1, 12.0), {"symbol": 5}, tick(58, 9.0, symbol="BBB")],
        b"poison",
        tick(5, 11.0, trade_id=1, size=3),
        tick(61, 10.0, symbol="BBB", seq=4),
        1,
        tick(59.9, 1.0),
        tick(62.6, 8.0, trade_id=2),
        tick(62.4, 7.0, type="quote", bid=6, ask=8),
        2,
        tick(62.5, 1.0),
        tick(130, 5.0, symbol="BBB"),
        3,
    ]
    for offset, value in enumerate(values, start=2):
        is_beat = isinstance(value, int)
        at = MIDNIGHT + value * MINUTE + LATE_NS if isinstance(value, int) else 0
        records.append(beat(offset, at, offset) if is_beat else record(value, offset))
    return records


def test_fold_when_restarted_at_any_record_then_gives_the_same_bytes(tmp_path: Path) -> None:
    """Snapshot, crash and restart at every cut: outputs and the last state are the same."""
    world = TickWorld(tmp_path)
    log = log_of(world)
    whole = Run(world.new_fold)
    expected = whole.take(log)
    assert len(outputs(expected, "market-bars")) == 3
    assert set(reasons(expected)) == {"WRONG_TYPE", "NOT_JSON", "DUPLICATE", "LATE"}
    whole.persist()
    for cut in range(len(log) + 1):
        run = Run(world.new_fold)
        assert run.take_with_restart_at(cut, log) == expected
        run.persist()
        assert run.memory.states == whole.memory.states


def test_fold_when_records_come_again_then_skips_what_it_knows(tmp_path: Path) -> None:
    """After a restart the broker may send from far before the stamp."""
    world = TickWorld(tmp_path)
    log = log_of(world)
    run = Run(world.new_fold)
    run.take(log)
    run.persist()
    run.restart()
    assert run.take(log) == []
    run.persist()
    assert run.resume_at == len(log)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(list(range(8))))
def test_fold_when_ticks_of_a_bar_are_shuffled_then_sends_the_same_bytes(
    tmp_path: Path, order: list[int]
) -> None:
    """Inside the lateness, arrival does not show in the slice."""
    world = TickWorld(tmp_path).start()
    for number in order:
        symbol = "AB"[number % 2] * 3
        assert world.take(tick(number + 0.5, 10.0 + number, symbol=symbol, size=2)) == []
    (slice_,) = world.close()
    assert slice_.floats("open").tolist() == [10.0, 11.0]
    assert slice_.floats("close").tolist() == [16.0, 17.0]
    assert slice_.floats("fill_price").tolist() == [12.0, 13.0]
    assert slice_.floats("vwap").tolist() == [13.0, 14.0]


def test_fold_when_nothing_traded_then_a_slice_without_rows_leaves(world: TickWorld) -> None:
    """The stages behind wait for every bar, also for an empty one."""
    (slice_,) = world.close()
    assert (slice_.n_rows, slice_.meta.void) == (0, "")
    assert math.prod(slice_.floats("close").shape) == 0


def test_due_when_many_ticks_came_then_asks_for_a_snapshot(world: TickWorld) -> None:
    """A restart reads at most so many ticks again."""
    assert not world.run.fold.due()
    for _ in range(SNAPSHOT_TICKS // MAX_LIST):
        assert not world.run.fold.due()
        world.take([tick()] * MAX_LIST)
    assert world.run.fold.due()
    world.run.persist()
    assert not world.run.fold.due()


def test_fold_when_the_table_is_empty_then_begins_at_the_start(tmp_path: Path) -> None:
    """A new partition has no stamp."""
    epochs: Epochs = epochs_in(tmp_path)[0]
    fold = BarFold(epochs, 0, Memory().read)
    assert fold.next_offset == 0
