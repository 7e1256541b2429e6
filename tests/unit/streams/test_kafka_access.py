"""Settings of Kafka's login and TLS: what fits is used, what would be left unused is refused."""

from pathlib import Path
from typing import Any

import faust
import pytest

from agents.topology import credentials
from streams.access import PLAIN, Access
from streams.brokers import open_broker
from streams.errors import SettingsError
from streams.kafka_access import access_of, kafka
from streams.settings import Settings
from tests.unit.streams.test_tls import written

LOGIN = {"kafka_protocol": "SASL_PLAINTEXT", "kafka_user": "me"}


def access(environment: dict[str, str] | None = None, **settings: Any) -> Access:  # noqa: ANN401  any setting
    """Return how these settings reach the broker."""
    return access_of(Settings(**settings), environment or {})


def test_access_when_nothing_is_set_then_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is the embedded broker on loopback."""
    monkeypatch.delenv("KAFKA_PASSWORD", raising=False)
    assert access() == PLAIN
    assert kafka("b:9092") == {"bootstrap_servers": "b:9092"}


def test_access_when_there_is_a_login_then_every_kind_of_client_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The password is from the environment, by itself or out of a file."""
    monkeypatch.setenv("KAFKA_PASSWORD", "s3cret")
    for name, value in LOGIN.items():
        monkeypatch.setenv(f"TRADEWIND_{name.upper()}", value)
    assert kafka("b:9092") == {
        "bootstrap_servers": "b:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "ssl_context": None,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "me",
        "sasl_plain_password": "s3cret",
    }
    of_faust = credentials(access({"KAFKA_PASSWORD": "s3cret"}, **LOGIN))
    assert isinstance(of_faust, faust.SASLCredentials)
    assert (of_faust.username, of_faust.password) == ("me", "s3cret")
    assert of_faust.protocol.value == "SASL_PLAINTEXT"


def test_access_when_there_are_certificates_then_the_broker_is_checked_by_them(
    tmp_path: Path,
) -> None:
    """Ours is shown to a broker that asks for it; the machine's authorities stay trusted."""
    files = written(tmp_path, "broker")
    found = access(
        kafka_protocol="SSL",
        kafka_ca=files["tls_cert"],
        kafka_cert=files["tls_cert"],
        kafka_key=files["tls_key"],
    )
    assert found.tls is not None
    assert found.tls.check_hostname
    names = [dict(part[0] for part in one["subject"]) for one in found.tls.get_ca_certs()]
    assert {"commonName": "broker"} in names
    assert isinstance(credentials(found), faust.SSLCredentials)
    assert credentials(PLAIN) is None


@pytest.mark.parametrize(
    ("settings", "password", "said"),
    [
        ({"kafka_user": "me"}, "", "kafka_user is set and kafka_protocol is PLAINTEXT"),
        ({"kafka_protocol": "SSL"}, "s3cret", "KAFKA_PASSWORD is set and kafka_protocol is SSL"),
        (LOGIN, "", "KAFKA_PASSWORD is not set"),
        ({"kafka_protocol": "SASL_SSL"}, "s3cret", "kafka_user is not set"),
        (LOGIN | {"kafka_ca": "a.pem"}, "s3cret", "kafka_ca is set .* which has no TLS"),
        ({"kafka_protocol": "SSL", "kafka_ca": "no.pem"}, "", "kafka_ca was 'no.pem'"),
    ],
)
def test_access_when_settings_do_not_fit_then_says_which_and_shows_no_password(
    settings: dict[str, str], password: str, said: str
) -> None:
    """A login that would silently not be used is none."""
    with pytest.raises(SettingsError, match=said) as caught:
        access({"KAFKA_PASSWORD": password}, **settings)
    assert "s3cret" not in str(caught.value)


def test_access_when_files_are_wrong_then_says_which(tmp_path: Path) -> None:
    """A key without its certificate, one of another, and one that nobody can open."""
    one, other = written(tmp_path, "one"), written(tmp_path, "other")
    with pytest.raises(SettingsError, match="expected both, or neither"):
        access(kafka_protocol="SSL", kafka_cert=one["tls_cert"])
    with pytest.raises(SettingsError, match=r"kafka_cert .*one.pem.* cannot be used"):
        access(kafka_protocol="SSL", kafka_cert=one["tls_cert"], kafka_key=other["tls_key"])
    locked = written(tmp_path, "locked", password=b"p")
    with pytest.raises(SettingsError, match="kafka_key is encrypted"):
        access(kafka_protocol="SSL", kafka_cert=locked["tls_cert"], kafka_key=locked["tls_key"])


def test_open_broker_when_settings_want_more_than_the_embedded_one_then_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who wants TLS does not get plain text without a word."""
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("TRADEWIND_KAFKA_PROTOCOL", "SSL")
    with pytest.raises(SettingsError, match="KAFKA_BOOTSTRAP_SERVERS is not set"):
        open_broker(tmp_path)
