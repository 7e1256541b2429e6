"""What all tests share: how hypothesis searches, one broker for a whole run, and real data."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from streams.brokers import open_broker

# The same examples on every machine; ``HYPOTHESIS_PROFILE=nightly`` looks further and at random.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50, database=None)
settings.register_profile("nightly", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of one broker for the whole run; tests keep apart by topic names.

    Where it cannot start, the tests that ask for it fail with the error that says what to do.
    """
    opened = open_broker(tmp_path_factory.mktemp("broker"))
    yield opened.bootstrap_servers
    opened.stop()


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder with real market data; without one, the tests that need it are skipped."""
    folder = os.environ.get("TRADEWIND_DATA")
    if not folder:
        pytest.skip("TRADEWIND_DATA is not set: no real market data")
    return Path(folder)
