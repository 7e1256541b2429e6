"""TLS by two files: what fits works from end to end, what does not is said at the start."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from streams.client import Api, ApiAwayError
from streams.clock import wall_ns
from streams.errors import SettingsError
from streams.settings import Settings
from streams.tls import PLAIN, tls_of

NOW = datetime.fromtimestamp(wall_ns() // 10**9, UTC)
DAY = timedelta(days=1)


def written(
    folder: Path, name: str, *, ends: datetime = NOW + DAY, password: bytes | None = None
) -> dict[str, str]:
    """Write a certificate for 127.0.0.1, signed by itself, and its key; give the settings."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    cert = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - 2 * DAY)
        .not_valid_after(ends)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    lock = NoEncryption() if password is None else BestAvailableEncryption(password)
    files = {"tls_cert": folder / f"{name}.pem", "tls_key": folder / f"{name}.key"}
    files["tls_cert"].write_bytes(cert.public_bytes(Encoding.PEM))
    files["tls_key"].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
    return {setting: str(path) for setting, path in files.items()}


def test_tls_when_nothing_is_set_then_is_plain() -> None:
    """The default listens on loopback without it."""
    assert tls_of(Settings()) == PLAIN
    assert Settings().scheme == "http"


def without(name: str) -> Callable[[dict[str, str]], dict[str, str]]:
    """Leave a setting out."""
    return lambda good: {key: value for key, value in good.items() if key != name}


def overwritten(name: str) -> Callable[[dict[str, str]], dict[str, str]]:
    """Make a file one that holds nothing of use."""

    def change(good: dict[str, str]) -> dict[str, str]:
        Path(good[name]).write_text("not a certificate")
        return good

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("tls_key"), "tls_key is not; expected the file of its key"),
        (without("tls_cert"), "tls_key is set and tls_cert is not"),
        (lambda _good: {"tls_ca": "x"}, "tls_ca is set and tls_cert is not"),
        (
            lambda good: good | {"tls_cert": "/none.pem"},
            "'/none.pem', which cannot be read: No such",
        ),
        (lambda good: good | {"tls_key": "/none.key"}, "tls_key was '/none.key'"),
        (lambda good: good | {"tls_ca": "/none.ca"}, "tls_ca was '/none.ca'"),
        (lambda good: good | {"tls_ca": good["tls_key"]}, "holds no certificate"),
        (overwritten("tls_cert"), "is no certificate in PEM"),
        (overwritten("tls_key"), "cannot be used together"),
    ],
)
def test_tls_when_a_file_cannot_be_used_then_says_which(
    tmp_path: Path, change: Callable[[dict[str, str]], dict[str, str]], said: str
) -> None:
    """Before anything listens: the setting, what was found, what was expected."""
    with pytest.raises(SettingsError) as caught:
        tls_of(Settings(**change(written(tmp_path, "good"))))
    assert said in str(caught.value)


def test_tls_when_the_key_is_of_another_then_says_so(tmp_path: Path) -> None:
    """The commonest mistake of a renewal."""
    one, other = written(tmp_path, "one"), written(tmp_path, "other")
    with pytest.raises(SettingsError, match="cannot be used together: KEY_VALUES_MISMATCH"):
        tls_of(Settings(**one | {"tls_key": other["tls_key"]}))


@pytest.mark.parametrize("ends", [NOW - DAY / 2, NOW + 3 * DAY])
def test_tls_when_out_of_date_then_says_from_when_to_when(tmp_path: Path, ends: datetime) -> None:
    """Expired, or not good yet."""
    with pytest.raises(SettingsError, match=f"{ends:%Y-%m-%d %H:%M} UTC.*renew it"):
        tls_of(Settings(**written(tmp_path, "old", ends=ends)))


def test_tls_when_the_key_has_a_password_then_nobody_is_asked(tmp_path: Path) -> None:
    """A process in the background cannot answer."""
    with pytest.raises(SettingsError, match="encrypted"):
        tls_of(Settings(**written(tmp_path, "locked", password=b"secret")))


async def test_tls_when_served_then_only_who_trusts_it_is_answered(tmp_path: Path) -> None:
    """The client of one authority is answered, that of another is not, and plain HTTP neither."""
    settings = Settings(**written(tmp_path, "ours"))
    ours = tls_of(settings)
    theirs = tls_of(Settings(**written(tmp_path, "theirs")))
    assert settings.scheme == "https"
    assert ours.server is not None
    assert ours.server.minimum_version >= ssl.TLSVersion.TLSv1_2

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"decisions": [], "next": None})

    app = web.Application()
    app.router.add_get("/api/v1/decisions", answer)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=ours.server)
    try:
        url = str(server.make_url(""))
        async with Api(url, "t", tls=ours.client) as api:
            assert (await api.decisions()).decisions == []
        for where, tls in ((url, theirs.client), (url, None), (url.replace("s:", ":"), None)):
            async with Api(where, "t", tls=tls, patience_s=0.1) as api:
                with pytest.raises(ApiAwayError):
                    await api.decisions()
    finally:
        await server.close()
