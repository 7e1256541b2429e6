"""The programs that watch a stack, as Debian has them: started for a test, and ended with it."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.request import urlopen

from agents.run.workers import free_port
from streams.brokers.waiting import wait_for

_HOST = "127.0.0.1"
_END_S = 20


@contextmanager
def monitor(program: str, options: Sequence[str], ready_s: float) -> Iterator[str]:
    """Run Prometheus or Alertmanager and give its address; it is ready within ``ready_s``."""
    address = f"{_HOST}:{free_port(_HOST)}"
    process = subprocess.Popen(
        [program, *options, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL
    )
    url = f"http://{address}"

    def is_ready() -> bool:
        try:
            with urlopen(f"{url}/-/ready", timeout=1) as answer:  # noqa: S310  our own address
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        if not wait_for(is_ready, timeout_s=ready_s, poll_s=0.1):
            raise AssertionError(f"{program} was not ready within {ready_s:g} s")
        yield url
    finally:
        process.terminate()
        process.wait(_END_S)
