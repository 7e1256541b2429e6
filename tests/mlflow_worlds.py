"""Stores of MLflow as its own client writes them, with all that one may hold."""

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tables.stores.servers.mlflow import database_uri
from tables.stores.servers.postgres import PostgresServer

LONG_PAST_MS = 1_500_000_000_000
SENTENCE = "größter Gewinn — 利益 🚀 'quoted' \"twice\" \\ back\tslash\nline"


def client_of(path: Path) -> Any:  # noqa: ANN401  MLflow is imported by whoever needs it
    """Return MLflow's client of a SQLite file."""
    import mlflow  # noqa: PLC0415  three seconds that only these tests need

    return mlflow.MlflowClient(f"sqlite:///{path}")


def fill(client: Any, folder: Path, n_runs: int, n_steps: int) -> dict[str, Any]:  # noqa: ANN401  see above
    """Write experiments, runs, models and traces; return what a person would look for.

    Every run has ``n_steps`` points of three metrics, besides those that no number can be of.
    """
    experiment = client.create_experiment(f"Прогноз {SENTENCE[:15]}", str(folder / "artifacts"))
    client.set_experiment_tag(experiment, "note", SENTENCE)
    other = client.create_experiment("given up")
    runs = [_run(client, experiment, number, n_steps) for number in range(n_runs)]
    client.delete_run(runs[-1])
    client.delete_experiment(other)
    _data_of(client, runs[0])
    _models(client, runs)
    _traced(client, experiment)
    return {"experiment": experiment, "runs": runs, "deleted": runs[-1]}


def _run(client: Any, experiment: str, number: int, n_steps: int) -> str:  # noqa: ANN401  see above
    from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415  see above

    run = client.create_run(
        experiment, start_time=LONG_PAST_MS + number, run_name=f"run {number} 利益"
    )
    run_id = str(run.info.run_id)
    at = LONG_PAST_MS + 1_000 * number
    odd = (math.nan, math.inf, -math.inf, 0.1 + 0.2, 5e-324, -0.0, 2.0**60, 1.0)
    points = [Metric("odd", value, at, step) for step, value in enumerate(odd)]
    points += [
        Metric(name, math.sin(step + shift) * (number + 1), at + step, step)
        for shift, name in enumerate(("loss", "валидация", "a/b c"))
        for step in range(n_steps)
    ]
    params = [Param("text", SENTENCE), Param("empty", ""), Param("long", "x" * 6_000)]
    tags = [RunTag("note", SENTENCE), RunTag("number", str(number))]
    client.log_batch(run_id, params=params, tags=tags)
    for start in range(0, len(points), 1_000):
        client.log_batch(run_id, metrics=points[start : start + 1_000])
    client.set_terminated(run_id, "FAILED" if number % 3 == 1 else "FINISHED", at + 500)
    return run_id


def _data_of(client: Any, run: str) -> None:  # noqa: ANN401  see above
    from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415  see above

    data = Dataset("bars", "d" * 8, "local", "/data/bars.csv", schema='{"a": 1}', profile="{}")
    client.log_inputs(
        run, datasets=[DatasetInput(data, [InputTag("mlflow.data.context", "train")])]
    )


def _models(client: Any, runs: list[str]) -> None:  # noqa: ANN401  see above
    name = "model 利益"
    client.create_registered_model(name, tags={"kind": SENTENCE}, description=SENTENCE)
    for run in runs[:3]:
        client.create_model_version(
            name, f"runs:/{run}/model", run_id=run, tags={"digest": run}, description="made"
        )
    client.set_registered_model_alias(name, "champion", "2")
    client.set_registered_model_alias(name, "challenger", "3")
    client.delete_model_version(name, "1")


def _traced(client: Any, experiment: str) -> None:  # noqa: ANN401  see above
    import mlflow  # noqa: PLC0415  see above

    # Whatever the client, traces go to where the process tracks.
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(client.tracking_uri)
    try:
        span = client.start_trace("decide", inputs={"x": SENTENCE}, experiment_id=experiment)
        client.end_trace(span.trace_id, outputs={"y": [1, 2.5, None]})
        mlflow.flush_trace_async_logging()
    finally:
        mlflow.set_tracking_uri(before)


def databases(postgres: PostgresServer, name: str) -> Iterator[str]:
    """Yield the address of MLflow in an empty database of its own, and drop it."""

    async def sql(text: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(postgres.url, database=database)
        await connection.execute(text)
        await connection.close()

    asyncio.run(sql(f"CREATE DATABASE {name}"))
    asyncio.run(sql("CREATE SCHEMA mlflow", name))
    address = postgres.url.replace("/postgres?", f"/{name}?")
    yield database_uri(PostgresServer(address, "given", ""))
    asyncio.run(sql(f"DROP DATABASE {name} WITH (FORCE)"))


def unpooled(patched: pytest.MonkeyPatch) -> None:
    """Let MLflow's clients hold no connection while they are not asked."""
    for name in ("POOL_SIZE", "MAX_OVERFLOW"):
        patched.delenv(f"MLFLOW_SQLALCHEMYSTORE_{name}", raising=False)
    patched.setenv("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
