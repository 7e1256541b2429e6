"""What all tests share: how hypothesis searches, one broker for a whole run, and real data."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from agents.run.checkpoint import make
from agents.run.stores import database
from agents.run.workers import Children
from streams.brokers import open_broker
from tables.stores.servers.postgres import PostgresServer
from tests.runs import Outcome, Trial, fit, people, trial

# The same examples on every machine; ``HYPOTHESIS_PROFILE=nightly`` looks further and at random.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50, database=None)
settings.register_profile("nightly", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# A program of MLflow's server, which says how it wants it with warnings.
collect_ignore = ["evidence/mlflow_model.py"]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of one broker for the whole run; tests keep apart by topic names.

    Where it cannot start, the tests that ask for it fail with the error that says what to do.
    """
    opened = open_broker(tmp_path_factory.mktemp("broker"))
    yield opened.bootstrap_servers
    opened.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Yield one PostgreSQL for the whole run; tests keep apart by names of runs and databases."""
    home = tmp_path_factory.mktemp("postgres") / "stack"
    children = Children(home.parent / "logs", {"TRADEWIND_HOME": str(home.parent)})
    server = database(home, children)
    if server is None:
        pytest.fail("no PostgreSQL: `make setup` installs the embedded one")
    yield server
    children.stop()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that all runs of the whole chain share, as those of a stack do."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def fitted(home: Path) -> str:
    """Return the digest of models fitted once on a small synthetic market."""
    return fit(home)


@pytest.fixture(scope="session")
def undisturbed(broker: str, home: Path, fitted: str) -> Outcome:
    """Return what one worker says about the tape when nothing happens to it."""

    async def run() -> Outcome:
        async with trial(broker, home, fitted, "undisturbed") as alone:
            alone.start()
            await alone.feed()
            assert alone.findings()["main"].holds()
            return await alone.outcome()

    return asyncio.run(run())


@pytest.fixture(scope="session")
def spoken(broker: str, home: Path, fitted: str) -> str:
    """Return the name of a run to whose book people spoke: orders, limits, a halt for a while.

    A checkpoint was taken of it before they did.
    """

    async def keep(spoken_to: Trial) -> None:
        await asyncio.to_thread(make, home, broker, spoken_to.run.name)

    async def run() -> None:
        async with trial(broker, home, fitted, "spoken") as spoken_to:
            spoken_to.start()
            moments = {262: keep, 265: people("reduce"), 280: people("resume")}
            await spoken_to.feed(moments)

    asyncio.run(run())
    return "spoken"


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder with real market data; without one, the tests that need it are skipped."""
    folder = os.environ.get("TRADEWIND_DATA")
    if not folder:
        pytest.skip("TRADEWIND_DATA is not set: no real market data")
    return Path(folder)
