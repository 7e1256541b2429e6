"""``shadow-inert``: a run with and without a shadow; the value is the records of books that differ.

Decisions, executions and accounts after every bar, and what the book keeps at the end, byte by
byte. That the comparison sees a difference is shown by a canary on the same tape. Beside it what a
challenger costs the stage, both ways of it taking turns over the same slices.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from agents.prediction import PREDICTION, PredictionFold
from agents.run.in_process import Books, InProcess, Said, play
from models.rollout.assignment import challenged
from streams.clock import monotonic_s
from streams.dead_letters import DeadLetter
from streams.epochs import Challenge, Epoch, Portfolio
from streams.slices import Slice
from streams.sources.replay import Stretch
from streams.sources.synthetic import SyntheticTape
from streams.transport import Record
from tables.book import StoredAccount, encode_account
from tables.decisions import execution_event, snapshot_event
from tables.epochs import Epochs
from tests.builders import FREE, epoch, epochs_in
from tests.evidence.measurement import Measurement, Result, quantile

TAPE = SyntheticTape(symbols=20, bars=600, ticks_per_bar=2, seed=11, timeframe="1min")
PORTFOLIOS = (
    Portfolio(id="main", limits=FREE),
    Portfolio(id="part", limits=FREE, universe=TAPE.symbols[:7]),
)
N_PARTITIONS = 2
SHADOW = Challenge(id="evidence", challenger="")
CANARY = Challenge(id="evidence", challenger="", share=0.25)


class Played(NamedTuple):
    """What a run's books said, by kind, and the slices that prediction was given."""

    decisions: list[bytes]
    executions: list[bytes]
    accounts: list[bytes]
    kept: list[bytes]
    given: list[Slice]


def document(rollout: Challenge | None) -> Epoch:
    """Return the epoch of a run."""
    return epoch(
        TAPE.symbols,
        n_partitions=N_PARTITIONS,
        portfolios=PORTFOLIOS,
        lateness_ms=0,
        rollout=rollout,
    )


def played(epochs: Epochs, digest: str) -> Played:
    """Fold the tape under an epoch."""
    found, accounts = Played([], [], [], [], []), {}
    books = Books(epochs, N_PARTITIONS)

    def watch(stage: str, slice_: Slice) -> None:
        if stage == "weights":
            found.given.append(slice_)

    chain = InProcess(epochs, N_PARTITIONS, books.take, watch)
    said: Said
    for said in play(chain, epochs.load(digest), TAPE, Stretch(0, TAPE.closes_ns()[-1])):
        if isinstance(said, DeadLetter):
            raise TypeError(f"a dead letter: {said.reason}, {said.detail}; expected none")
        slot, account = said.slot, said.account
        found.decisions.extend(map(msgspec.json.encode, said.decisions))
        executed = (execution_event(slot, each) for each in said.outcome.executions)
        found.executions.extend(map(msgspec.json.encode, executed))
        found.accounts.append(msgspec.json.encode(snapshot_event(slot, account)))
        accounts[slot.portfolio.id] = account
    for name in sorted(accounts):
        # The digest of the epoch is its name: it must differ, and decides nothing.
        stored = StoredAccount((0, 0), "", 0, accounts[name].kept)
        found.kept.append(encode_account(stored, accounts[name].scenarios.earned))
    return found


def differing(one: Played, other: Played) -> dict[str, int]:
    """Count the records of each kind that differ, in order."""
    return {
        name: sum(a != b for a, b in zip(mine, theirs, strict=False)) + abs(len(mine) - len(theirs))
        for name, mine, theirs in zip(one._fields[:4], one[:4], other[:4], strict=True)
    }


def costs(epochs: Epochs, digests: tuple[str, ...], given: list[Slice]) -> list[dict[str, float]]:
    """Time the stage over the same slices under each epoch, taking turns."""
    spent: list[list[float]] = [[] for _ in digests]
    folds = [
        [PredictionFold(PREDICTION, epochs, p, lambda _key: None) for p in range(N_PARTITIONS)]
        for _ in digests
    ]
    for slice_ in given:
        for place, digest in enumerate(digests):
            meta = msgspec.structs.replace(slice_.meta, epoch_digest=digest)
            mine, partition = Slice(meta, slice_.batch), slice_.meta.partition
            record = Record("strategy-weights", partition, 0, None, None, [])
            begun_s = monotonic_s()
            fold = folds[place][partition]
            _, result = fold.fold(record, mine)
            assert result is not None
            list(fold.spec.route(epochs.load(digest), result, result.encode(), record))
            spent[place].append(1e3 * (monotonic_s() - begun_s))
    ordered = [sorted(each) for each in spent]
    return [{"p50_ms": quantile(each, 0.5), "p95_ms": quantile(each, 0.95)} for each in ordered]


def measure() -> Result:
    """Play the tape without, with a shadow and with a canary."""
    with tempfile.TemporaryDirectory() as folder:
        documents = (document(None), document(SHADOW), document(CANARY))
        epochs, digests = epochs_in(Path(folder), *documents)
        plain, shadow, canary = (played(epochs, digest) for digest in digests)
        alone, beside = costs(epochs, digests[:2], plain.given)
    inert, seen = differing(plain, shadow), differing(plain, canary)
    assigned = {
        each.id: len(challenged(CANARY.id, each.id, each.universe or TAPE.symbols, CANARY.share))
        for each in PORTFOLIOS
    }
    return Result(
        value=float(sum(inert.values())),
        holds=not any(inert.values()) and seen["decisions"] > 0,
        n=sum(len(each) for each in plain[:4]),
        parts={
            "differ_in_shadow": inert,
            "differ_in_a_canary": seen,
            "assigned_in_the_canary": assigned,
            "orders": len(plain.executions),
            "stage_without": alone,
            "stage_with_a_shadow": beside,
            "p95_delta_ms": beside["p95_ms"] - alone["p95_ms"],
            "rows_a_slice": len(TAPE.symbols) / N_PARTITIONS,
        },
        peer="the stage without a challenger",
        ratio=beside["p50_ms"] / alone["p50_ms"],
    )


SHADOW_INERT = Measurement(
    "shadow-inert",
    "records of the books that differ with a shadow",
    "0 of all decisions, executions and accounts, byte by byte; a canary is seen",
    2,
    measure,
)
