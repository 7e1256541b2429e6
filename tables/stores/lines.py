"""Files of lines that are only ever added to: a line is whole and durable, or nobody was told."""

import errno
import os
from pathlib import Path


def append_line(path: Path, line: bytes) -> None:
    """Append a line; one that a crash has torn before it gets an end, so that this one is whole.

    Folder and file are for their owner only.

    Raises
    ------
    OSError
        If the disk took a part of it, or nothing.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab", buffering=0) as file:
        size = os.fstat(descriptor).st_size
        is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        whole = b"\n" * is_torn + line + b"\n"
        if file.write(whole) != len(whole):
            raise OSError(errno.ENOSPC, "only a part of the line was written", str(path))
        os.fsync(file.fileno())
