"""What a client of aiokafka is given, by how the broker is spoken to."""

import ssl

from streams.access import PLAIN, Access


def test_options_when_plain_then_are_none_at_all() -> None:
    """What was so before stays so."""
    assert PLAIN.options() == {}


def test_options_when_there_is_a_login_then_have_it_and_nothing_shows_it() -> None:
    """A password in a log line would be a leak."""
    tls = ssl.create_default_context()
    access = Access("SASL_SSL", tls, "PLAIN", "me", "s3cret")
    assert access.options() == {
        "security_protocol": "SASL_SSL",
        "ssl_context": tls,
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "me",
        "sasl_plain_password": "s3cret",
    }
    assert "s3cret" not in repr(access)
    assert Access("SSL", tls).options() == {"security_protocol": "SSL", "ssl_context": tls}
