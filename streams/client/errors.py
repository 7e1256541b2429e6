"""Errors of the client, for programs of other people: each says what they can do."""

from streams.errors import StreamError
from streams.questions import Problem, Wrong


class ClientError(StreamError):
    """Base of what the client raises, besides ``RecordError`` for a record that cannot be used."""


class NotDeliveredError(ClientError):
    """The broker did not take some ticks.

    What to do: send them again. Ticks with a ``trade_id`` or ``seq`` that arrived after all are
    found to be duplicates.

    Parameters
    ----------
    n_ticks
        How many were not taken since the last error.
    first
        Why the first was not.
    """

    def __init__(self, n_ticks: int, first: BaseException) -> None:
        super().__init__(
            f"{n_ticks} ticks were not taken by the broker: {first!r}; send them again"
        )
        self.n_ticks = n_ticks
        self.first = first


class ConflictingDecisionError(ClientError):
    """A decision came again with other bytes: two writers are at work.

    What to do: stop trading and look; neither of the two can be trusted.
    """


class DecisionsLostError(ClientError):
    """The topic does not reach back, or not up, to where reading was to go on.

    What to do: read what is missing from SQL (``tradewind.decision_audit``), then start where the
    message says that the topic begins.
    """


class ApiAwayError(ClientError):
    """Nobody answered, again and again, for as long as the client waits.

    What to do: see whether the address is right and the worker runs. What was asked for may have
    happened: ask again with the same key.
    """


class ApiError(ClientError):
    """The API answered with a problem (RFC 9457, 2023).

    Parameters
    ----------
    problem
        What it said: ``status``, ``code`` for programs, ``detail`` for people, ``request_id`` for
        the server's log.
    retry_after_s
        When it may be worth asking again; 0 if the answer did not say.
    location
        Where the answer said that something else is to be found; empty if it did not.
    """

    def __init__(self, problem: Problem, retry_after_s: float = 0.0, location: str = "") -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail}")
        self.problem = problem
        self.retry_after_s = retry_after_s
        self.location = location

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.problem.status

    @property
    def code(self) -> str:
        """What is the case, for programs."""
        return self.problem.code

    @property
    def fields(self) -> list[Wrong]:
        """The fields that are to blame: ``field``, ``value`` and what was ``expected``."""
        return self.problem.errors
