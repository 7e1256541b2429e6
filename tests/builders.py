"""Small worlds for tests: epochs, models, records, slices, and a table in memory."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np

from agents.slice_stage import SliceFold
from agents.stage import Fold, FoldFactory, Output, Reader, Snapshot
from models.features.catalogue import NAMES, PIPELINE_VERSION, pipeline_digest
from models.model_set import ModelSet
from models.prediction.ensemble import EnsembleModel
from models.regime.posterior import RegimeModel
from models.specialists.serving import Specialists
from models.specialists.window import ATTENDED, LENGTH_BARS
from models.weights.controller import OPTIONS, ControllerModel
from streams.dead_letters import DeadLetter
from streams.epochs import Epoch, Instrument, Limits, Portfolio
from streams.partitions import partition_of
from streams.records import EpochNotice, Heartbeat
from streams.slices import BarColumns, Slice, SliceMeta, bar_slice
from streams.ticks import Placement
from streams.transport import Record
from tables.epochs import Epochs
from tables.stamped import Stamped
from tables.stores.artifacts import Artifacts

SECOND = 1_000_000_000
MINUTE = 60 * SECOND

# 2024-01-02T00:00:00Z, on the grid of every timeframe.
MIDNIGHT = 1_704_153_600 * SECOND

CLOCK = "test-clock"

# Limits that never bind, over windows of two bars.
FREE = Limits(
    max_asset_fraction=100.0,
    max_leverage=100.0,
    max_correlation=1.0,
    correlation_bars=2,
    min_trade_fraction=0.005,
    max_sector_fraction=100.0,
    max_gross_fraction=100.0,
    max_net_fraction=100.0,
    max_order_fraction=100.0,
    max_order_lots=10**12,
    price_collar_fraction=1.0,
    stale_bars=10_000,
    max_orders_per_second=10**12,
    max_orders_per_day=10**12,
    max_repeats_per_minute=10**12,
    duplicate_window_ms=0,
    max_var_fraction=100.0,
    var_bars=2,
    var_min_bars=0,
    max_daily_loss_fraction=1.0,
    max_bad_input_fraction=1.0,
)


def models(seed: int = 1) -> ModelSet:
    """Draw a model set that fits the pipeline's features."""
    rng = np.random.default_rng(seed)
    n_features = len(NAMES)
    return ModelSet(
        regime=RegimeModel(
            scaler_mean=rng.normal(size=4),
            scaler_scale=rng.uniform(1, 2, 4),
            weights=np.array([0.5, 0.3, 0.2]),
            means=rng.normal(size=(3, 4)),
            precisions_cholesky=np.stack([np.eye(4)] * 3),
            log_constants=np.zeros(3),
            component_regime=np.eye(3),
            feature_columns=np.array([5, 38, 6, 52]),
            half_life_bars=5.0,
        ),
        specialists=specialists(rng)._replace(mean=np.zeros(n_features), scale=np.ones(n_features)),
        controller=ControllerModel(
            policy=OPTIONS,
            selection=rng.normal(size=(3, 8)),
            termination=rng.normal(size=(3, 8)),
        ),
        ensemble=EnsembleModel(slope=1.0, intercept=0.0, volatility_column=38),
        metadata={"timeframe": "1min", "pipeline_digest": pipeline_digest()},
    )


def specialists(rng: np.random.Generator, n_members: int = 2) -> Specialists:
    """Draw networks of the served size."""
    n_features, n, context, m = len(NAMES), 3 * n_members, 8, len(ATTENDED)
    return Specialists(
        mean=rng.normal(size=n_features),
        scale=rng.uniform(0.1, 3.0, n_features),
        clip=5.0,
        query_weights=rng.normal(size=(n, n_features, context)) / 4,
        query_biases=rng.normal(size=(n, context)),
        key_weights=rng.normal(size=(n, m, context)) / 2,
        lag_biases=rng.normal(size=(n, LENGTH_BARS)),
        value_weights=rng.normal(size=(n, m, context)),
        value_biases=rng.normal(size=(n, context)),
        weights_1=rng.normal(size=(n, n_features + context, 64)) / 8,
        biases_1=rng.normal(size=(n, 64)),
        weights_2=rng.normal(size=(n, 64, 32)) / 8,
        biases_2=rng.normal(size=(n, 32)),
        weights_3=rng.normal(size=(n, 32)),
        biases_3=rng.normal(size=n),
    )


