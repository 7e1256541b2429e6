"""TLS of what listens for programs and people: made of two files, and checked before it is needed.

Without ``tls_cert`` everything is plain HTTP on loopback. With it the API and the pages speak TLS
only, and who passes a request on checks whom it talks to.
"""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from streams.clock import wall_ns
from streams.errors import SettingsError
from streams.settings import Settings


class Tls(NamedTuple):
    """How to listen, and how to ask those who listen; both None for plain HTTP."""

    server: ssl.SSLContext | None
    client: ssl.SSLContext | None


PLAIN = Tls(None, None)


def tls_of(settings: Settings) -> Tls:
    """Return how a process listens and asks.

    Raises
    ------
    SettingsError
        If a file is missing, cannot be read, is no certificate or key, does not fit the other or
        is out of date: which, and what to do.
    """
    if not settings.tls_cert:
        for name in ("tls_key", "tls_ca"):
            if getattr(settings, name):
                raise SettingsError(f"{name} is set and tls_cert is not; set both, or neither")
        return PLAIN
    if not settings.tls_key:
        raise SettingsError("tls_cert is set and tls_key is not; expected the file of its key")
    cert = _file("tls_cert", settings.tls_cert)
    key = _file("tls_key", settings.tls_key)
    _check_times(cert)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        server.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        raise SettingsError(
            f"tls_cert {cert} and tls_key {key} cannot be used together: {error.reason or error}; "
            "expected PEM files, the key being that of the first certificate"
        ) from error
    return Tls(server, _client(cert, settings.tls_ca))


def _client(cert: Path, authorities: str) -> ssl.SSLContext:
    """Return how to check a server: by the machine's authorities, and by ours."""
    client = ssl.create_default_context()
    ours = _file("tls_ca", authorities) if authorities else cert
    try:
        client.load_verify_locations(ours)
    except ssl.SSLError as error:
        raise SettingsError(f"tls_ca {ours} holds no certificate in PEM: {error}") from error
    return client


def _file(name: str, given: str) -> Path:
    path = Path(given)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        text = f"{name} was {given!r}, which cannot be read: {error.strerror}; expected a PEM file"
        raise SettingsError(text) from error


def _check_times(path: Path) -> None:
    try:
        cert = x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise SettingsError(f"tls_cert {path} is no certificate in PEM: {error}") from error
    now = datetime.fromtimestamp(wall_ns() / 1e9, UTC)
    begin, end = cert.not_valid_before_utc, cert.not_valid_after_utc
    if not begin <= now <= end:
        raise SettingsError(
            f"tls_cert {path} is good from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, and "
            f"it is {now:%Y-%m-%d %H:%M}; renew it"
        )


def _no_password() -> str:
    # OpenSSL would ask at the terminal, where nobody sits.
    raise SettingsError("tls_key is encrypted; expected a key without a password, mode 0600")
