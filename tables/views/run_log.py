"""The reader of a run's log, as far as those who answer from it need it."""

from typing import Protocol

from tables.stores.decision_log import LogRecord, LogStatus


class Log(Protocol):
    """The reader, as far as pages need it."""

    @property
    def status(self) -> LogStatus:
        """How far it is."""

    async def catch_up(self) -> None:
        """See `DecisionLog.catch_up`."""

    async def fetch(self, topic: str, partition: int, offset: int) -> LogRecord:
        """Read one record again, or raise ``LogAway`` or ``RecordGone``."""
