"""The prediction stage in a rollout: who wishes what, who hears of it, what is remembered."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from prometheus_client import REGISTRY

from agents.prediction import PREDICTION, PredictionFold
from agents.stage import Output, Reader
from models import chain
from models.errors import ShapeError
from models.model_set import ModelSet
from models.rollout.assignment import challenged
from streams.epochs import Challenge, Portfolio
from streams.slices import Slice
from streams.transport import Record
from tests.builders import (
    MIDNIGHT,
    MINUTE,
    Alone,
    Run,
    Sent,
    bars,
    epoch,
    epochs_in,
    meta,
    models,
    outputs,
    record,
)

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
PORTFOLIOS = (Portfolio(id="all"), Portfolio(id="two", universe=("DDD", "AAA")))
HALF = Challenge(id="r1", challenger="", share=0.5)
SHADOW = Challenge(id="r1", challenger="")
N_BARS = 20


class World:
    """One partition of the stage, and slices as the weights stage leaves them."""

    def __init__(
        self, root: Path, *rollouts: Challenge | None, other: ModelSet | None = None
    ) -> None:
        documents = [epoch(SYMBOLS, portfolios=PORTFOLIOS, rollout=each) for each in rollouts]
        self.epochs, self.digests = epochs_in(root, *documents, challenger=other)
        self.run = Run(self.new_fold)

    def new_fold(self, partition: int, read: Reader) -> Alone:
        """Make the fold of a partition."""
        return Alone(PredictionFold(PREDICTION, self.epochs, partition, read))

    def records(self, *which: int, n_bars: int = N_BARS, absent: int = 5) -> list[Record]:
        """Write bars, the n-th under the epoch ``which[n]``, the last of them from then on."""
        draw, found = np.random.default_rng(3), []
        for n in range(n_bars):
            digest = self.digests[which[min(n, len(which) - 1)]]
            closes = {s: 10.0 + draw.random() for i, s in enumerate(SYMBOLS) if (n + i) % absent}
            about = meta(MIDNIGHT + n * MINUTE, epoch_digest=digest)
            fresh, features = bars(about, closes, SYMBOLS), draw.normal(0.05, 0.02, (4, 60))
            given = fresh.with_columns(
                {
                    "features": features[fresh.rows()],
                    "regime": np.tile([0.5, 0.3, 0.2, 1.4], (fresh.n_rows, 1)),
                    "scores": draw.normal(size=(4, 3))[fresh.rows()],
                    "weights": np.tile([0.5, 0.3, 0.2], (fresh.n_rows, 1)),
                }
            )
            found.append(record(given.encode(), n, topic="strategy-weights"))
        return found


def of(sent: list[Sent], portfolio: str) -> list[Slice]:
    """Return what a portfolio was sent."""
    return [
        Slice.decode(each.value)
        for each in sent
        if isinstance(each, Output)
        and (each.topic, each.key) == ("portfolio-events", portfolio.encode())
    ]


def anonymous(slices: list[Slice]) -> list[bytes]:
    """Return the bytes of slices without their epoch's digest."""
    return [
        Slice(msgspec.structs.replace(s.meta, epoch_digest=""), s.batch).encode() for s in slices
    ]


def test_shadow_when_it_runs_then_books_get_the_same_bytes(tmp_path: Path) -> None:
    """The challenger wishes beside, and no book hears of it."""
    plain, shadow = World(tmp_path, None), World(tmp_path, SHADOW)
    without, beside = plain.run.take(plain.records(0)), shadow.run.take(shadow.records(0))
    for portfolio in PORTFOLIOS:
        assert anonymous(of(without, portfolio.id)) == anonymous(of(beside, portfolio.id))
    assert outputs(without, "shadow-intents") == []
    said = [Slice.decode(value) for value in outputs(beside, "shadow-intents")]
    assert len(said) == N_BARS
    assert np.isfinite(said[-1].floats("challenger_target_fraction")).all()
    assert (
        said[-1].floats("challenger_target_fraction") != said[-1].floats("target_fraction")
    ).all()


