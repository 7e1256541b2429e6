"""The broker is away: a state with a name. What waits, waits without limit; a refusal ends it all.

Trouble that passes by itself (no leader, no connection, no room in a buffer that cannot drain) is
not the fault of a record. Asking again is safe where the record was not handed over yet, or where
its topic's readers know it by a stamp.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from aiokafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError
from faust.exceptions import ProducerSendError
from tenacity import AsyncRetrying, retry_if_exception, wait_random_exponential

from streams import metrics

# A broker that answers takes milliseconds.
NOTICED_S = 1.0
_LONGEST_WAIT_S = 1.0

log = logging.getLogger("tradewind.broker")

Answer = TypeVar("Answer")


def is_away(error: BaseException) -> bool:
    """Tell trouble of the broker from a refusal of the record.

    Examples
    --------
    >>> from aiokafka.errors import LeaderNotAvailableError, RecordTooLargeError
    >>> is_away(LeaderNotAvailableError()), is_away(RecordTooLargeError())
    (True, False)
    """
    if isinstance(error, ProducerSendError) and error.__cause__ is not None:
        error = error.__cause__  # Faust's word for whatever aiokafka said
    # A topic that is not there is not away: it was never declared, or somebody deleted it.
    if not isinstance(error, KafkaError) or isinstance(error, UnknownTopicOrPartitionError):
        return False
    return bool(error.retriable) or isinstance(error, KafkaTimeoutError)


async def until_back(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until the broker answers; what it refuses is raised at once."""
    with noticed():
        try:
            # Nearly always it answers; to be ready for the rest took longer than the sending.
            return await ask()
        except Exception as error:
            if not is_away(error):
                raise
        retrying = AsyncRetrying(
            retry=retry_if_exception(is_away),
            wait=wait_random_exponential(multiplier=0.05, max=_LONGEST_WAIT_S),
            reraise=True,
        )
        answer: Answer = await retrying(ask)
    return answer


# The waits of this process that were noticed and have not ended. A set, and not a number that goes
# up and down: a loop that stands still may end a wait before its notice is due, or never give it.
_noticed: set[object] = set()


def n_waiting() -> int:
    """Return how many waits for the broker have lasted longer than a moment."""
    return len(_noticed)


@contextmanager
def noticed() -> Iterator[None]:
    """Say so if what is inside waits for the broker longer than a moment, and when it is back."""
    loop = asyncio.get_running_loop()
    since_s, wait = loop.time(), object()
    notice = loop.call_later(NOTICED_S, _say_away, wait)
    try:
        yield
    finally:
        notice.cancel()
        if wait in _noticed:
            _noticed.remove(wait)
            metrics.BROKER_AWAY.set(len(_noticed))
            log.warning("the broker is back after %.1f s", loop.time() - since_s)


def _say_away(wait: object) -> None:
    _noticed.add(wait)
    metrics.BROKER_AWAY.set(len(_noticed))
    log.warning("the broker is away: this worker waits for it without limit, and loses nothing")
