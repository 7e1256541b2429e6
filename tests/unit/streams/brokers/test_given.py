"""A broker that someone else runs."""

import logging

import pytest
from prometheus_client import REGISTRY

from streams.brokers import given
from streams.brokers.given import GivenBroker, await_broker, given_servers, open_given
from streams.errors import BrokerUnreachableError


def test_given_servers_when_the_variable_is_blank_then_there_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An empty variable means the same as none."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "  ")
    assert given_servers() is None


def test_open_given_when_one_of_two_addresses_answers_then_both_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Clients get the whole list; one living address is enough to begin."""
    monkeypatch.setattr(given, "answers", lambda address, **_: address == "b:9092")
    broker = open_given("a:9092,b:9092", timeout_s=0.0)
    assert broker == GivenBroker("a:9092,b:9092", "given", "KAFKA_BOOTSTRAP_SERVERS is set")


def test_open_given_when_nobody_answers_then_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The wait is bounded, and the message names the variable."""
    monkeypatch.setattr(given, "answers", lambda _address, **_: False)
    with pytest.raises(BrokerUnreachableError, match=r"within 0 s .KAFKA_BOOTSTRAP_SERVERS."):
        open_given("a:9092", timeout_s=0.0)


def test_open_given_when_an_address_has_no_port_then_it_is_refused_at_once() -> None:
    """A typing error is not mistaken for a broker that is away."""
    with pytest.raises(BrokerUnreachableError, match="has 'b'; expected host:port"):
        open_given("a:9092,b")


def test_stop_when_the_broker_was_given_then_nothing_happens() -> None:
    """What we did not start we do not stop."""
    GivenBroker("a:9092").stop()


def test_await_broker_when_nobody_answers_for_long_then_waits_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It returns with the first answer; a line a minute says why nothing happens, a gauge too."""
    slept: list[float | None] = []

    def sleep(_s: float) -> None:
        slept.append(REGISTRY.get_sample_value("tradewind_broker_away"))

    monkeypatch.setattr(given.time, "sleep", sleep)
    monkeypatch.setattr(given, "answers", lambda _address, **_: len(slept) == 61)
    before = REGISTRY.get_sample_value("tradewind_broker_away")
    with caplog.at_level(logging.WARNING, "tradewind.broker"):
        await_broker("a:9092")
    assert [line.getMessage() for line in caplog.records] == [
        "Kafka at a:9092 does not answer; waiting for it"
    ] * 2
    assert slept == [(before or 0.0) + 1.0] * 61
    assert REGISTRY.get_sample_value("tradewind_broker_away") == before


def test_await_broker_when_an_address_can_be_none_then_does_not_wait_for_it() -> None:
    """Nobody would ever answer."""
    with pytest.raises(BrokerUnreachableError, match="--bootstrap has 'b'; expected host:port"):
        await_broker("b")
