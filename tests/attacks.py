"""What somebody without a right may send as a token: forged, stolen from elsewhere, out of date.

Each is made with ``cryptography`` and by hand, not by the library that checks them.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tables.stores.token_keys import TokenKeys
from tables.views.auth import AUDIENCE, issuer_of

DAY = 86_400

_TRAVERSALS = (
    *("../../etc/passwd", "/dev/null", "..%2f..%2fkey", "file:///etc/passwd", "http://x/key"),
    *("' OR 1=1 --", "*", ".", "..", "", "\x00", "key\n", "a" * 300, "${jndi:ldap://x}", "\u202e"),
)
_NO_KEYS = (None, 7, 1.5, True, [], {}, ["kid"], {"kid": "x"})
_ALGORITHMS = (
    *("none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "RS512", "PS256"),
    *("ES256", "ES384", "ES512", "ES256K", "eddsa", "EdDSA ", "Ed25519", "Ed448", "dir", "A128KW"),
)
_TIMES = (0, -1, 10**12, 10**18, "tomorrow", None, [], {}, True, 1e400)


class Attack(NamedTuple):
    """One header that must be refused, and what is wrong with it."""

    name: str
    authorization: str


def b64(data: bytes) -> str:
    """Encode as tokens do (RFC 7515)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def answer_to(host: str, port: int, request: bytes) -> tuple[int, bytes]:
    """Send bytes that no client would send; return the answer's status and body.

    The request has to say ``Connection: close``.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


class Forge:
    """Makes tokens of any kind.

    Parameters
    ----------
    keys
        Of the stack that is attacked; its signing key stands for a stolen or honest one.
    stack
        Its id.
    now_s
        The time of the attack.
    """

    def __init__(self, keys: TokenKeys, stack: str, now_s: int) -> None:
        self.kid, self.key = keys.signing_key()
        self.stack = stack
        self.now_s = now_s

    def claims(self, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
        """Give the claims of a good token, changed; None takes one out."""
        good = {
            "iss": issuer_of(self.stack),
            "aud": AUDIENCE,
            "sub": "mallory",
            "jti": "0" * 32,
            "iat": self.now_s,
            "nbf": self.now_s,
            "exp": self.now_s + DAY,
            "role": "admin",
            "portfolios": ["*"],
        }
        said = good | changes
        return {name: value for name, value in said.items() if value is not ...}

    def sign(
        self,
        claims: object,
        header: dict[str, Any] | None = None,
        key: Ed25519PrivateKey | None = None,
    ) -> str:
        """Sign claims under a header, with the stack's key unless another is given."""
        said = {"alg": "EdDSA", "typ": "JWT", "kid": self.kid} | (header or {})
        said = {name: value for name, value in said.items() if value is not ...}
        body = f"{b64(json.dumps(said).encode())}.{b64(json.dumps(claims).encode())}"
        return f"{body}.{b64((key or self.key).sign(body.encode()))}"

    def with_hmac(self, algorithm: str, secret: bytes) -> str:
        """Sign by HMAC with what everybody knows: the confusion of algorithms."""
        head = {"alg": algorithm, "typ": "JWT", "kid": self.kid}
        body = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(self.claims()).encode())}"
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
        return f"{body}.{b64(hmac.new(secret, body.encode(), digest[algorithm]).digest())}"

    def attacks(self) -> Iterator[Attack]:
        """Yield all of them."""
        for group in (
            self._schemes,
            self._algorithms,
            self._keys,
            self._times,
            self._strangers,
            self._broken,
        ):
            yield from group()

    def _schemes(self) -> Iterator[Attack]:
        good = self.sign(self.claims())
        for scheme in ("", "Basic ", "Digest ", "Bearer", "Bearer:", "Token ", "bearer\t", "JWT "):
            yield Attack(f"scheme {scheme!r}", f"{scheme}{good}")
        yield Attack("nothing", "")
        yield Attack("no token", "Bearer ")
        yield Attack("two tokens", f"Bearer {good}, Bearer {good}")
        yield Attack("much too long", f"Bearer {good}{'A' * 8_192}")

    def _algorithms(self) -> Iterator[Attack]:
        for algorithm in _ALGORITHMS:
            yield Attack(
                f"alg {algorithm!r}", f"Bearer {self.sign(self.claims(), {'alg': algorithm})}"
            )
            unsigned = self.sign(self.claims(), {"alg": algorithm}).rpartition(".")[0]
            yield Attack(f"alg {algorithm!r} unsigned", f"Bearer {unsigned}.")
        public = self.key.public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        for algorithm in ("HS256", "HS384", "HS512"):
            for name, secret in (("pem", pem), ("raw", raw), ("empty", b""), ("kid", b"secret")):
                token = self.with_hmac(algorithm, secret)
                yield Attack(f"confusion {algorithm} by {name}", f"Bearer {token}")
        other = {"crv": "Ed25519", "kty": "OKP", "x": b64(raw)}
        stranger = Ed25519PrivateKey.generate()
        for name, value in (
            ("jwk", other),
            ("jku", "http://x/jwks"),
            ("x5u", "http://x/c"),
            ("x5c", ["A"]),
        ):
            token = self.sign(self.claims(), {name: value}, stranger)
            yield Attack(f"a key of its own by {name}", f"Bearer {token}")
        crit = {"crit": ["exp-at-the-gate"], "exp-at-the-gate": True}
        yield Attack("an unknown critical header", f"Bearer {self.sign(self.claims(), crit)}")

    def _keys(self) -> Iterator[Attack]:
        for kid in (*_TRAVERSALS, *_NO_KEYS):
            yield Attack(f"kid {kid!r}", f"Bearer {self.sign(self.claims(), {'kid': kid})}")
        yield Attack("no kid", f"Bearer {self.sign(self.claims(), {'kid': ...})}")
        stranger = Ed25519PrivateKey.generate()
        yield Attack("another's key", f"Bearer {self.sign(self.claims(), key=stranger)}")
        for name, key in (
            ("rsa", rsa.generate_private_key(65_537, 2_048).public_key()),
            ("ec", ec.generate_private_key(ec.SECP256R1()).public_key()),
        ):
            secret = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            yield Attack(f"HMAC by a {name} key", f"Bearer {self.with_hmac('HS256', secret)}")

    def _times(self) -> Iterator[Attack]:
        past, future = self.now_s - DAY, self.now_s + DAY
        yield Attack("expired", f"Bearer {self.sign(self.claims(exp=past))}")
        yield Attack("just expired", f"Bearer {self.sign(self.claims(exp=self.now_s - 6))}")
        yield Attack("not yet", f"Bearer {self.sign(self.claims(nbf=future))}")
        yield Attack("issued tomorrow", f"Bearer {self.sign(self.claims(iat=future))}")
        for name in ("exp", "nbf", "iat"):
            yield Attack(f"no {name}", f"Bearer {self.sign(self.claims(**{name: ...}))}")
        for value in ("tomorrow", None, [], {}, -1, 0):
            yield Attack(f"exp {value!r}", f"Bearer {self.sign(self.claims(exp=value))}")

    def _strangers(self) -> Iterator[Attack]:
        for name in ("iss", "aud", "sub", "jti", "role", "portfolios"):
            yield Attack(f"no {name}", f"Bearer {self.sign(self.claims(**{name: ...}))}")
        changes: dict[str, tuple[object, ...]] = {
            "iss": (
                issuer_of("other-1"),
                "tradewind",
                "",
                None,
                7,
                [],
                issuer_of(self.stack) + " ",
            ),
            "aud": ("other", "", None, 7, [], ["other"], "tradewind "),
            "sub": (None, 7, [], {}),
            "jti": (None, 7, [], {}),
            "role": ("root", "", "Admin", None, 7, ["admin"], "admin "),
            "portfolios": (None, "*", 7, {}, [7], [None], [["*"]]),
        }
        for name, values in changes.items():
            for value in values:
                yield Attack(
                    f"{name} {value!r}", f"Bearer {self.sign(self.claims(**{name: value}))}"
                )

    def _broken(self) -> Iterator[Attack]:
        good = self.sign(self.claims())
        head, body, signature = good.split(".")
        others = b64(json.dumps(self.claims(role="trader")).encode())
        for name, token in (
            ("no signature", f"{head}.{body}."),
            ("two parts", f"{head}.{body}"),
            ("four parts", f"{good}.x"),
            ("one part", head),
            ("an empty head", f".{body}.{signature}"),
            ("an empty body", f"{head}..{signature}"),
            ("a body of another", f"{head}.{others}.{signature}"),
            ("a signature cut", good[:-8]),
            ("a signature longer", good + "AAAA"),
            ("a signature of zeros", f"{head}.{body}.{b64(bytes(64))}"),
            ("no base64", f"{head}.{body}.!!!!"),
            ("claims that are a list", self.sign([1, 2])),
            ("claims that are a text", self.sign("admin")),
            ("claims that are null", self.sign(None)),
            ("letters outside ASCII", "\xff\xfe"),
            ("raw bytes", "\udcff\udcfe"),
            ("raw bytes in the head", f"\udcff{good}"),
            ("raw bytes in the body", f"{head}.\udcff{body}.{signature}"),
            ("raw bytes in the signature", f"{good}\udcff"),
            ("half a pair as kid", self.sign(self.claims(), {"kid": "\ud800"})),
        ):
            yield Attack(name, f"Bearer {token}")
        for at in range(0, len(signature) - 2, 9):
            turned = "A" if signature[at] != "A" else "B"
            token = f"{head}.{body}.{signature[:at]}{turned}{signature[at + 1 :]}"
            yield Attack(f"one character of the signature at {at}", f"Bearer {token}")
