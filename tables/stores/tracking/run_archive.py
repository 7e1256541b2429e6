"""A run in one file: its rows as lines of JSON, its artefacts as they were; tar in zstd.

``tar --zstd -xf FILE`` reads it, without Tradewind and without MLflow.
"""

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from tables.stores.errors import StoreConflict
from tables.stores.replacing import fsync_folder

_CODEC = "zstd"
_CHUNK = 1 << 20


def write(path: Path, rows: Iterable[tuple[str, Iterable[str]]], folder: Path) -> int:
    """Write an archive, read it again, and give it its name; return its size in bytes.

    Parameters
    ----------
    path
        Its folder is made; an archive that is there is replaced.
    rows
        Name of a table and its rows, each a line.
    folder
        The artefacts; it need not be there.

    Raises
    ------
    StoreConflict
        If what can be read is not what was written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    try:
        written = _written(draft, rows, folder)
        found = dict(_members(draft))
        if found != written:
            differing = sorted(name for name in written if found.get(name) != written[name])
            raise StoreConflict(f"{draft} does not hold what was written: {', '.join(differing)}")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    fsync_folder(path.parent)
    return path.stat().st_size


def files_of(folder: Path) -> list[Path]:
    """Return the files under a folder, sorted; links are files that point elsewhere."""
    return sorted(each for each in folder.rglob("*") if each.is_symlink() or each.is_file())


def bytes_of(folder: Path) -> int:
    """Return how many bytes the files under a folder have."""
    return sum(each.lstat().st_size for each in files_of(folder))


def _written(
    draft: Path, rows: Iterable[tuple[str, Iterable[str]]], folder: Path
) -> dict[str, str]:
    sums: dict[str, str] = {}
    with (
        pa.CompressedOutputStream(str(draft), _CODEC) as stream,
        tarfile.open(fileobj=stream, mode="w|") as tar,
    ):
        for table, lines in rows:
            sums |= _add_rows(tar, f"rows/{table}.ndjson", lines)
        for each in files_of(folder):
            sums |= _add_file(tar, f"artifacts/{each.relative_to(folder)}", each)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    return sums


def _add_rows(tar: tarfile.TarFile, name: str, lines: Iterable[str]) -> dict[str, str]:
    # A tar says how long a member is before it comes; a million metrics do not fit in memory.
    with tempfile.TemporaryFile() as file:
        for line in lines:
            file.write(line.encode() + b"\n")
        if not file.tell():
            return {}
        info = tarfile.TarInfo(name)
        info.size = file.tell()
        return _add(tar, info, file)


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> dict[str, str]:
    info = tar.gettarinfo(path, name)
    if info.isreg():
        with path.open("rb") as file:
            return _add(tar, info, file)
    tar.addfile(info)
    return {name: info.linkname}


def _add(tar: tarfile.TarFile, info: tarfile.TarInfo, file: IO[bytes]) -> dict[str, str]:
    file.seek(0)
    digest = _digest(file)
    file.seek(0)
    tar.addfile(info, file)
    return {info.name: digest}


def _members(path: Path) -> Iterator[tuple[str, str]]:
    with (
        pa.CompressedInputStream(str(path), _CODEC) as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        for info in tar:
            content = tar.extractfile(info) if info.isreg() else None
            yield info.name, info.linkname if content is None else _digest(content)


def _digest(file: Any) -> str:  # noqa: ANN401  whatever can be read
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
