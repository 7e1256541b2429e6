"""Laws of every stage: the same input gives the same bits, whatever stands beside or behind it."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from agents.signals import SPECS, SignalsKept
from agents.slice_stage import SliceSpec
from agents.topology import CHAIN
from models.model_set import ModelSet
from streams.codec import pack_state, unpack_state
from streams.epochs import Epoch, Portfolio
from streams.slices import Slice
from tests.builders import (
    FREE,
    MIDNIGHT,
    MINUTE,
    SECOND,
    bars,
    beat,
    epoch,
    homes,
    meta,
    models,
    notice,
)
from tests.worlds import Chain

SYMBOLS = tuple(homes(3, 1))
N_BARS = 300


@pytest.fixture(scope="module")
def inputs() -> dict[str, list[Slice]]:
    """Give every stage's input: a walk of three symbols, two of which lack some bars."""
    draw = np.random.default_rng(8)
    moves = draw.normal(0, 0.01, (N_BARS, len(SYMBOLS)))
    closes = 100 * np.exp(np.cumsum(moves, axis=0))
    absent = draw.random(closes.shape) < np.array([0.0, 0.05, 0.3])
    slices = [
        bars(
            meta(MIDNIGHT + n * MINUTE),
            {s: row[i] for i, s in enumerate(SYMBOLS) if not absent[n, i]},
            SYMBOLS,
        )
        for n, row in enumerate(closes.tolist())
    ]
    found, given = {}, models()
    for spec in SPECS:
        found[spec.name] = slices
        slices = fold(spec, given, slices)
    found["end"] = slices
    return found


def fold(spec: SliceSpec[Any], given: ModelSet, slices: list[Slice]) -> list[Slice]:
    """Run a stage's step over slices."""
    state, wider = spec.initial(len(SYMBOLS)), []
    for slice_ in slices:
        state, columns = spec.step(given, state, slice_)
        wider.append(slice_.with_columns(columns))
    return wider


def encoded(slices: list[Slice]) -> list[bytes]:
    """Return the bytes of slices."""
    return [slice_.encode() for slice_ in slices]


def test_specs_when_counted_then_are_all_stages_between_bars_and_risk() -> None:
    """A new stage is found by these laws, or this test fails."""
    assert CHAIN == ("bars", "signals", "risk")
    assert tuple(spec.name for spec in SPECS) == SignalsKept._fields


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_step_when_repeated_then_gives_the_same_bytes_and_leaves_its_input(
    spec: SliceSpec[Any], inputs: dict[str, list[Slice]]
) -> None:
    """Deterministic, and no slice is written to."""
    before = encoded(inputs[spec.name])
    assert encoded(fold(spec, models(), inputs[spec.name])) == encoded(
        fold(spec, models(), inputs[spec.name])
    )
    assert encoded(inputs[spec.name]) == before


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_step_when_the_future_is_cut_off_then_the_past_is_the_same(
    spec: SliceSpec[Any], inputs: dict[str, list[Slice]]
) -> None:
    """No stage looks ahead."""
    whole = encoded(fold(spec, models(), inputs[spec.name]))
    for cut in (1, 100, N_BARS - 1):
        assert encoded(fold(spec, models(), inputs[spec.name][:cut])) == whole[:cut]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_step_when_the_state_goes_through_bytes_then_nothing_changes(
    spec: SliceSpec[Any], inputs: dict[str, list[Slice]]
) -> None:
    """A state packed and read back before every bar gives the same results and the same state."""
    given, kept = models(), pack_state(spec.initial(len(SYMBOLS)))
    state = spec.initial(len(SYMBOLS))
    for slice_ in inputs[spec.name]:
        restored, again = spec.step(given, unpack_state(spec.state_type, kept), slice_)
        kept = pack_state(restored)
        state, columns = spec.step(given, state, slice_)
        assert list(columns) == list(again)
        assert all(columns[name].tobytes() == again[name].tobytes() for name in columns)
    assert pack_state(state) == kept


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_step_when_rows_come_one_by_one_then_have_the_bits_of_the_batch(
    spec: SliceSpec[Any], inputs: dict[str, list[Slice]]
) -> None:
    """A row's numbers do not depend on the company it keeps."""
    given = models()
    whole, single = spec.initial(len(SYMBOLS)), spec.initial(len(SYMBOLS))
    for slice_ in inputs[spec.name]:
        whole, columns = spec.step(given, whole, slice_)
        for row in range(slice_.n_rows):
            alone = Slice(slice_.meta, slice_.batch.slice(row, 1))
            single, own = spec.step(given, single, alone)
            for name, values in columns.items():
                assert values[row : row + 1].tobytes() == own[name].tobytes()
    assert pack_state(whole) == pack_state(single)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_step_when_nothing_traded_then_the_state_stays(
    spec: SliceSpec[Any], inputs: dict[str, list[Slice]]
) -> None:
    """A bar without rows is folded without a trace."""
    given, state = models(), spec.initial(len(SYMBOLS))
    for slice_ in inputs[spec.name][:20]:
        state, _ = spec.step(given, state, slice_)
    before = pack_state(state)
    empty = Slice(slice_.meta, inputs[spec.name][0].batch.slice(0, 0))
    state, columns = spec.step(given, state, empty)
    assert pack_state(state) == before
    assert all(len(values) == 0 for values in columns.values())


