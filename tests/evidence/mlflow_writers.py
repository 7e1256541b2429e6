"""``mlflow-writers``: 24 trainers in processes of their own log to one MLflow on PostgreSQL.

Each has an experiment and a run, and every second writes what an epoch gives: eight metrics. The
ways take turns in one run: through MLflow's server and past it to the database, one metric a call,
all of an epoch in one call, and in one call that MLflow finishes in the background, by itself or
together with the next ones. What counts is
how long the call holds the trainer; what is logged is counted in SQL afterwards.
"""

import contextlib
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, NamedTuple

import psycopg

from agents.run.stores import database
from agents.run.workers import Children
from streams.brokers.ports import free_port
from streams.brokers.waiting import wait_for
from tables.stores.model_registry import GATHER_S, client_of
from tables.stores.servers.mlflow import database_uri
from tables.stores.tracking.postgres_schema import plain
from tests.evidence.measurement import Measurement, Result, quantile

WRITERS, METRICS, EVERY_S = 24, 8, 1.0
MOST_MS = 10.0
SERVER, SINGLE, BATCH = "server", "single", "batch"
BACKGROUND, GATHERED = "background", "gathered"
WAYS = {
    SERVER: "one metric a call, through MLflow's server",
    SINGLE: "one metric a call, to the database",
    BATCH: "an epoch a call, to the database",
    BACKGROUND: "an epoch a call, finished in the background, to the database",
    GATHERED: f"the same, gathered for {GATHER_S} s before it is written",
}
# The server takes so long that fewer have to do.
EPOCHS = {SERVER: 5, SINGLE: 20, BATCH: 20, BACKGROUND: 40, GATHERED: 40}
# What the trainer of this product uses.
CHOSEN = GATHERED

_GATHERING = "MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS"
_NAME = "wt-ml-writers"
_START_S = 300.0
_WAIT_S = 400.0


class Written(NamedTuple):
    """What one writer did in one way: durations of calls, seconds until all was written, errors."""

    way: str
    run_id: str
    call_s: list[float]
    rest_s: float
    errors: list[str]


def write(addresses: dict[str, str], number: int, gate: Barrier, found: Any) -> None:  # noqa: ANN401  a queue
    """Be one trainer; what ends it ends all."""
    try:
        _write(addresses, number, gate, found)
    except BaseException as error:
        found.put(f"writer {number}: {error!r}")
        gate.abort()
        raise


def _write(addresses: dict[str, str], number: int, gate: Barrier, found: Any) -> None:  # noqa: ANN401  see above
    """Log to every address in turn, as all others do at the same time."""
    for way, address in addresses.items():
        client = client_of(address)
        # MLflow looks at it before each turn of its loop.
        os.environ[_GATHERING] = str(GATHER_S if way == GATHERED else 0)
        experiment = client.create_experiment(f"writer {number} {way}")
        run_id = client.create_run(experiment).info.run_id
        _log(client, run_id, way, 0)
        gate.wait(_WAIT_S)
        # Trainers are not in step with each other.
        sleep(EVERY_S * number / WRITERS)
        found.put(_written(client, run_id, way))
        gate.wait(_WAIT_S)


def _written(client: Any, run_id: str, way: str) -> Written:  # noqa: ANN401  MLflow's
    begun, calls, errors, operations = perf_counter(), [], [], []
    for epoch in range(1, EPOCHS[way] + 1):
        sleep(max(begun + (epoch - 1) * EVERY_S - perf_counter(), 0.0))
        try:
            for seconds, operation in _log(client, run_id, way, epoch):
                calls.append(seconds)
                operations.append(operation)
        except Exception as error:  # noqa: BLE001  whatever it is, it is counted
            errors.append(repr(error)[:200])
    ended = perf_counter()
    for operation in operations:
        try:
            if operation is not None:
                operation.wait()
        except Exception as error:  # noqa: BLE001  see above
            errors.append(repr(error)[:200])
    return Written(way, run_id, calls, perf_counter() - ended, errors)


def _log(client: Any, run_id: str, way: str, epoch: int) -> list[tuple[float, Any]]:  # noqa: ANN401  see above
    """Log an epoch; return how long each call took, and what there is to wait for."""
    from mlflow.entities import Metric  # noqa: PLC0415  see above

    metrics = [Metric(f"metric {n}", n + 1.0 / (epoch + 1), epoch, epoch) for n in range(METRICS)]
    if way in {SERVER, SINGLE}:
        return [
            _timed(lambda m=m: client.log_metric(run_id, m.key, m.value, m.timestamp, m.step))
            for m in metrics
        ]
    later = way in {BACKGROUND, GATHERED}
    return [_timed(lambda: client.log_batch(run_id, metrics=metrics, synchronous=not later))]


def _timed(call: Any) -> tuple[float, Any]:  # noqa: ANN401  anything that can be called
    begun = perf_counter()
    operation = call()
    return perf_counter() - begun, operation


