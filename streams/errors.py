"""Errors of the wire and of the broker: one base; each class names who can act and how."""


class StreamError(Exception):
    """Base of every error of this room."""


class RecordError(StreamError):
    """A record that cannot be used; it goes to the dead letters and processing goes on.

    Parameters
    ----------
    reason
        Code for counting, such as ``NOT_JSON``.
    detail
        What was found and what was expected, for the person who produced the record.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class SliceConflict(StreamError):  # noqa: N818  says what is the case
    """The same slice key arrived with other bytes: two writers, or a fold that is not a function.

    Operator action: stop the second writer of that topic; replay the run into fresh topics.
    """


class SettingsError(StreamError):
    """A setting is unknown, contradicts another, or names something that does not exist."""


class TopicError(StreamError):
    """A topic exists with another partition count or policy than the catalogue declares."""
