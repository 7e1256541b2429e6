"""Certificates of replays: written from what was replayed, verified by folding it again."""

import asyncio
import hashlib
from pathlib import Path

import msgspec

from agents.run.divergence import Difference, first_difference
from agents.run.recorded_range import recorded_from
from agents.run.spoken_records import spoken_records
from agents.run.terms import Changes
from agents.run.topic_backtest import FRESH, RECORDED, TopicBacktest
from agents.topology import prefix_of
from streams.errors import TopicError
from tables.backtest import Recorder
from tables.certificate import Certificate, CertificateError, Certified
from tables.identity import Identity
from tables.machine import machine
from tables.stores.artifacts import canonical_json
from tables.stores.signing_key import SigningKey

# What of an epoch's document decides nothing.
_UNDECIDING = ("n_partitions", "clock_id")


def certificate(
    test: TopicBacktest, asked: tuple[str | None, str | None], decided: Identity, n_records: int
) -> Certificate:
    """Return the signed certificate of a range, as it was asked for, and what it decided."""
    return Certificate.sign(_body(test, asked, decided, n_records), SigningKey.of(test.home))


def _body(
    test: TopicBacktest, asked: tuple[str | None, str | None], decided: Identity, n_records: int
) -> Certified:
    range_, digests = test.counted, sorted(set(test.digests))
    epochs = [test.epochs.load(digest).epoch for digest in digests]
    return Certified(
        topic=test.topic,
        run=test.run_name,
        begins=list(range_.begins),
        ends=list(range_.ends),
        book_ends=test.book_ends,
        last_ns=range_.last_ns,
        asked=list(asked),
        epochs=digests,
        models=sorted({digest for epoch in epochs for digest in epoch.model_sets()}),
        config=config_digest([epoch.document() for epoch in epochs]),
        total=decided.total(),
        portfolios=decided.digests(),
        n_decisions=decided.n_decisions(),
        n_records=n_records,
        book=test.book,
        machine=machine(),
    )


def config_digest(documents: list[dict[str, object]]) -> str:
    """Return the digest of what decides in the documents of epochs."""
    kept = [
        {name: value for name, value in document.items() if name not in _UNDECIDING}
        for document in documents
    ]
    return hashlib.sha256(canonical_json(kept)).hexdigest()


class Verified(msgspec.Struct, frozen=True):
    """What a verification found.

    Attributes
    ----------
    total, n_decisions
        What the range gives here.
    differing
        Fields of the body that have another value: (name, there, here).
    machine
        What of the machine is otherwise: (name, there, here).
    difference
        The first decision that differs from what the run itself decided.
    is_ours
        Whether this stack's key has signed it.
    """

    total: str
    n_decisions: int
    differing: list[tuple[str, object, object]]
    machine: list[tuple[str, object, object]]
    difference: Difference | None
    is_ours: bool


def verify(path: Path, home: Path, servers: str) -> tuple[Certificate, Verified]:
    """Fold the range of a certificate again, in this process, and compare.

    Raises
    ------
    CertificateError
        If the file is none, was changed, or what decides is otherwise here.
    TopicError
        If its range is no longer on the broker.
    """
    found = Certificate.decode(path.read_bytes())
    body = found.body
    test = _range_of(body, home, servers)
    _pin(test, body)
    recorder = Recorder(lambda _ts_ns, _decisions: None)
    asyncio.run(test.fold(recorder.take))
    made = _body(
        test, (body.asked[0], body.asked[1]), recorder.identity, asyncio.run(_n_said(test))
    )
    differing = [
        (name, there, getattr(made, name))
        for name, there in msgspec.structs.asdict(body).items()
        if name != "machine" and there != getattr(made, name)
    ]
    here = machine()
    others = [(k, v, here.get(k)) for k, v in body.machine.items() if here.get(k) != v]
    # A fresh book decides otherwise than the run did: there is nothing to compare it with.
    comparable = bool(differing) and body.book == RECORDED
    difference = asyncio.run(first_difference(test)) if comparable else None
    is_ours = found.public_key == SigningKey.of(home).public
    return found, Verified(made.total, made.n_decisions, differing, others, difference, is_ours)


async def _n_said(test: TopicBacktest) -> int:
    """Return how many records of people and venues act in what counts."""
    if not test.is_recorded:
        return 0
    log = test.servers, test.run_name, test.book_ends
    spoken = await spoken_records(*log, test.begin, test.after_ns)
    return sum(len(said) for close, said in spoken.by_close.items() if close <= test.range.last_ns)


def _range_of(body: Certified, home: Path, servers: str) -> TopicBacktest:
    first, last = body.asked
    if body.book == RECORDED and first is not None:
        return recorded_from(home, servers, body.run, (first, last), Changes())
    is_fresh = body.book == FRESH
    asked = first, last
    test = TopicBacktest(home, servers, body.run, body.topic, asked, Changes(), fresh_book=is_fresh)
    test.check()
    return test


def _pin(test: TopicBacktest, body: Certified) -> None:
    """Hold a backtest to the very offsets and epochs of a certificate."""
    have, want = test.counted, (tuple(body.begins), tuple(body.ends))
    too_short = [end < wanted for end, wanted in zip(have.ends, want[1], strict=False)]
    if have.begins != want[0] or len(have.ends) != len(want[1]) or any(too_short):
        raise TopicError(
            f"{prefix_of(body.run)}{body.topic} has offsets {have.begins} to {have.ends}; "
            f"the certificate is about {want[0]} to {want[1]}"
        )
    test.range = test.range._replace(ends=want[1], last_ns=body.last_ns)
    test.book_ends = body.book_ends
    documents = [test.epochs.load(digest).epoch.document() for digest in body.epochs]
    if config_digest(documents) != body.config:
        raise CertificateError("the epochs that the certificate names have other documents here")
