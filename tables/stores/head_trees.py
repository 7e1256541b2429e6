"""The hash trees under heads of the audit trail: read as hashes, while the values stay in SQL."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import asyncpg
import msgspec

from models.forensics import merkle
from streams.audit import AuditHead, read_head
from tables.archive import RunKey
from tables.audit_chain import LEAVES_MAX
from tables.audit_rows import AuditRow, Hashed, leaf_of, leaf_of_hashed, sealed_row
from tables.stores.audit_store import TABLE
from tables.stores.errors import StoreBusy, StoreConflict
from tables.stores.migrations import SCHEMA
from tables.stores.postgres_connection import snapshot

Speaking = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]

_FETCH_ROWS = 1_000
# Of a head with the most rows that one may have, 10 MB of hashes.
_HEADS_KEPT = 4
# A head of a busy minute is read and hashed in a second.
_WAIT_S = 10.0

Tree = list[list[bytes]]


class Proof(NamedTuple):
    """That a row is under a signed head.

    Attributes
    ----------
    sealed : str
        The row's canonical JSON; its leaf is the SHA-256 of it behind a byte of zero.
    leaf, n_leaves : int
        Which leaf it is of how many, from 0.
    path : list of str
        Audit path (RFC 6962), hex, the nearest hash first.
    head : AuditHead
    holds : bool
        Whether the path leads from the row as it stands in SQL to the root of the head.
    """

    sealed: str
    leaf: int
    n_leaves: int
    path: list[str]
    head: AuditHead
    holds: bool


class HeadTrees:
    """Trees of a run's heads; those asked for last are kept, and one head is read at a time.

    Kept are trees with the root of their head alone: they prove a row under it whatever SQL says
    of its neighbours later.

    Parameters
    ----------
    of
        Whose they are.
    speaking
        Gives a connection.
    """

    def __init__(self, of: RunKey, speaking: Speaking) -> None:
        self._of = of
        self._speaking = speaking
        self._kept: OrderedDict[tuple[int, str], Tree] = OrderedDict()
        self._alone = asyncio.Lock()

    async def of(self, head: AuditHead) -> Tree:
        """Return the tree of the rows that SQL has under a head, in order.

        Raises
        ------
        StoreBusy
            If the rows of other heads are read for longer than a reader waits.
        StoreConflict
            If the head has more rows than any that was signed.
        StoreUnavailable
            If the server does not answer in time.
        """
        n_leaves = head.last_seq - head.first_seq + 1
        if n_leaves > LEAVES_MAX:
            raise StoreConflict(
                f"SQL has a head {head.number} of {n_leaves:,} rows; expected at most "
                f"{LEAVES_MAX:,}, so nobody here signed it"
            )
        try:
            await asyncio.wait_for(self._alone.acquire(), _WAIT_S)
        except TimeoutError as error:
            raise StoreBusy(
                f"the rows of other heads are read for longer than {_WAIT_S:g} s; ask again in a "
                "moment"
            ) from error
        try:
            return await self._found(head)
        finally:
            self._alone.release()

    async def _found(self, head: AuditHead) -> Tree:
        key = (head.partition, head.root)
        tree = self._kept.get(key)
        if tree is None:
            tree = await asyncio.to_thread(merkle.levels, await self._read(head))
            if tree and tree[-1][0].hex() == head.root:
                self._kept[key] = tree
                if len(self._kept) > _HEADS_KEPT:
                    self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return tree

    async def _read(self, head: AuditHead) -> list[bytes]:
        leaves: list[bytes] = []
        async with self._speaking() as connection, snapshot(connection):
            cursor = await connection.cursor(
                "SELECT log_offset, seq, logged_at, record_key, headers, sha256(value) "  # noqa: S608  constants
                f"FROM {SCHEMA}.{TABLE} WHERE stack = $1 AND run = $2 AND log_partition = $3 "
                "AND seq BETWEEN $4 AND $5 AND log_offset BETWEEN $6 AND $7 ORDER BY log_offset",
                *(*self._of, head.partition, head.first_seq, head.last_seq),
                await self._begin(connection, head),
                head.last_offset,
            )
            while rows := await cursor.fetch(_FETCH_ROWS):
                leaves += await asyncio.to_thread(_hashed, self._of, head.partition, rows)
        return leaves

    async def _begin(self, connection: asyncpg.Connection, head: AuditHead) -> int:
        """Return an offset that no row of a head is before: the key finds rows by theirs."""
        document = await connection.fetchval(
            f"SELECT document FROM {SCHEMA}.audit_heads WHERE stack = $1 AND run = $2 "  # noqa: S608  a constant
            "AND log_partition = $3 AND last_seq < $4 ORDER BY last_seq DESC, number DESC LIMIT 1",
            *(*self._of, head.partition, head.first_seq),
        )
        try:
            return 0 if document is None else read_head(document).last_offset + 1
        except msgspec.MsgspecError:
            # Somebody has changed that head, which proves nothing of this one.
            return 0


def _hashed(of: RunKey, partition: int, rows: Sequence[asyncpg.Record]) -> list[bytes]:
    return [leaf_of_hashed(of, partition, Hashed(*row)) for row in rows]


def proof_of(row: AuditRow, head: AuditHead, tree: Tree) -> Proof:
    """Return the proof that a row is under a head, by the tree of it."""
    index = row.seq - head.first_seq
    n_leaves = head.last_seq - head.first_seq + 1
    path = merkle.path(tree, index) if tree and index < len(tree[0]) else []
    reached = merkle.root_of_path(leaf_of(row), index, n_leaves, path)
    holds = reached is not None and reached.hex() == head.root
    return Proof(
        sealed_row(row).canonical().decode(),
        index,
        n_leaves,
        [each.hex() for each in path],
        head,
        holds,
    )
