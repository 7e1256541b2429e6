"""Codes that let somebody in once: files of the folder of keys, named by the hash of the code.

Whoever reads a file learns no code. Who redeems one takes its file away first, so that of two only
one gets in, in any process.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

import msgspec

from streams.clock import random_id, wall_ns
from tables.stores.token_keys import Issued

GOOD_FOR_S = 3_600

_NS_PER_S = 1_000_000_000
_LONGEST_CODE = 64


class _Entry(msgspec.Struct, frozen=True):
    """Who comes in by a code, and until when, in seconds since 1970."""

    issued: Issued
    until_s: int


class EntryCodes:
    """The codes of a stack.

    Parameters
    ----------
    auth
        The folder of the stack's keys.
    """

    def __init__(self, auth: Path) -> None:
        self._folder = auth / "entry"

    def issue(self, issued: Issued) -> str:
        """Return a code for whom a token was issued to; it is good once, for an hour."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        code = random_id()
        entry = _Entry(issued, _now_s() + GOOD_FOR_S)
        path = self._path(code)
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode(entry))
        return code

    def redeem(self, code: str) -> Issued | None:
        """Return whom a code lets in; None if it was used, is too old, or is none."""
        if len(code) > _LONGEST_CODE:
            return None
        path = self._path(code)
        taken = path.with_suffix(f".{random_id()}")
        try:
            path.rename(taken)
        except FileNotFoundError:
            return None
        entry = msgspec.json.decode(taken.read_bytes(), type=_Entry)
        taken.unlink()
        return entry.issued if _now_s() <= entry.until_s else None

    def _path(self, code: str) -> Path:
        return self._folder / f"{hashlib.sha256(code.encode(errors='replace')).hexdigest()}.json"

    def _sweep(self) -> None:
        """Delete what nobody used in time."""
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime_ns // _NS_PER_S + GOOD_FOR_S < _now_s():
                    path.unlink()


def _now_s() -> int:
    return wall_ns() // _NS_PER_S
