"""What all tests share: one embedded broker for a whole run."""

from collections.abc import Iterator

import pytest

from streams.brokers import open_broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of one broker for the whole run; tests keep apart by topic names.

    Where it cannot start, the tests that ask for it fail with the error that says what to do.
    """
    opened = open_broker(tmp_path_factory.mktemp("broker"))
    yield opened.bootstrap_servers
    opened.stop()