def test_chain_when_warm_then_every_row_has_a_target(inputs: dict[str, list[Slice]]) -> None:
    """The laws above were tested on numbers, not only on the NaN of warming up."""
    last = inputs["end"][-1]
    assert np.isfinite(last.floats("target_fraction")).any()
    assert np.isfinite(last.floats("confidence")).any()


def run(
    root: Path,
    document: Epoch,
    *later: Epoch,
    before: Callable[[Chain, int], None] = lambda _chain, _minute: None,
) -> Chain:
    """Trade three symbols for 300 minutes, one of them with gaps, through the whole chain.

    ``before`` is called before each minute's heartbeat.
    """
    chain = Chain(root, document, *later)
    draw = np.random.default_rng(4)
    closes = 100 * np.exp(np.cumsum(draw.normal(0, 0.01, (N_BARS, len(SYMBOLS))), axis=0))
    chain.say(notice(chain.digest, 0), beat(0, MIDNIGHT + 2 * SECOND, 0))
    for minute, row in enumerate(np.round(closes, 2).tolist(), start=1):
        end_ns = MIDNIGHT + minute * MINUTE
        for number, (symbol, price) in enumerate(zip(SYMBOLS, row, strict=True)):
            if (minute + number) % 17:
                chain.trade(symbol, end_ns - 40 * SECOND, price, 100.0)
                chain.trade(symbol, end_ns - 20 * SECOND, round(price * 1.001, 2), 50.0)
        before(chain, minute)
        chain.say(beat(minute, end_ns + 2 * SECOND, 0))
    return chain


def test_chain_when_there_are_one_or_three_partitions_then_decides_the_same_bytes(
    tmp_path: Path,
) -> None:
    """How work is spread cannot show in a decision, an execution or an account."""
    limits = msgspec.structs.replace(FREE, max_asset_fraction=0.5, correlation_bars=4, var_bars=4)
    found = []
    for n_partitions in (1, 3):
        document = epoch(
            SYMBOLS, n_partitions=n_partitions, portfolios=(Portfolio(id="main", limits=limits),)
        )
        chain = run(tmp_path, document)
        assert chain.letters == []
        of_the_book = (sent for sent in chain.published if sent.partition is None)
        found.append([(sent.topic, sent.key, sent.value) for sent in of_the_book])
        assert {topic for topic, _, _ in found[-1]} == {
            "trading-decisions",
            "executions",
            "portfolio-snapshots",
        }
    assert all(one == other for one, other in pairwise(found))
    decisions = [json.loads(v) for topic, _, v in found[0] if topic == "trading-decisions"]
    assert {d["action"] for d in decisions} == {"BUY", "SELL", "HOLD"}
    assert any(topic == "executions" for topic, _, _ in found[0])
