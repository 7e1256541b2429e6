"""Audit trails without a broker and a database: records, rows, heads, and a bundle of them."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from aiokafka import ConsumerRecord
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.audit import AuditHead
from tables.archive import RunKey
from tables.audit_chain import AuditChain, Tip
from tables.audit_rows import AuditRow
from tables.stores import audit_bundle
from tables.stores.audit_key import AuditKey, HeadFile
from tables.stores.audit_reader import AuditReader
from tests.unit.tables.views.played import WRITTEN_MS, decision

OF = RunKey("paper-1f2e3d4c", "r1")
HEADERS = [("origin-ns", b"1767387600000000000"), ("source-offsets", b"0:10-25")]
MINUTE_MS = 60_000


def key(seed: int = 1) -> AuditKey:
    """Return a key that is always the same."""
    return AuditKey(Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big")))


def record(offset: int, value: bytes | None = None, **changed: Any) -> ConsumerRecord:  # noqa: ANN401  fields of a record
    """Build a record of ``trading-decisions`` as the consumer hands it out, ten to a minute."""
    fields: dict[str, Any] = {
        "topic": "r1.trading-decisions",
        "partition": 0,
        "offset": offset,
        "timestamp": WRITTEN_MS + offset * MINUTE_MS // 10,
        "key": b"main",
        "value": msgspec.json.encode(decision(offset + 1)) if value is None else value,
        "headers": HEADERS,
    }
    return cast("ConsumerRecord", SimpleNamespace(**(fields | changed)))


class Trail:
    """Rows and heads of one partition.

    Parameters
    ----------
    n_records
        How many decisions were made.
    sealed
        Whether the last rows have their head.
    """

    def __init__(self, n_records: int, *, sealed: bool = True, partition: int = 0) -> None:
        chain = AuditChain(OF, partition, Tip(), key().sign)
        self.partition = partition
        self.public_pem = key().public_pem
        self.rows: list[AuditRow] = []
        self.heads: list[AuditHead] = []
        for offset in range(n_records):
            taken = chain.take(record(offset, partition=partition))
            assert taken is not None
            assert taken.row is not None
            self.rows.append(taken.row)
            self.heads += [] if taken.head is None else [taken.head]
        last = chain.seal() if sealed else None
        self.heads += [] if last is None else [last]

    async def bundle(self, folder: Path, since: datetime | None = None) -> Path:
        """Export the rows as they stand, with the heads of the stack's folder."""
        home = folder / "home"
        file = HeadFile(home, OF.run, self.partition)
        file.path.unlink(missing_ok=True)
        file.append(self.heads)
        (home / "audit" / "public.pem").write_bytes(self.public_pem)
        path = folder / "audit.zip"
        reader = cast("AuditReader", PlayedReader(self.rows))
        return (await audit_bundle.export(home, reader, path, since)).path


class PlayedReader:
    """A database that has some rows.

    Parameters
    ----------
    rows
        All of one partition.
    """

    def __init__(self, rows: Sequence[AuditRow]) -> None:
        self.of = OF
        self._rows = rows

    async def partitions(self) -> list[int]:
        """Return the one there is."""
        return sorted({row.log_partition for row in self._rows})

    async def rows(self, partition: int, since: datetime | None = None) -> AsyncIterator[AuditRow]:
        """Yield the rows in order of their offsets, as SQL does."""
        del since
        for row in sorted(self._rows, key=lambda row: row.log_offset):
            if row.log_partition == partition:
                yield row