def test_shadow_when_asked_then_is_the_challengers_own_chain(tmp_path: Path) -> None:
    """Its regimes, scores and weights are folded from the features alone, cold at its first bar."""
    world, state = World(tmp_path, None, SHADOW), chain.initial_state(len(SYMBOLS))
    records = world.records(0, 0, 0, 1)
    said = [Slice.decode(v) for v in outputs(world.run.take(records), "shadow-intents")]
    given = [Slice.decode(each.value or b"") for each in records[3:]]
    assert len(said) == len(given) == N_BARS - 3
    for slice_, found in zip(given, said, strict=True):
        rows, features = slice_.rows(), slice_.matrix("features")
        state, wish = chain.step(models(2), state, rows, features, slice_.floats("close"))
        for name in ("regime", "weights"):
            np.testing.assert_array_equal(found.matrix(f"challenger_{name}"), getattr(wish, name))
        for name in ("confidence", "probability_up", "target_fraction"):
            np.testing.assert_array_equal(found.floats(f"challenger_{name}"), getattr(wish, name))
        assert found.symbols() == slice_.symbols()


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_canary_when_rows_are_assigned_then_these_are_the_challengers(
    tmp_path: Path, share: float
) -> None:
    """In each portfolio the hash says which rows; all columns of a row are of one model.

    Where all are the challenger's, both are told all the same.
    """
    canary = World(tmp_path, Challenge(id="r1", challenger="", share=share))
    plain = World(tmp_path, None)
    without, sent = plain.run.take(plain.records(0)), canary.run.take(canary.records(0))
    said = [Slice.decode(value) for value in outputs(sent, "shadow-intents")]
    n_seen = 0
    for portfolio in PORTFOLIOS:
        assigned = challenged("r1", portfolio.id, SYMBOLS, share)
        wanted = portfolio.universe or SYMBOLS
        for before, now, both in zip(
            of(without, portfolio.id), of(sent, portfolio.id), said, strict=True
        ):
            assert now.batch.schema.names == before.batch.schema.names
            assert set(now.symbols()) <= set(wanted)
            for at, symbol in enumerate(now.symbols()):
                source = both.symbols().index(symbol)
                if symbol in assigned:
                    n_seen += 1
                    for name in ("confidence", "target_fraction"):
                        ours = both.floats(f"challenger_{name}")[source]
                        np.testing.assert_array_equal(now.floats(name)[at], ours)
                    for name in ("regime", "weights"):
                        ours = both.matrix(f"challenger_{name}")[source]
                        np.testing.assert_array_equal(now.matrix(name)[at], ours)
                else:
                    there = before.batch.slice(before.symbols().index(symbol), 1)
                    assert repr(now.batch.slice(at, 1).to_pylist()) == repr(there.to_pylist())
    assert n_seen > 0


def test_stage_when_it_dies_anywhere_then_says_the_same(tmp_path: Path) -> None:
    """The challenger's memory is in the snapshot, through begin, change and end of a rollout."""
    other = Challenge(id="r2", challenger="", share=0.0)
    world = World(tmp_path, None, SHADOW, HALF, None, other)
    records = world.records(0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, n_bars=16)
    whole = world.run.take(records)
    for cut in range(len(records)):
        again = Run(world.new_fold)
        assert again.take_with_restart_at(cut, records) == whole


def test_rollout_when_another_begins_then_its_challenger_starts_cold(tmp_path: Path) -> None:
    """What one challenger remembers is not the next one's, though the models were the same."""
    other = Challenge(id="r2", challenger="")
    world = World(tmp_path, SHADOW, other)
    said = outputs(world.run.take(world.records(0, 0, 0, 0, 1)), "shadow-intents")
    fresh = World(tmp_path, None, other)
    alone = outputs(fresh.run.take(fresh.records(0, 0, 0, 0, 1)), "shadow-intents")
    assert anonymous([Slice.decode(v) for v in said[4:]]) == anonymous(
        [Slice.decode(v) for v in alone]
    )


