"""MLflow's own scoring server with the ensemble that the worker serves, as a peer of predict."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from agents.run.workers import Children, free_port

# What the model finds itself by.
ARTIFACTS, DIGEST = "SCORED_ARTIFACTS", "SCORED_MODELS"

_READY_S = 120.0
_POLL_S = 0.2


def serve(port: int) -> None:
    """Save the model as code, load it as MLflow does, and serve it until ended."""
    import mlflow  # noqa: PLC0415  two seconds
    import uvicorn  # noqa: PLC0415  with it
    from mlflow.pyfunc import scoring_server  # noqa: PLC0415  with it

    with tempfile.TemporaryDirectory() as folder:
        code = Path(__file__).with_name("mlflow_model.py")
        saved = Path(folder) / "model"
        mlflow.pyfunc.save_model(str(saved), python_model=str(code), pip_requirements=[])
        app = scoring_server.init(mlflow.pyfunc.load_model(str(saved)))
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


@asynccontextmanager
async def scoring(home: Path, digest: str) -> AsyncIterator[str]:
    """Have the server beside a measurement; yield the address of its predictions."""
    environment = {ARTIFACTS: str(home / "artifacts"), DIGEST: digest}
    children = Children(home / "logs", environment)
    port = free_port("127.0.0.1")
    children.start_program("scoring", sys.executable, "-m", __name__, str(port))
    try:
        async with asyncio.timeout(_READY_S), aiohttp.ClientSession() as session:
            while not await _answers(session, f"http://127.0.0.1:{port}/ping"):
                children.check()
                await asyncio.sleep(_POLL_S)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        await asyncio.to_thread(children.stop)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


if __name__ == "__main__":
    serve(int(sys.argv[1]))
