"""An exported audit trail: one file with rows, heads, key, and the program that verifies it."""

import json
import os
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from streams.audit import AuditHead, as_text
from tables.audit_rows import COLUMNS, AuditRow, ms_of
from tables.audit_verifier import FORMAT
from tables.stores.audit_key import audit_folder, public_key
from tables.stores.audit_reader import AuditReader
from tables.stores.audit_shelf import AuditShelf
from tables.stores.errors import StoreConflict

_FOUND = COLUMNS[COLUMNS.index("decision_id") :]


class Exported(NamedTuple):
    """What a bundle holds."""

    path: Path
    n_rows: int
    n_heads: int


async def export(
    home: Path, reader: AuditReader, path: Path, since: datetime | None = None
) -> Exported:
    """Write the audit trail of a run to a file: what is on the shelf, then what is in SQL.

    Parameters
    ----------
    home
        The stack's folder: its heads and its key are there.
    reader
        Of the run.
    path
        Where to write.
    since
        Leave out what Kafka has from before; rounded back to the head before it.

    Raises
    ------
    StoreUnavailable
        If the server does not answer in time.
    StoreConflict
        If the run has no rows and no heads, or the file cannot be written.
    """
    heads = _heads(home, reader.of.run)
    partitions = sorted({*heads, *await reader.partitions()})
    if not partitions:
        raise StoreConflict(f"run {reader.of.run} of stack {reader.of.stack} has no audit trail")
    draft = path.with_name(f"{path.name}.partial")
    try:
        begins = {number: _begin(heads.get(number, []), since) for number in partitions}
        n_rows = await _write(home, reader, draft, heads, begins)
        draft.replace(path)
    except OSError as error:
        raise StoreConflict(
            f"{path} could not be written: {error}; give a file in a folder that is there, may be "
            "written and has room"
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return Exported(path, n_rows, sum(len(lines) for lines in heads.values()))


async def _write(
    home: Path,
    reader: AuditReader,
    draft: Path,
    heads: dict[int, list[str]],
    begins: dict[int, int],
) -> int:
    n_rows = 0
    with draft.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            manifest = {"format": FORMAT, **reader.of._asdict(), "begins": begins}
            archive.writestr("manifest.json", json.dumps(manifest))
            archive.writestr("public.pem", public_key(home))
            verifier = resources.files("tables") / "audit_verifier.py"
            archive.writestr("verify.py", verifier.read_text())
            for partition, begin in begins.items():
                archive.writestr(f"heads-{partition}.jsonl", "".join(heads.get(partition, [])))
                with archive.open(f"rows-{partition}.jsonl", "w", force_zip64=True) as rows:
                    async for row in _rows(AuditShelf(home), reader, partition, begin):
                        rows.write(json.dumps(_document(row)).encode() + b"\n")
                        n_rows += 1
        file.flush()
        os.fsync(file.fileno())
    return n_rows


def _heads(home: Path, run: str) -> dict[int, list[str]]:
    """Return the published heads of a run by partition, from the file."""
    folder = audit_folder(home) / "heads"
    found = {}
    for path in sorted(folder.glob(f"{run}-*.jsonl")):
        number = path.stem.removeprefix(f"{run}-")
        if number.isdecimal():
            found[int(number)] = path.read_text().splitlines(keepends=True)
    return found


def _begin(lines: list[str], since: datetime | None) -> int:
    """Return the first row of an excerpt: behind the last head that ends before it."""
    if since is None:
        return 0
    heads = (msgspec.json.decode(line, type=AuditHead) for line in lines)
    return max((h.last_seq + 1 for h in heads if h.sealed_ms < ms_of(since)), default=0)


async def _rows(
    shelf: AuditShelf, reader: AuditReader, partition: int, begin: int
) -> AsyncIterator[AuditRow]:
    """Yield rows in order; what was restored from the shelf is told once."""
    last = begin - 1
    for row in shelf.rows(reader.of, partition):
        if row.seq > last:
            last = row.seq
            yield row
    shelved = last
    async for row in reader.rows(partition):
        if row.seq > shelved:
            yield row


def _document(row: AuditRow) -> dict[str, Any]:
    columns = {name: getattr(row, name) for name in _FOUND}
    if row.bar_close is not None:
        columns["bar_close"] = row.bar_close.isoformat()
    if row.decision_id is not None:
        columns["decision_id"] = str(row.decision_id)
    return {
        "seq": row.seq,
        "offset": row.log_offset,
        "timestamp_ms": ms_of(row.logged_at),
        "key": None if row.record_key is None else as_text(row.record_key),
        "headers": json.loads(row.headers),
        "value": None if row.value is None else as_text(row.value),
        "chain": row.chain.hex(),
        "columns": columns,
    }