def epoch(symbols: Iterable[str] = ("AAA", "BBB"), **changes: Any) -> Epoch:  # noqa: ANN401  any field
    """Build a valid epoch of minute bars with one portfolio, changed where asked."""
    fields: dict[str, Any] = {
        "timeframe": "1min",
        "n_partitions": 1,
        "clock_id": CLOCK,
        "lateness_ms": 2_000,
        "max_ahead_ms": 5_000,
        "venue_latency_ms": 500,
        "instruments": tuple(Instrument(id=symbol) for symbol in symbols),
        "portfolios": (Portfolio(id="main"),),
        "models": "0" * 64,
        "pipeline_version": PIPELINE_VERSION,
        "pipeline_digest": pipeline_digest(),
    }
    return Epoch(**(fields | changes))


def epochs_in(
    root: Path, *documents: Epoch, challenger: ModelSet | None = None
) -> tuple[Epochs, tuple[str, ...]]:
    """Keep epochs and the models they name; return them with their digests.

    A rollout's challenger is the one that is given, by default another draw of models.
    """
    artifacts = Artifacts(root)
    epochs = Epochs(artifacts)
    digest = artifacts.put_models(models())
    other = artifacts.put_models(models(2) if challenger is None else challenger)

    def named(document: Epoch) -> Epoch:
        rollout = document.rollout
        if rollout is not None:
            rollout = msgspec.structs.replace(rollout, challenger=other)
        return Epoch(**{**_fields(document), "models": digest, "rollout": rollout})

    return epochs, tuple(epochs.put(named(document)) for document in documents)


def _fields(document: Epoch) -> dict[str, Any]:
    return {name: getattr(document, name) for name in document.__struct_fields__}


def placement(*symbols: str, others: Iterable[str] = ()) -> Placement:
    """Build the placement of a partition that holds all of ``symbols``."""
    return Placement(0, 1, frozenset((*symbols, *others)), frozenset(symbols))


def homes(n_partitions: int, n_symbols: int) -> list[str]:
    """Invent symbols so that every partition is the home of ``n_symbols`` of them."""
    found: dict[int, list[str]] = {p: [] for p in range(n_partitions)}
    number = 0
    while any(len(symbols) < n_symbols for symbols in found.values()):
        symbol = f"S{number:05d}"
        found[partition_of(symbol, n_partitions)].append(symbol)
        number += 1
    return sorted(symbol for symbols in found.values() for symbol in symbols[:n_symbols])


class Memory:
    """The table of one partition, in memory."""

    def __init__(self) -> None:
        self.states: dict[bytes, Stamped] = {}

    def read(self, key: bytes) -> Stamped | None:
        """Return the state of a key."""
        return self.states.get(key)


Sent = Output | DeadLetter


class Run:
    """A fold and its table: records go in, outputs come out, and it can be killed.

    Parameters
    ----------
    new_fold
        Makes the fold from what the table holds.
    partition
        The partition it folds.
    """

    def __init__(self, new_fold: FoldFactory, partition: int = 0) -> None:
        self.new_fold = new_fold
        self.partition = partition
        self.memory = Memory()
        self.fold: Fold = new_fold(partition, self.memory.read)
        self.resume_at = 0

    def take(self, records: Iterable[Record]) -> list[Sent]:
        """Fold records and return what they cause."""
        return [output for record in records for output in self.fold.apply(record)]

    def persist(self) -> None:
        """Write the states that changed, as the stage does."""
        snapshot = self.fold.snapshot()
        self.memory.states.update(snapshot.states)
        self.resume_at = snapshot.next_offset

    def restart(self) -> None:
        """Forget everything that was not written."""
        self.fold = self.new_fold(self.partition, self.memory.read)

    def take_with_restart_at(self, cut: int, records: list[Record]) -> list[Sent]:
        """Fold with a snapshot, a crash and a restart behind ``cut`` records."""
        before = self.take(records[:cut])
        if cut:
            self.persist()
        self.restart()
        return before + self.take(r for r in records if r.offset >= self.resume_at)


