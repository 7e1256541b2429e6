"""A broker that someone else runs."""

import pytest

from streams.brokers import given
from streams.brokers.given import GivenBroker, given_servers, open_given
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
