"""What somebody can do to the signed heads of an audit trail who does not have the key.

Each deed changes the heads of a trail at a drawn place and returns which rows a verifier must point
at: those of the first head that is not what it was, up to the last one that may be named for it.
"""

from collections.abc import Callable
from random import Random

import msgspec

from models.forensics import merkle
from streams.audit import NO_HEAD, AuditHead
from tables.audit_rows import AuditRow, leaf_of
from tests.tampering import ROWS_A_HEAD, Done, rewrite
from tests.trails import Trail, key

_FORGER = key(2)

# Other values for the fields of a head: each could have been the true one.
_OTHER: dict[str, Callable[[AuditHead], object]] = {
    "chain": lambda head: head.chain[::-1],
    "first_seq": lambda head: head.first_seq + 1,
    "key_id": lambda _: _FORGER.id,
    "last_offset": lambda head: head.last_offset + 1,
    "last_seq": lambda head: head.last_seq - 1,
    "number": lambda head: head.number + 1,
    "previous": lambda head: head.previous[::-1],
    "root": lambda head: head.root[::-1],
    "run": lambda head: f"{head.run}-other",
    "sealed_ms": lambda head: head.sealed_ms + 1,
    "signature": lambda head: _FORGER.sign(head).signature,
    "stack": lambda head: f"{head.stack}-other",
}


def edit(trail: Trail, draw: Random) -> Done:
    """Change one field of one head; the next one still names the head that was."""
    at = draw.randrange(len(trail.heads))
    head, name = trail.heads[at], draw.choice(sorted(_OTHER))
    trail.heads[at] = msgspec.structs.replace(head, **{name: _OTHER[name](head)})
    return _rows(head, head)


def delete(trail: Trail, draw: Random) -> Done:
    """Take some heads out of the middle."""
    n_heads = draw.randint(1, 5)
    at = draw.randrange(len(trail.heads) - n_heads - 1)
    gone = trail.heads[at : at + n_heads]
    del trail.heads[at : at + n_heads]
    return _rows(gone[0], gone[-1])


def insert(trail: Trail, draw: Random) -> Done:
    """Put a head between two others: one that was signed, once more, or one of a forger's."""
    at = draw.randrange(1, len(trail.heads))
    copied = trail.heads[draw.randrange(at)]
    forged = copied if draw.random() < 0.5 else _signed(trail.heads[at], draw)
    end = trail.heads[at]
    trail.heads.insert(at, forged)
    return _rows(forged, end)


def reorder(trail: Trail, draw: Random) -> Done:
    """Let two heads change places."""
    first, second = sorted(draw.sample(range(len(trail.heads)), 2))
    one, other = trail.heads[first], trail.heads[second]
    trail.heads[first], trail.heads[second] = other, one
    return _rows(one, other)


def truncate(trail: Trail, draw: Random) -> Done:
    """Cut the last heads off; their rows stay."""
    n_heads = draw.randint(1, len(trail.heads) - 1)
    gone = trail.heads[-n_heads:]
    del trail.heads[-n_heads:]
    return _rows(gone[0], gone[-1])


def rewrite_all(trail: Trail, draw: Random) -> Done:
    """Rewrite rows with sound links, and make every head from there on anew, with another key."""
    done = rewrite(trail.rows, draw)
    first = done.first_seq // ROWS_A_HEAD
    heads, kept = trail.heads[first:], trail.heads[:first]
    for head in heads:
        rows = [row for row in trail.rows if head.first_seq <= row.seq <= head.last_seq]
        if not rows:
            break
        kept.append(_signed(_over(rows, head, kept), draw))
    trail.heads = kept
    return Done(first * ROWS_A_HEAD, heads[0].last_seq)


def rewrite_bundle(trail: Trail, draw: Random) -> None:
    """Rewrite rows, sign all heads anew under the forger's name, and put his key beside them.

    Nothing in such a bundle is wrong in itself: it is told by a key from elsewhere alone.
    """
    rewrite(trail.rows, draw)
    heads, trail.heads = trail.heads, []
    for head in heads:
        rows = [row for row in trail.rows if head.first_seq <= row.seq <= head.last_seq]
        made = _over(rows, head, trail.heads)
        trail.heads.append(_FORGER.sign(made))
    trail.public_pem = _FORGER.public_pem


def _over(rows: list[AuditRow], head: AuditHead, before: list[AuditHead]) -> AuditHead:
    """Return a head that is true of other rows, and not signed."""
    return msgspec.structs.replace(
        head,
        chain=rows[-1].chain.hex(),
        last_offset=rows[-1].log_offset,
        last_seq=rows[-1].seq,
        previous=before[-1].digest() if before else NO_HEAD,
        root=merkle.root([leaf_of(row) for row in rows]).hex(),
    )


def _signed(head: AuditHead, draw: Random) -> AuditHead:
    """Sign with another key, under its own name or under that of the true one."""
    signed = _FORGER.sign(msgspec.structs.replace(head, key_id="", signature=""))
    return signed if draw.random() < 0.5 else msgspec.structs.replace(signed, key_id=key().id)


def _rows(first: AuditHead, last: AuditHead) -> Done:
    return Done(first.first_seq, last.last_seq)


HEAD_DEEDS: dict[str, Callable[[Trail, Random], Done]] = {
    "edit": edit,
    "delete": delete,
    "insert": insert,
    "reorder": reorder,
    "truncate": truncate,
    "rewrite_all": rewrite_all,
}