class Alone:
    """A stage of a symbol by itself, as if it were an agent.

    Parameters
    ----------
    stage
        Its fold.
    """

    def __init__(self, stage: SliceFold[Any]) -> None:
        self.stage = stage

    def apply(self, record: Record) -> list[Sent]:
        """Fold one slice and send what it makes of it."""
        letters, result = self.stage.fold(record)
        if result is None:
            return [*letters]
        loaded = self.stage.epochs.load(result.meta.epoch_digest)
        return [*letters, *self.stage.spec.route(loaded, result, result.encode(), record)]

    def due(self) -> bool:
        """Tell whether a snapshot is due."""
        return self.stage.due()

    def snapshot(self) -> Snapshot:
        """Return the states that changed."""
        return self.stage.snapshot()


def reader_of(states: Mapping[bytes, Stamped]) -> Reader:
    """Return a reader of fixed states."""
    return states.get


def record(
    value: object,
    offset: int = 0,
    *,
    key: bytes | None = None,
    headers: Iterable[tuple[str, bytes]] = (),
    topic: str = "market-ticks",
    partition: int = 0,
) -> Record:
    """Build a record; a value that is neither bytes nor None is written as JSON."""
    raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Record(topic, partition, offset, key, cast(bytes | None, raw), list(headers))


def beat(n: int, ts_ns: int, offset: int, clock_id: str = CLOCK, partition: int = 0) -> Record:
    """Build the record of a heartbeat."""
    said = msgspec.json.encode(Heartbeat(clock_id=clock_id, n=n, ts_event_ns=ts_ns))
    return record(said, offset, headers=[("clock", b"1")], partition=partition)


def notice(
    digest: str, offset: int, *, number: int = 1, from_close_ns: int = 0, clock_id: str = CLOCK
) -> Record:
    """Build the record that announces an epoch."""
    said = EpochNotice(clock_id=clock_id, epoch=number, digest=digest, from_close_ns=from_close_ns)
    return record(msgspec.json.encode(said), offset, headers=[("clock", b"1")])


def meta(close_ns: int = MIDNIGHT, **changes: Any) -> SliceMeta:  # noqa: ANN401  any field
    """Build a slice's metadata, changed where asked."""
    fields: dict[str, Any] = {
        "partition": 0,
        "close_ns": close_ns,
        "rank": 0,
        "chunk": 0,
        "n_chunks": 1,
        "n_partitions": 1,
        "timeframe": "1min",
        "epoch": 1,
        "epoch_digest": "e" * 64,
        "first_offset": 0,
        "last_offset": 0,
    }
    return SliceMeta(**(fields | changes))


def bars(about: SliceMeta, closes: Mapping[str, float], symbols: Iterable[str]) -> Slice:
    """Build a fresh slice: flat bars at ``closes``, filled at the close, rows by ``symbols``."""
    held = [(i, s) for i, s in enumerate(symbols) if s in closes]
    price = np.array([closes[s] for _, s in held], np.float64)
    columns = BarColumns(
        symbol=[s for _, s in held],
        row=np.array([i for i, _ in held], np.int32),
        open=price,
        high=price,
        low=price,
        close=price,
        volume=np.full(len(held), 100.0),
        vwap=price,
        n_ticks=np.ones(len(held), np.int64),
        fill_price=price,
    )
    return bar_slice(about, columns)


def proposal(fresh: Slice, targets: Mapping[str, tuple[float, float]]) -> Slice:
    """Widen a fresh slice as the stages do; ``targets`` are (confidence, target) by symbol."""
    symbols = fresh.symbols()
    n_rows = len(symbols)
    wanted = [targets.get(s, (np.nan, np.nan)) for s in symbols]
    return fresh.with_columns(
        {
            "features": np.full((n_rows, len(NAMES)), 0.5),
            "regime": np.tile([0.5, 0.25, 0.25, 1.5], (n_rows, 1)),
            "scores": np.zeros((n_rows, 3)),
            "weights": np.tile([0.5, 0.25, 0.25], (n_rows, 1)),
            "confidence": np.array([confidence for confidence, _ in wanted], np.float64),
            "target_fraction": np.array([target for _, target in wanted], np.float64),
        }
    )


def outputs(sent: Iterable[Sent], topic: str) -> list[bytes]:
    """Return the values that went to one topic, in order."""
    return [o.value for o in sent if isinstance(o, Output) and o.topic == topic]


def letters(sent: Iterable[Sent]) -> list[DeadLetter]:
    """Return the dead letters, in order."""
    return [output for output in sent if isinstance(output, DeadLetter)]


def reasons(sent: Iterable[Sent]) -> list[str]:
    """Return the reasons of the dead letters, in order."""
    return [letter.reason for letter in letters(sent)]