def measure() -> Result:
    """Let all ways take turns."""
    with _stack() as addresses:
        uri = addresses[CHOSEN]
        found = _all(addresses)
        with psycopg.connect(plain(uri)) as connection:
            counted = "SELECT run_uuid, count(*) FROM metrics GROUP BY 1"
            rows = {str(run): int(count) for run, count in connection.execute(counted)}
    parts = {way: _row([each for each in found if each.way == way], rows) for way in WAYS}
    ours, peer = parts[CHOSEN], parts[SERVER]
    return Result(
        value=ours["p95_ms"],
        holds=ours["p95_ms"] <= MOST_MS and not ours["errors"] and not ours["missing"],
        n=ours["calls"],
        parts={
            "experiments_at_once": WRITERS,
            "metrics_per_write": METRICS,
            "chosen": WAYS[CHOSEN],
            "ways": {WAYS[way]: row for way, row in parts.items()},
        },
        peer=WAYS[SERVER],
        ratio=round(ours["p95_ms"] / peer["p95_ms"], 4),
    )


def _row(of_way: list[Written], rows: dict[str, int]) -> dict[str, Any]:
    calls = sorted(1_000.0 * seconds for each in of_way for seconds in each.call_s)
    expected = (EPOCHS[of_way[0].way] + 1) * METRICS
    errors = [error for each in of_way for error in each.errors]
    return {
        "calls": len(calls),
        "p50_ms": round(quantile(calls, 0.5), 3),
        "p95_ms": round(quantile(calls, 0.95), 3),
        "p99_ms": round(quantile(calls, 0.99), 3),
        "worst_ms": round(calls[-1], 3),
        "epoch_p50_ms": round(quantile(_by_epoch(of_way), 0.5), 3),
        "epoch_p95_ms": round(quantile(_by_epoch(of_way), 0.95), 3),
        "worst_rest_s": round(max(each.rest_s for each in of_way), 3),
        "errors": len(errors),
        "first_error": errors[0] if errors else "",
        "missing": sum(expected - rows.get(each.run_id, 0) for each in of_way),
    }


def _by_epoch(of_way: list[Written]) -> list[float]:
    """Give how long an epoch's calls held the trainer together, in ms, sorted."""
    step = METRICS if of_way[0].way in {SERVER, SINGLE} else 1
    return sorted(
        1_000.0 * sum(each.call_s[at : at + step])
        for each in of_way
        for at in range(0, len(each.call_s), step)
    )


def _all(addresses: dict[str, str]) -> list[Written]:
    """Run the writers to their end."""
    # Forked from one process that has MLflow: 24 imports on two cores would take minutes.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow", "mlflow.store.db.utils", __name__])
    gate, found = context.Barrier(WRITERS), context.Queue()
    writers = [
        context.Process(target=write, args=(addresses, number, gate, found), daemon=True)
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    try:
        written = [_sound(found.get(timeout=_WAIT_S)) for _ in range(WRITERS * len(addresses))]
        for writer in writers:
            writer.join(_WAIT_S)
    finally:
        for writer in writers:
            writer.kill()
    return written


def _sound(said: Written | str) -> Written:
    if isinstance(said, str):
        raise RuntimeError(said)  # noqa: TRY004  the writer's own error
    return said


@contextlib.contextmanager
def _stack() -> Iterator[dict[str, str]]:
    """Give a PostgreSQL of its own with MLflow's server on it; the address of each way."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / _NAME
        children = Children(home / "logs", {"TRADEWIND_HOME": folder})
        try:
            postgres = database(home, children)
            if postgres is None:
                raise RuntimeError("no PostgreSQL: `make setup` installs the embedded one")
            uri = database_uri(postgres)
            # The first client makes the tables; a second one at the same time would not help.
            client_of(uri).search_experiments(max_results=1)
            port = free_port("127.0.0.1")
            children.start("mlflow", "mlflow", f"--name={home.name}", f"--port={port}")
            address = f"http://127.0.0.1:{port}"
            if not wait_for(lambda: _answers(address), timeout_s=_START_S):
                raise RuntimeError(children.log_of("mlflow").read_text()[-2_000:])
            yield {way: address if way == SERVER else uri for way in WAYS}
        finally:
            children.stop()


def _answers(address: str) -> bool:
    from urllib.request import urlopen  # noqa: PLC0415  asked a few times

    try:
        with urlopen(f"{address}/health", timeout=2.0) as answer:  # noqa: S310  our own address
            return bool(answer.status == 200)
    except OSError:
        return False


MLFLOW_WRITERS = Measurement(
    "mlflow-writers",
    "ms, P95 for which a write holds a trainer, 24 at once",
    "<= 10 ms with 24 concurrent experiments, no error and nothing missing",
    4,
    measure,
)
