"""How the settings of this process reach Kafka: in plain text, by TLS, by a login, or by both.

The settings say how, `KAFKA_PASSWORD` or a file has the password. Whoever makes a client asks here,
so that none is forgotten; the embedded broker is on loopback and speaks plain text.
"""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streams.access import Access
from streams.errors import SettingsError
from streams.settings import Settings

PASSWORD = "KAFKA_PASSWORD"  # noqa: S105  its name

_OF_TLS = ("kafka_ca", "kafka_cert", "kafka_key")


def kafka(servers: str) -> dict[str, Any]:
    """Return the options with which a client of aiokafka reaches a broker.

    Raises
    ------
    SettingsError
        As :func:`access_of` does.
    """
    return {"bootstrap_servers": servers, **access_of(Settings.read()).options()}


def access_of(settings: Settings, environment: Mapping[str, str] = os.environ) -> Access:
    """Return how to reach the broker.

    Raises
    ------
    SettingsError
        If something is set that would not be used, or missing, or no file of its kind.
    """
    protocol = settings.kafka_protocol
    has_login, has_tls = protocol.startswith("SASL_"), protocol.endswith("SSL")
    password = environment.get(PASSWORD, "")
    if not has_login:
        for name, value in (("kafka_user", settings.kafka_user), (PASSWORD, password)):
            if value:
                raise SettingsError(
                    f"{name} is set and kafka_protocol is {protocol}, which has no login; expected "
                    "SASL_SSL or SASL_PLAINTEXT"
                )
    elif not (settings.kafka_user and password):
        missing = PASSWORD if settings.kafka_user else "kafka_user"
        raise SettingsError(
            f"kafka_protocol is {protocol} and {missing} is not set; expected kafka_user, and "
            f"{PASSWORD} or {PASSWORD}_FILE"
        )
    given = next((name for name in _OF_TLS if getattr(settings, name)), "")
    if given and not has_tls:
        raise SettingsError(
            f"{given} is set and kafka_protocol is {protocol}, which has no TLS; expected SASL_SSL "
            "or SSL"
        )
    return Access(
        protocol,
        _tls(settings) if has_tls else None,
        settings.kafka_mechanism if has_login else "",
        settings.kafka_user,
        password,
    )


def _tls(settings: Settings) -> ssl.SSLContext:
    files = {name: _file(name, getattr(settings, name)) for name in _OF_TLS}
    if bool(files["kafka_cert"]) != bool(files["kafka_key"]):
        raise SettingsError("kafka_cert and kafka_key: expected both, or neither")
    context = ssl.create_default_context()
    try:
        if authorities := files["kafka_ca"]:
            context.load_verify_locations(authorities)
        if cert := files["kafka_cert"]:
            context.load_cert_chain(cert, files["kafka_key"], password=_no_password)
    except ssl.SSLError as error:
        said = ", ".join(f"{name} {path}" for name, path in files.items() if path)
        raise SettingsError(
            f"{said} cannot be used: {error.reason or error}; expected PEM files, the key being "
            "that of the first certificate"
        ) from error
    return context


def _file(name: str, given: str) -> Path | None:
    if not given:
        return None
    try:
        with Path(given).open("rb"):
            return Path(given)
    except OSError as error:
        text = f"{name} was {given!r}, which cannot be read: {error.strerror}; expected a PEM file"
        raise SettingsError(text) from error


def _no_password() -> str:
    # OpenSSL would ask at the terminal, where nobody sits.
    raise SettingsError("kafka_key is encrypted; expected a key without a password, mode 0600")
