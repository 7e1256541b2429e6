"""Tradewind: a stage over slices of a hundred symbols, as the chain's are."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import faust
import uvloop

from agents.cli.worker import SWITCH_INTERVAL_S
from agents.slice_stage import SliceFold, SliceSpec, route_to
from agents.stage import Fold, Reader, Stage
from models.model_set import ModelSet
from streams.slices import FloatArray, Slice
from streams.transport import BatchSchema
from tables.epochs import Epochs
from tables.stamped import StampedTable
from tables.stores.artifacts import Artifacts
from tests.builders import Alone


class Nothing(NamedTuple):
    """A stage that remembers the last slice alone."""


def _step(
    _models: ModelSet, state: Nothing, slice_: Slice
) -> tuple[Nothing, Mapping[str, FloatArray]]:
    return state, {"notional": slice_.floats("close") * slice_.floats("volume")}


def main(servers: str, source: str, sink: str, home: str) -> None:
    """Pass slices on until the process is ended."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    epochs = Epochs(Artifacts(Path(home) / "artifacts"))
    spec = SliceSpec("hop", Nothing, lambda _n: Nothing(), _step, route_to(sink))
    app = faust.App(
        f"{source}-ours",
        broker=f"tradewind://{servers}",
        store="rocksdb://",
        datadir=str(Path(home) / source),
        Table="tables.stamped:StampedTable",
        TableManager="tables.recovery:ReadyTables",
        autodiscover=False,
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=1 << 20,
        producer_acks=-1,
        producer_linger=0.0,
        producer_max_batch_size=1_000_000,
        stream_buffer_maxsize=64,
        topic_partitions=2,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
    )
    table: Any = app.Table("hop", key_type=bytes, value_type=bytes, partitions=2)

    def new_fold(partition: int, read: Reader) -> Fold:
        return Alone(SliceFold(spec, epochs, partition, read))

    stage = Stage(app, "hop", "", cast("StampedTable", table), new_fold)
    bars = app.topic(source, schema=BatchSchema(key_type=bytes, value_type=bytes), acks=False)
    app.agent(bars, name="hop")(stage.run)
    worker = faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False)
    worker.execute_from_commandline()


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})
    main(*sys.argv[1:])
