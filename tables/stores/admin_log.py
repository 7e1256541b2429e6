"""What administrators did: one file of lines beside the stack, only ever added to.

An act has two lines: that it was begun, with who, what and why, before anything happens; and how it
ended. So none happens without a line, and one that was killed in between shows. Each line carries
the hash of all before it (a chain), so one that was changed, taken out or put in is found. Whoever
owns the folder can write the whole chain anew: copies elsewhere tell.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from streams.clock import random_id, wall_ns
from streams.timestamps import format_ns
from tables.stores.errors import StoreError

FILE = Path("audit") / "admin.jsonl"

_FIRST = "0" * 64
# Of a text in a line; whoever has more to say is cut off here.
_LONGEST_TEXT = 1_000
_LONGEST_DETAIL = 500

_JSON = msgspec.json.Encoder()


class AdminLogError(StoreError):
    """The log of acts cannot be written or is not what it was; the message says where."""


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What is done: the command, on what, by whom, in which role, and why; texts all."""

    what: str
    on: str = ""
    by: str
    actor: str = ""
    role: str = ""
    reason: str = ""


class Outcome:
    """What came of an act; whoever acts says it."""

    detail = ""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line: the begin of an act has its deed, the end how it ended."""

    act: str
    at: str
    event: Literal["begun", "done", "failed"]
    deed: Deed | None = None
    detail: str = ""
    link: str = ""


class Act(NamedTuple):
    """An act with its end; ``result`` is ``begun`` while it lasts, or if it was killed."""

    at: str
    deed: Deed
    result: str
    detail: str


_LINE = msgspec.json.Decoder(Line)


class AdminLog:
    """The acts on one stack.

    Parameters
    ----------
    home
        The stack's folder; the file is made at the first act, for its owner only.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / FILE

    @contextmanager
    def act(self, deed: Deed) -> Iterator[Outcome]:
        """Write that an act begins, and how it ended; without the first nothing is done.

        Raises
        ------
        AdminLogError
            As :meth:`begin`.
        """
        name = self.begin(deed)
        outcome = Outcome()
        try:
            yield outcome
        except BaseException as error:
            self.end(name, "failed", (str(error) or type(error).__name__)[:_LONGEST_DETAIL])
            raise
        self.end(name, "done", outcome.detail)

    def begin(self, deed: Deed) -> str:
        """Write that an act begins, durably, and return its id.

        Raises
        ------
        AdminLogError
            If it cannot be written: then nothing may be done.
        """
        act = random_id()
        short = Deed(**{name: _short(text) for name, text in msgspec.structs.asdict(deed).items()})
        self._append(Line(act=act, at=_now(), event="begun", deed=short))
        return act

    def end(self, act: str, result: Literal["done", "failed"], detail: str) -> None:
        """Write how an act ended; it raises as :meth:`begin`."""
        self._append(Line(act=act, at=_now(), event=result, detail=_short(detail)))

    def acts(self) -> list[Act]:
        """Return all acts in the order in which they began.

        Raises
        ------
        AdminLogError
            If a line is not what was written, with its number.
        """
        begun: dict[str, Act] = {}
        for line in self._lines():
            if line.deed is not None:
                begun[line.act] = Act(line.at, line.deed, "begun", "")
            elif line.act in begun:
                before = begun[line.act]
                begun[line.act] = before._replace(result=line.event, detail=line.detail)
        return list(begun.values())

    def _lines(self) -> Iterator[Line]:
        raw = self.path.read_bytes() if self.path.exists() else b""
        before = _FIRST
        for number, text in enumerate(raw.splitlines(), start=1):
            try:
                line = _LINE.decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise AdminLogError(f"{self.path}, line {number}: {error}") from error
            if line.link != _link(before, line):
                raise AdminLogError(
                    f"{self.path}, line {number} does not follow from what stands before it: a "
                    "line was changed, taken out or put in; compare with a copy"
                )
            before = line.link
            yield line

    def _append(self, line: Line) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked() as descriptor:
                kept = self._whole(descriptor)
                chained = msgspec.structs.replace(line, link=_link(_last(kept), line))
                # In one call to the end: O_APPEND puts it behind everything, and what a full disk
                # leaves of it is cut off by the next act.
                _write(descriptor, _JSON.encode(chained) + b"\n")
                os.fsync(descriptor)
        except (OSError, msgspec.MsgspecError) as error:
            raise AdminLogError(
                f"{self.path} cannot be written: {error}; nothing is done that is not written "
                "there first"
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[int]:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # Two commands at once write one after the other.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _whole(self, descriptor: int) -> bytes:
        """Return what is there; a last line that a crash has torn was never told: it is cut off."""
        kept = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        whole = kept[: kept.rfind(b"\n") + 1]
        if len(whole) < len(kept):
            os.ftruncate(descriptor, len(whole))
        return whole


def _write(descriptor: int, line: bytes) -> None:
    if os.write(descriptor, line) < len(line):
        raise OSError(errno.ENOSPC, "only a part of the line was written")


def _last(kept: bytes) -> str:
    """Return the link of the last line."""
    return _LINE.decode(kept.splitlines()[-1]).link if kept else _FIRST


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _link(before: str, line: Line) -> str:
    body = _JSON.encode(msgspec.structs.replace(line, link=""))
    return hashlib.sha256(before.encode() + body).hexdigest()


def _now() -> str:
    return format_ns(wall_ns() // 1_000_000 * 1_000_000)
