"""Segments on disk: records that wait, in order, durable before anybody is told so.

What one call appends is one block (``blocks.py``) and one fsync. A folder belongs to one process.
A segment whose records were all sent is removed; a mark says how far the first one was.
"""

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from streams.brokers.homes import private_folder
from streams.brokers.locks import FileLock
from streams.clock import wall_ns
from streams.failpoints import reach
from tables.stores.blocks import HEADER_BYTES, any_behind, block, header_at, records, whole
from tables.stores.disk import Disk
from tables.stores.errors import SegmentDamaged, SpillFailed, SpillFull, StoreConflict
from tables.stores.replacing import fsync_folder, replacing
from tables.stores.sent_mark import Place, SentMark

SEGMENT_BYTES = 16 << 20
LIMIT_BYTES = 1 << 30
PATTERN = f"{'[0-9]' * 20}.segment"

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_OWNER_ONLY = 0o600
_STAGE = "spill"

log = logging.getLogger("tradewind.spill")


class Waiting(NamedTuple):
    """Records in the order in which they came, and the place behind them."""

    payloads: list[bytes]
    end: Place


class Segments:
    """The segments of one folder; not for two threads at a time.

    Parameters
    ----------
    folder
        Made if it is not there. What an earlier process left is read and checked.
    segment_bytes
        A segment that would grow beyond it is followed by another.
    limit_bytes
        What all segments together may take on disk.
    disk
        Whose room a new segment must find; None to look at none.

    Raises
    ------
    StoreConflict
        If another process works in the folder.
    SegmentDamaged
        If records that were durable are not there as they were written.
    OSError
        If the disk does not do what is asked.
    """

    def __init__(
        self,
        folder: Path,
        segment_bytes: int = SEGMENT_BYTES,
        limit_bytes: int = LIMIT_BYTES,
        disk: Disk | None = None,
    ) -> None:
        new = [path for path in (folder, *folder.parents) if not path.exists()]
        self.folder = private_folder(folder)
        for path in new:
            # What is durable in a folder whose own name is not is lost with it.
            fsync_folder(path.parent)
        self.limit_bytes = limit_bytes
        self._disk = disk
        self.n_records = 0
        # When the oldest waiting record was written; 0 if none waits.
        self.oldest_ns = 0
        # Why nothing is accepted any more; empty while all is well.
        self.broken = ""
        self._segment_bytes = segment_bytes
        self._sizes: dict[int, int] = {}
        self._file: int | None = None
        lock = FileLock.try_take(folder / "lock")
        if lock is None:
            raise StoreConflict(
                f"{folder} is in use by another process; expected one process a folder: end the "
                "other one, or give this one another folder"
            )
        self._lock = lock
        try:
            self._mark = SentMark(folder / "sent")
        except BaseException:
            lock.close()
            raise
        self.sent = self._mark.place
        try:
            self._recover()
        except BaseException:
            self.close()
            raise

    @property
    def n_bytes(self) -> int:
        """Bytes that the segments take on disk."""
        return sum(self._sizes.values())

    def append(self, payloads: Sequence[bytes]) -> None:
        """Write records behind all others; they are durable when this returns.

        Raises
        ------
        SpillFull
            If they do not fit: none of them was kept, and a later call may find room.
        SpillFailed
            If the disk failed: none of them counts, and nothing more is accepted.
        """
        if self.broken:
            raise SpillFailed(self.broken)
        header, body = block(payloads, wall_ns())
        size = len(header) + len(body)
        if self.n_bytes + size > self.limit_bytes:
            raise SpillFull(f"{self._used()}: no room for {size:,} more before some are sent")
        with self._guarded():
            file = self._file_for(size)
            _write(file, header)
            reach(_STAGE, "in-append")
            _write(file, body)
            reach(_STAGE, "in-fsync")
        with self._guarded(lasting=True):
            os.fsync(file)
        self._sizes[self._number] += size
        self.n_records += len(payloads)
        self.oldest_ns = self.oldest_ns or self._oldest_ns()

    def read(self, n_records: int) -> Waiting:
        """Return the oldest records that wait: whole blocks, with ``n_records`` or a few more.

        Raises
        ------
        SegmentDamaged
            If they are not there as they were written.
        """
        payloads: list[bytes] = []
        end = self.sent
        for number in [number for number in self._sizes if number >= self.sent.segment]:
            end = Place(number, self.sent.offset if number == self.sent.segment else 0)
            with self._path(number).open("rb") as file:
                file.seek(end.offset)
                while end.offset < self._sizes[number] and len(payloads) < n_records:
                    header = header_at(file.read(HEADER_BYTES), 0)
                    found = None if header is None else records(header, file.read(header.n_bytes))
                    if header is None or found is None:
                        raise damaged(self._path(number), end.offset)
                    payloads += found
                    end = Place(number, end.offset + header.size)
            if len(payloads) >= n_records:
                break
        return Waiting(payloads, end)

    def forget(self, waiting: Waiting) -> None:
        """Let go of what `read` gave, once it was sent; after a crash some of it may come again.

        Raises
        ------
        SpillFailed
            If the disk failed: after a restart the records come again.
        """
        number, _ = self.sent = waiting.end
        self.n_records -= len(waiting.payloads)
        with self._guarded(lasting=True):
            for old in [old for old in self._sizes if (old, self._sizes[old]) <= waiting.end]:
                # Gone is as good as marked, and needs no room on a disk that is full.
                self._path(old).unlink()
                del self._sizes[old]
            if number in self._sizes:
                self._mark.write(waiting.end)
        if self._number not in self._sizes:
            self._close_file()
        self.oldest_ns = self._oldest_ns()

    def close(self) -> None:
        """Let go of the folder; what waits stays."""
        self._close_file()
        self._mark.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _recover(self) -> None:
        """Read what an earlier process left; nothing is ever appended to it."""
        paths = sorted(self.folder.glob(PATTERN))
        self._number = max([self.sent.segment, *(int(path.stem) for path in paths)])
        for path in paths:
            number, data = int(path.stem), path.read_bytes()
            blocks = [(offset + header.size, header.n_records) for offset, header in whole(data)]
            size = blocks[-1][0] if blocks else 0
            if size < len(data):
                if path != paths[-1] or any_behind(data, size):
                    raise damaged(path, size)
                self._cut(path, data, size)
            waiting = [n for end, n in blocks if (number, end) > self.sent]
            if waiting:
                self._sizes[number] = size
                self.n_records += sum(waiting)
            else:
                path.unlink()
        self.oldest_ns = self._oldest_ns()

    def _cut(self, path: Path, data: bytes, size: int) -> None:
        """Take away what was being written when the process ended; nobody was told it was kept."""
        torn = self.folder / "torn"
        with replacing(torn) as file:
            file.write(data[size:])
        with path.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())
        log.warning(
            "%s: cut %d bytes at %d, a write that had not ended; they are in %s",
            path,
            len(data) - size,
            size,
            torn,
        )

    def _file_for(self, size: int) -> int:
        """Return the segment to write to, a new one if the present one is full."""
        if self._file is not None and self._sizes[self._number] + size > self._segment_bytes:
            self._close_file()
        if self._file is None:
            if self._disk is not None and (refusal := self._disk.refusal()):
                # What is left is for states and topics; a segment that is open is filled.
                raise SpillFull(f"{self._used()}: {refusal}, accepting goes on then")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(self._path(self._number + 1), flags, _OWNER_ONLY)
            self._number += 1
            self._sizes[self._number] = 0
            with self._guarded(lasting=True):
                fsync_folder(self.folder)
        return self._file

    def _close_file(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    @contextmanager
    def _guarded(self, *, lasting: bool = False) -> Iterator[None]:
        """Make an error of the disk one of the store.

        What an fsync that failed left on the disk nobody can know, and asking again may say that
        all is well. So ``lasting`` trouble ends the acceptance.
        """
        try:
            yield
        except OSError as error:
            taken_back = self._taken_back()
            lasting = lasting or error.errno not in _NO_ROOM or not taken_back
            name = errno.errorcode.get(error.errno or 0, "?")
            said = f"{self._used()}: {name}, {error.strerror}"
            if not lasting:
                raise SpillFull(
                    f"{said}; make room on that disk, accepting goes on then"
                ) from error
            self.broken = f"{said}; nothing is accepted any more: mend the disk, then restart"
            raise SpillFailed(self.broken) from error

    def _taken_back(self) -> bool:
        """Take half of a block back, so that the next one stands behind a whole one."""
        if self._file is None:
            return True
        try:
            os.ftruncate(self._file, self._sizes[self._number])
        except OSError as error:
            log.critical("%s: a torn block stays until the restart: %s", self.folder, error)
            return False
        return True

    def _oldest_ns(self) -> int:
        """Read when the first block that waits was written; 0 if none waits."""
        for number in self._sizes:
            offset = self.sent.offset if number == self.sent.segment else 0
            if offset < self._sizes[number]:
                with self._path(number).open("rb") as file:
                    file.seek(offset)
                    header = header_at(file.read(HEADER_BYTES), 0)
                    return 0 if header is None else header.written_ns
        return 0

    def _used(self) -> str:
        return f"{self.folder} uses {self.n_bytes:,} of {self.limit_bytes:,} bytes"

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:020d}.segment"


def _write(file: int, data: bytes) -> None:
    """Write all of it: a disk that runs full takes a part first, and says so at the next call."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def damaged(path: Path, offset: int) -> SegmentDamaged:
    """Return the error that says where a segment is not what was written."""
    return SegmentDamaged(
        f"{path} is not what was written from byte {offset:,} on, and it was durable there; "
        "`tradewind spill show` reads what is whole; move the file away to go on without the rest"
    )
