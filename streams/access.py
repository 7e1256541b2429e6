"""How a client speaks to Kafka: in plain text, by TLS, by a login, or by both."""

import ssl
from dataclasses import dataclass, field
from typing import Any

PLAINTEXT = "PLAINTEXT"


@dataclass(frozen=True, slots=True)
class Access:
    """How a client speaks to the broker.

    Parameters
    ----------
    protocol
        As Kafka calls it: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
    tls
        How the broker is checked, and who we are; None without TLS.
    mechanism, user, password
        The login, such as SCRAM-SHA-512; empty without one.
    """

    protocol: str = PLAINTEXT
    tls: ssl.SSLContext | None = None
    mechanism: str = ""
    user: str = ""
    password: str = field(default="", repr=False)

    def options(self) -> dict[str, Any]:
        """Return the options of a client of aiokafka."""
        if self.protocol == PLAINTEXT:
            return {}
        found: dict[str, Any] = {"security_protocol": self.protocol, "ssl_context": self.tls}
        if self.mechanism:
            found |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return found


PLAIN = Access()
