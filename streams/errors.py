"""Errors of the wire and of the broker: one base; each class names who can act and how."""

# A message quotes what it was given; a megabyte of garbage must not become a megabyte of log.
LONGEST_DETAIL = 512
_LONGEST_VALUE = 80


class StreamError(Exception):
    """Base of every error of this room."""


class RecordError(StreamError):
    """A record that cannot be used; it goes to the dead letters and processing goes on.

    Parameters
    ----------
    reason
        Code for counting, such as ``NOT_JSON``.
    detail
        What was found and what was expected, for the person who produced the record; cut to
        512 characters.
    """

    def __init__(self, reason: str, detail: str) -> None:
        detail = detail[:LONGEST_DETAIL]
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class FieldError(RecordError):
    """A field of a record has a value that cannot be used; nothing else of it was looked at.

    Parameters
    ----------
    reason
        Code for counting, such as ``BAD_QUANTITY``.
    field, value, expected
        Which field, what it was, and what was expected.
    """

    def __init__(self, reason: str, field: str, value: object, expected: str) -> None:
        super().__init__(reason, f"{field} was {_short(value)}; expected {expected}")
        self.field = field
        self.value = value
        self.expected = expected


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


class SliceConflict(StreamError):  # noqa: N818  says what is the case
    """The same slice key arrived with other bytes: two writers, or a fold that is not a function.

    Operator action: stop the second writer of that topic; replay the run into fresh topics.
    """


class SettingsError(StreamError):
    """A setting is unknown, contradicts another, or names something that does not exist."""


class TopicError(StreamError):
    """A topic exists with another partition count or policy than the catalogue declares."""


class BrokerError(StreamError):
    """The broker cannot be used; every subclass says what its operator can do."""


class ToolMissingError(BrokerError):
    """A program that the embedded broker needs is absent, too old or does not answer.

    Operator action: install what the message names, or set ``KAFKA_BOOTSTRAP_SERVERS``.
    """


class JarRefusedError(BrokerError):
    """A jar of the broker is missing or has another checksum than the committed list.

    Operator action: delete the named file and start again; it is fetched anew and checked.
    """


class BrokerUnreachableError(BrokerError):
    """No Kafka broker answered at the given addresses in time.

    Operator action: start that broker, or unset ``KAFKA_BOOTSTRAP_SERVERS`` for the embedded one.
    """


class BrokerFailedError(BrokerError):
    """The embedded broker ended, or was not ready in time; the message ends with its log.

    Operator action: read the quoted lines; the full log is in the file that the message names.
    """


class BrokerHeldError(BrokerError):
    """Another process holds this home, or runs its broker at another port than asked for.

    Operator action: stop the named process (``tradewind down``), or take another name.
    """


class WorkerFailedError(StreamError):
    """A process of the run ended by itself, or stands still.

    Operator action: read the end of its log in the message; the run can be started again.
    """


class TapeError(StreamError):
    """A file of market data cannot be replayed.

    Operator action: correct the file as the message says; nothing was sent.
    """