def test_rollout_when_the_arms_are_equal_then_say_the_same_bits(tmp_path: Path) -> None:
    """Whole slices have the bits of single rows, for a champion under another name as well."""
    world = World(tmp_path, SHADOW, other=models()._replace(metadata=models().metadata | {"x": 1}))
    records = world.records(0)
    said = [Slice.decode(v) for v in outputs(world.run.take(records), "shadow-intents")]
    state = chain.initial_state(len(SYMBOLS))
    for each, found in zip(records, said, strict=True):
        slice_ = Slice.decode(each.value or b"")
        targets = []
        for at in range(slice_.n_rows):
            rows, one = slice_.rows()[at : at + 1], slice(at, at + 1)
            state, wish = chain.step(
                models(), state, rows, slice_.matrix("features")[one], slice_.floats("close")[one]
            )
            targets.append(wish.target_fraction[0])
        np.testing.assert_array_equal(found.floats("challenger_target_fraction"), targets)


def test_challenger_when_it_fails_then_wishes_nothing_and_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of its own is counted; books get what they get without it."""
    plain, shadow = World(tmp_path, None), World(tmp_path, SHADOW)
    without = plain.run.take(plain.records(0, n_bars=3))

    def fails(*_: object) -> None:
        raise ShapeError("planted")

    monkeypatch.setattr(chain, "step", fails)
    before = REGISTRY.get_sample_value("tradewind_challenger_errors_total") or 0.0
    sent = shadow.run.take(shadow.records(0, n_bars=3))
    assert REGISTRY.get_sample_value("tradewind_challenger_errors_total") == before + 3
    assert anonymous(of(without, "all")) == anonymous(of(sent, "all"))
    said = [Slice.decode(value) for value in outputs(sent, "shadow-intents")]
    assert all(np.isnan(each.floats("challenger_target_fraction")).all() for each in said)


def test_challenger_when_it_fails_in_a_canary_then_its_rows_are_of_models_that_warm_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A book holds what it has there; regimes and weights are numbers, as a decision needs them."""
    world = World(tmp_path, HALF)

    def fails(*_: object) -> None:
        raise IndexError("planted: no error of ours")

    monkeypatch.setattr(chain, "step", fails)
    slices = of(world.run.take(world.records(0, n_bars=3)), "all")
    assigned = challenged("r1", "all", SYMBOLS, 0.5)
    assert 0 < len(assigned) < len(SYMBOLS)
    for slice_ in slices:
        own = np.isin(slice_.symbols(), sorted(assigned))
        assert np.isnan(slice_.floats("target_fraction")[own]).all()
        assert np.isfinite(slice_.floats("target_fraction")[~own]).all()
        expected = [*[1 / 3] * 3, np.log2(3)]
        assert slice_.matrix("regime")[own] == pytest.approx(np.tile(expected, (own.sum(), 1)))
        assert slice_.matrix("weights")[own] == pytest.approx(1 / 3)


def test_stage_when_a_slice_is_void_then_nothing_is_compared(tmp_path: Path) -> None:
    """What could not be used before is told to every book, and to nobody who compares."""
    world = World(tmp_path, HALF)
    void = bars(meta(epoch_digest=world.digests[0]), {"AAA": 1.0}, SYMBOLS).voided("NotFinite")
    sent = world.run.take([record(void.encode(), 0)])
    assert [s.meta.void for s in of(sent, "all")] == ["NotFinite"]
    assert outputs(sent, "shadow-intents") == []


def test_stage_when_nothing_traded_then_both_say_nothing(tmp_path: Path) -> None:
    """A bar without rows is one without rows on every topic."""
    world = World(tmp_path, HALF)
    sent = world.run.take(world.records(0, n_bars=1, absent=1))
    assert [s.n_rows for s in of(sent, "all")] == [0]
    assert [Slice.decode(v).n_rows for v in outputs(sent, "shadow-intents")] == [0]
