"""Who calls: bearer tokens (RFC 6750, 2012), signed by Ed25519 (RFC 8037, 2017), checked in full.

One algorithm, named here and never taken from the token; expiry, audience, issuer, subject and id
are required; the key is found by its id among those that are loaded, never by a path.
"""

import hashlib
from collections import OrderedDict
from typing import NamedTuple

import jwt
import msgspec

from streams.clock import random_id, wall_ns
from streams.errors import SettingsError
from streams.instructions import Role
from tables.stores.token_keys import Issued, TokenKeys
from tables.views.problems import ProblemError

ALGORITHM = "EdDSA"
AUDIENCE = "tradewind"
ALL_PORTFOLIOS = "*"

_REQUIRED = ("exp", "iat", "nbf", "aud", "iss", "sub", "jti")
_LONGEST_TOKEN = 4_096
_LONGEST_DAYS = 366
_DAY_S = 86_400
_LEEWAY_S = 5
# A signature takes 0.1 ms to check; who calls 500 times a second is checked once.
_MOST_CHECKED = 10_000


class Caller(NamedTuple):
    """Who calls: the token's subject and id, role, the portfolios that it may see, and its key.

    Of the processes that ask nobody for a token the callers have no key.
    """

    subject: str
    jti: str
    role: Role
    portfolios: tuple[str, ...]
    expires_s: int
    kid: str = ""

    def may_see(self, portfolio: str) -> bool:
        """Tell whether a portfolio is one of the caller's."""
        return portfolio in self.portfolios or ALL_PORTFOLIOS in self.portfolios


def issuer_of(stack: str) -> str:
    """Return the issuer of a stack's tokens: those of another stack are strangers."""
    return f"tradewind:{stack}"


def issue(
    keys: TokenKeys, stack: str, subject: str, role: Role, portfolios: list[str], days: float
) -> tuple[str, Issued]:
    """Issue a token and keep that it was issued.

    Raises
    ------
    SettingsError
        If it would live longer than a year or not at all.
    """
    if not 0 < days <= _LONGEST_DAYS:
        raise SettingsError(f"--days was {days:g}; expected 0 < days <= {_LONGEST_DAYS}")
    kid, private = keys.signing_key()
    now_s = wall_ns() // 1_000_000_000
    issued = Issued(
        jti=random_id(),
        kid=kid,
        subject=subject,
        role=role,
        portfolios=portfolios,
        issued_s=now_s,
        expires_s=now_s + int(days * _DAY_S),
        by="tradewind token issue",
    )
    claims = {
        "iss": issuer_of(stack),
        "aud": AUDIENCE,
        "sub": subject,
        "jti": issued.jti,
        "iat": now_s,
        "nbf": now_s,
        "exp": issued.expires_s,
        "role": role,
        "portfolios": portfolios,
    }
    token = jwt.encode(claims, private, algorithm=ALGORITHM, headers={"kid": kid})
    keys.note_issued(issued)
    return token, issued


class _Claims(msgspec.Struct):
    """What a token says about its caller."""

    sub: str
    jti: str
    iat: int
    exp: int
    role: Role
    portfolios: list[str]


class Callers:
    """Tells who calls, by the token of a request.

    Parameters
    ----------
    keys
        The stack's keys.
    stack
        Id of the stack whose tokens are accepted.
    """

    def __init__(self, keys: TokenKeys, stack: str) -> None:
        self._keys = keys
        self._issuer = issuer_of(stack)
        self._checked: OrderedDict[bytes, Caller] = OrderedDict()

    def caller(self, authorization: str | None) -> Caller:
        """Return who calls.

        Raises
        ------
        ProblemError
            401, with why in words that help an honest caller and nobody else.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN:
            raise _unknown("send the header `Authorization: Bearer TOKEN`; see: tradewind token")
        caller = self._known(token.strip())
        if wall_ns() // 1_000_000_000 > caller.expires_s + _LEEWAY_S:
            raise _unknown("the token has expired; issue another: tradewind token issue")
        if self._keys.is_revoked(caller.jti):
            raise _unknown("the token was revoked")
        return caller

    def is_good(self, caller: Caller) -> bool:
        """Tell whether a caller's token has not expired, nor it or its key been taken back."""
        if wall_ns() // 1_000_000_000 > caller.expires_s + _LEEWAY_S:
            return False
        return self._keys.public_key(caller.kid) is not None and not self._keys.is_revoked(
            caller.jti
        )

    def _known(self, token: str) -> Caller:
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        if digest not in self._checked:
            self._checked[digest] = self._check(token)
            if len(self._checked) > _MOST_CHECKED:
                self._checked.popitem(last=False)
        caller = self._checked[digest]
        if self._keys.public_key(caller.kid) is None:
            raise _unknown("the token's key was retired")
        return caller

    def _check(self, token: str) -> Caller:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._keys.public_key(kid) if isinstance(kid, str) else None
            if key is None:
                raise _unknown("the token's key is not one of this stack's")
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=_LEEWAY_S,
                options={"require": list(_REQUIRED)},
            )
        except (jwt.InvalidTokenError, UnicodeError) as error:
            raise _unknown(f"the token is not accepted: {error}") from error
        try:
            said = msgspec.convert(claims, _Claims)
        except msgspec.ValidationError as error:
            raise _unknown(f"the token's claims are not accepted: {error}") from error
        if said.exp - said.iat > _LONGEST_DAYS * _DAY_S:
            raise _unknown(f"the token would live for more than {_LONGEST_DAYS} days")
        portfolios = tuple(said.portfolios)
        return Caller(said.sub, said.jti, said.role, portfolios, said.exp, str(kid))


def _unknown(detail: str) -> ProblemError:
    return ProblemError(401, "UNKNOWN_CALLER", detail, headers={"WWW-Authenticate": "Bearer"})
