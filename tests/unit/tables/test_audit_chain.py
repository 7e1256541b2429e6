"""The chain of a partition: heads by the minute, and the same again after any restart."""

from base64 import b64decode

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from models.forensics import merkle
from models.forensics.chain import GENESIS, last_link
from streams.audit import NO_HEAD
from tables import audit_chain
from tables.audit_chain import AuditChain, Kept, Tip
from tables.audit_rows import leaf_of
from tests.trails import OF, Trail, key, record
from tests.unit.tables.views.played import WRITTEN_MS


def test_heads_when_minutes_pass_then_each_covers_its_rows_and_names_the_one_before() -> None:
    """25 records, ten to a minute: three heads that leave no row out."""
    trail = Trail(25)
    assert [(h.number, h.first_seq, h.last_seq) for h in trail.heads] == [
        (0, 0, 9),
        (1, 10, 19),
        (2, 20, 24),
    ]
    leaves = [leaf_of(row) for row in trail.rows]
    assert [row.chain for row in trail.rows][-1] == last_link(GENESIS, leaves)
    for head, before in zip(
        trail.heads, [NO_HEAD, *(h.digest() for h in trail.heads)], strict=False
    ):
        assert head.previous == before
        assert head.root == merkle.root(leaves[head.first_seq : head.last_seq + 1]).hex()
        assert head.chain == trail.rows[head.last_seq].chain.hex()
        assert head.last_offset == trail.rows[head.last_seq].log_offset


def test_heads_when_signed_then_the_public_key_agrees() -> None:
    """The signature is over the canonical bytes without it (RFC 8032)."""
    (head,) = Trail(3).heads
    public = Ed25519PrivateKey.from_private_bytes((1).to_bytes(32, "big")).public_key()
    unsigned = msgspec.structs.replace(head, signature="")
    public.verify(b64decode(head.signature), unsigned.canonical())
    assert head.key_id == key().id


@given(cut=st.integers(1, 24), seen=st.integers(0, 24))
def test_take_when_begun_again_anywhere_then_rows_and_heads_are_the_same(
    cut: int, seen: int
) -> None:
    """Killed after any row, with any of the rows behind the last head in SQL or not."""
    whole = Trail(25)
    heads = [head for head in whole.heads if head.last_seq < cut]
    rows = whole.rows[: min(cut, seen)]
    head = heads[-1] if heads else None
    tip = Tip(head, {r.log_offset: Kept(r.seq, r.chain) for r in rows})
    chain = AuditChain(OF, 0, tip, key().sign)
    taken = [chain.take(record(offset)) for offset in range(tip.next_offset, 25)]
    new = [each.row for each in taken if each is not None and each.row is not None]
    kept = {r.log_offset for r in rows if r.log_offset >= tip.next_offset}
    sealed = -1 if head is None else head.last_seq
    assert new == [r for r in whole.rows if r.seq > sealed and r.log_offset not in kept]
    again = [each.head for each in taken if each is not None and each.head is not None]
    assert [*heads, *again, chain.seal()] == whole.heads
    assert all(each is not None and each.error is None for each in taken)


class Offset(int):
    """An offset that counts how often any was compared."""

    n_compared = 0

    def __lt__(self, other: int) -> bool:
        Offset.n_compared += 1
        return int(self) < int(other)

    def __eq__(self, other: object) -> bool:
        Offset.n_compared += 1
        return int(self) == other

    __hash__ = int.__hash__


def test_take_when_many_rows_are_behind_the_head_then_each_is_looked_at_a_few_times() -> None:
    """A minute may have 65,536 rows: to scan them for each held the loop for longer than a session.

    Sorting what is sorted compares each with the next, and taking compares each twice.
    """
    rows = Trail(60).rows
    tip = Tip(None, {Offset(row.log_offset): Kept(row.seq, row.chain) for row in rows})
    chain = AuditChain(OF, 0, tip, key().sign)
    taken = [chain.take(record(offset)) for offset in range(60)]
    assert [each.row for each in taken if each is not None] == [None] * 60
    assert 0 < Offset.n_compared <= 5 * 60


def test_take_when_the_record_is_sealed_then_passes_over_it() -> None:
    """What comes again from before the last head changes nothing."""
    trail = Trail(25)
    chain = AuditChain(OF, 0, Tip(trail.heads[0]), key().sign)
    assert [chain.take(record(offset)) for offset in range(10)] == [None] * 10
    taken = chain.take(record(10))
    assert taken is not None
    assert taken.row == trail.rows[10]


def test_take_when_sql_has_another_row_then_says_so_and_goes_on_with_what_kafka_has() -> None:
    """A row that was changed behind its last head is found at the next start."""
    trail = Trail(5, sealed=False)
    rows = {r.log_offset: Kept(r.seq, r.chain) for r in trail.rows}
    rows[2] = Kept(2, bytes(32))
    chain = AuditChain(OF, 0, Tip(None, rows), key().sign)
    taken = [chain.take(record(offset)) for offset in range(6)]
    errors = [None if each is None or each.error is None else each.error for each in taken]
    assert [None if error is None else error.reason for error in errors] == [
        *(None, None),
        "ROW_DIFFERS",
        *(None, None, None),
    ]
    assert taken[5] is not None
    assert taken[5].row == Trail(6).rows[5]


def test_take_when_the_broker_has_no_more_the_rows_behind_the_head_then_their_links_hold() -> None:
    """They stay under the next head by its link, though in no tree."""
    trail = Trail(15)
    tip = Tip(trail.heads[0], {r.log_offset: Kept(r.seq, r.chain) for r in trail.rows[10:13]})
    chain = AuditChain(OF, 0, tip, key().sign)
    taken = chain.take(record(13))
    assert taken is not None
    assert taken.row == trail.rows[13]
    head = chain.seal()
    assert head is not None
    assert (head.first_seq, head.last_seq) == (13, 13)


def test_seal_when_nothing_is_open_then_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No empty heads; a tree that gets large is sealed within its minute."""
    monkeypatch.setattr(audit_chain, "LEAVES_MAX", 4)
    chain = AuditChain(OF, 0, Tip(), key().sign)
    assert chain.seal() is None
    taken = [chain.take(record(offset, timestamp=WRITTEN_MS)) for offset in range(9)]
    heads = [each.head for each in taken if each is not None and each.head is not None]
    assert [(head.first_seq, head.last_seq) for head in heads] == [(0, 3), (4, 7)]
    last = chain.seal()
    assert last is not None
    assert (last.first_seq, last.last_seq) == (8, 8)
