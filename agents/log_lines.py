"""What a process writes into its log: a line for people, or an object of JSON for a collector.

A line that is about one decision or record names it in ``extra``: ``decision_id``, ``portfolio``,
``stage``, or ``topic``, ``partition`` and ``offset``. As JSON these are fields of their own.
"""

import json
import logging

from streams.settings import Settings
from streams.timestamps import format_ns

_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"

# What every record of logging has; whatever is there beside was named by the line itself.
_OF_LOGGING = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """One object a line, with the time in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON; an exception is one text, so that a line stays a line."""
        said = {
            "time": format_ns(int(record.created * 1e6) * 1_000),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        said |= {k: v for k, v in vars(record).items() if k not in _OF_LOGGING}
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)


def log_lines(settings: Settings, *, others: int = logging.WARNING) -> None:
    """Write what our own loggers say from the level of the settings on, and others from theirs."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if settings.log_form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=others, handlers=[handler])
    logging.getLogger("tradewind").setLevel(settings.log_level)
