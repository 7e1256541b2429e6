"""A broker that is away is waited for; what it refuses is an error at once."""

import asyncio
import logging
import time

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from faust.exceptions import ProducerSendError

from streams import away, metrics
from streams.away import is_away, n_waiting, noticed, until_back


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LeaderNotAvailableError(), True),
        (KafkaConnectionError(), True),
        (KafkaTimeoutError(), True),
        (NotEnoughReplicasError(), True),
        (MessageSizeTooLargeError(), False),
        (TopicAuthorizationFailedError(), False),
        (ProducerFenced(), False),
        (OutOfOrderSequenceNumber(), False),
        (UnknownTopicOrPartitionError(), False),
        (ValueError(), False),
    ],
)
def test_error_when_it_passes_by_itself_then_is_trouble_and_no_refusal(
    error: Exception, *, expected: bool
) -> None:
    """Waiting mends an absence; it does not make a record smaller or a topic exist."""
    assert is_away(error) is expected


async def test_until_back_when_the_broker_is_away_then_asks_until_it_answers() -> None:
    """Three absences, then the answer, asked for no more often than needed."""
    said = [LeaderNotAvailableError(), KafkaConnectionError(), KafkaTimeoutError()]

    async def ask() -> str:
        if said:
            raise said.pop()
        return "offset 7"

    assert await until_back(ask) == "offset 7"
    assert said == []


async def test_until_back_when_refused_then_raises_what_the_broker_said() -> None:
    """The first refusal ends it, also behind an absence."""
    said: list[Exception] = [MessageSizeTooLargeError(), LeaderNotAvailableError()]

    async def ask() -> None:
        raise said.pop()

    with pytest.raises(MessageSizeTooLargeError):
        await until_back(ask)
    assert said == []


async def test_noticed_when_it_takes_long_then_is_said_and_shown_until_it_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A gauge for the alert and one line at each end; a quick answer says nothing."""
    monkeypatch.setattr(away, "NOTICED_S", 0.05)
    caplog.set_level(logging.WARNING)
    before = metrics.BROKER_AWAY._value.get()
    with noticed():
        await asyncio.sleep(0)
    assert caplog.messages == []
    with noticed():
        await asyncio.sleep(0.08)
        assert metrics.BROKER_AWAY._value.get() == before + 1
    assert metrics.BROKER_AWAY._value.get() == before
    first, second = caplog.messages
    assert "away" in first
    assert "back after" in second


async def test_noticed_when_the_loop_stands_still_then_nobody_is_away_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The acknowledgement came in time; the loop came to it late, and before the notice was due."""
    monkeypatch.setattr(away, "NOTICED_S", 0.05)
    loop = asyncio.get_running_loop()
    acknowledged = loop.create_future()

    async def send() -> None:
        with noticed():
            await acknowledged

    sending = asyncio.create_task(send())
    await asyncio.sleep(0.01)
    loop.call_soon(time.sleep, 0.1)  # another partition's fold
    acknowledged.set_result(None)
    await sending
    await asyncio.sleep(0.1)
    assert (n_waiting(), metrics.BROKER_AWAY._value.get()) == (0, 0)


def test_is_away_when_faust_says_it_in_its_own_word_then_the_cause_counts() -> None:
    """A send through a table's changelog comes wrapped."""
    for cause, expected in ((LeaderNotAvailableError(), True), (MessageSizeTooLargeError(), False)):
        wrapped = ProducerSendError("Error while sending")
        wrapped.__cause__ = cause
        assert is_away(wrapped) is expected
    assert not is_away(ProducerSendError("of nothing"))
