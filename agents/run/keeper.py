"""``python -m agents.run.keeper HOME``: starts what ended by itself again, and bounds the logs.

Restart is the only recovery of a role, so somebody must do it on a machine without systemd. The
keeper looks at what `tradewind up` wrote down: a role that is there and whose process is gone has
ended by itself. It is started with its own arguments, hence under its own name, in the environment
of the last `up`. The roles are no children of the keeper: they do not notice if it ends.
"""

import asyncio
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import msgspec

from agents.log_lines import log_lines
from agents.run.daily import Daily
from agents.run.kept_role import KeptRole
from streams.brokers.embedded import open_embedded
from streams.brokers.given import GivenBroker, given_servers
from streams.brokers.locks import FileLock
from streams.brokers.state import read_state
from streams.clock import monotonic_s
from streams.errors import StreamError
from streams.kafka_access import access_of
from streams.settings import Settings
from tables.stores.servers.postgres import server_of

log = logging.getLogger("tradewind.keeper")

NAME = "keeper"
BROKER = "broker"
POSTGRES = "postgres"
# They wait for nobody: what ends them is their own.
_STORES = frozenset({POSTGRES, "redis"})

# Pauses before the restarts of a role that does not last: about four minutes, then a person looks.
# What ends while the broker or the database is away is no fault of the role, and is not counted.
PAUSES_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0)
# Who has run for so long is well again.
STEADY_S = 60.0
LOG_BYTES = 10 << 20

_POLL_S = 0.5


@dataclass(slots=True)
class _Trouble:
    """Restarts of a part that did not last yet, and when the next may be, or the part is well.

    ``tries`` are those after an end of its own fault, ``waits`` those after one without a store.
    """

    tries: int = 0
    waits: int = 0
    due_s: float | None = None
    well_s: float = 0.0


@dataclass
class Keeper:
    """The keeper of the stack in ``home``.

    Parameters
    ----------
    home
        The stack's folder.
    now_s
        The clock of pauses.
    """

    home: Path
    now_s: Callable[[], float] = monotonic_s
    _troubles: dict[str, _Trouble] = field(default_factory=dict)
    _daily: Daily = field(init=False)

    def __post_init__(self) -> None:
        """Mind what is done once a day, too."""
        self._daily = Daily(self.home)

    def look(self) -> None:
        """Look at every part once."""
        if self._broker_is_gone():
            # It is the one that all wait for: no number of tries is too many.
            self._restart(BROKER, self._start_broker, lambda: False, lambda: None)
        for file in sorted((self.home / "parts").glob("*.json")):
            role = KeptRole(self.home, file.stem)
            bound(role.log)
            if role.name != NAME:
                self._mind(role)
        self._daily.look()

    def _mind(self, role: KeptRole) -> None:
        known = role.started()
        if known is None or known.gave_up or role.process() is not None:
            return
        self._restart(
            role.name,
            lambda: role.launch(known.arguments, restarts=known.restarts + 1),
            lambda: role.name in _STORES or self._stores_answer(),
            lambda: role.keep(msgspec.structs.replace(known, gave_up=True)),
        )

    def _restart(
        self,
        name: str,
        start: Callable[[], None],
        is_fault: Callable[[], bool],
        give_up: Callable[[], None],
    ) -> None:
        """Start a part that is gone when its pause is over; after the last one give it up."""
        now_s = self.now_s()
        trouble = self._troubles.setdefault(name, _Trouble())
        if trouble.due_s is None:
            if now_s > trouble.well_s:
                trouble.tries = trouble.waits = 0
            is_own = is_fault()
            if is_own and trouble.tries >= len(PAUSES_S):
                give_up()
                log.critical(
                    "%s ended by itself %d times, none lasted %g s: it is not started again. Read "
                    "the end of its log, then `tradewind up`",
                    name,
                    trouble.tries + 1,
                    STEADY_S,
                )
                trouble.due_s = float("inf")
                return
            pause_s = PAUSES_S[min(trouble.tries + trouble.waits, len(PAUSES_S) - 1)]
            log.warning("%s ended by itself and is started again in %g s", name, pause_s)
            trouble.tries, trouble.waits = trouble.tries + is_own, trouble.waits + (not is_own)
            trouble.due_s = now_s + pause_s
        if now_s >= trouble.due_s:
            trouble.due_s = None
            try:
                start()
            except (StreamError, OSError):
                log.exception("%s could not be started", name)
            trouble.well_s = self.now_s() + STEADY_S

    def _broker_is_gone(self) -> bool:
        state = read_state(self.home)
        if state is None or not state.detached or state.stopped or state.process.alive():
            return False
        return given_servers() is None

    def _broker_answers(self) -> bool:
        servers = given_servers()
        if servers is not None:
            return GivenBroker(servers, access=access_of(Settings.read())).alive()
        return not self._broker_is_gone()

    def _stores_answer(self) -> bool:
        """Tell whether a role has what it needs to last."""
        if not self._broker_answers():
            return False
        database = server_of(self.home)
        is_used = database.provider == "given" or KeptRole(self.home, POSTGRES).started()
        return not is_used or asyncio.run(database.answers())

    def _start_broker(self) -> None:
        open_embedded(self.home, port=None, detach=True)


def bound(path: Path, limit_bytes: int = LOG_BYTES) -> None:
    """Move a log that has grown too long to ``NAME.log.1``, where the one before it was.

    The file stays the same, because its writer has it open for appending. A line that is written
    in the microseconds between the end of the copy and the cut is lost.
    """
    try:
        if path.stat().st_size <= limit_bytes:
            return
    except FileNotFoundError:
        return
    draft = path.with_name(f"{path.name}.partial")
    with path.open("rb") as source, draft.open("wb") as target:
        shutil.copyfileobj(source, target)
        os.truncate(path, 0)
    draft.replace(path.with_name(f"{path.name}.1"))


def main(home: Path) -> int:
    """Keep the stack until told to stop; return 1 if somebody else keeps it."""
    log_lines(Settings.read())
    lock = FileLock.try_take(home / "keeper.lock")
    if lock is None:
        log.error("a keeper of %s is running; two would start each role twice", home)
        return 1
    ended = Event()
    # A round is finished before the end: what was started is written down.
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    keeper = Keeper(home)
    with lock:
        while not ended.wait(_POLL_S):
            keeper.look()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
