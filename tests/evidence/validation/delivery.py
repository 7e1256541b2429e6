"""Write DELIVERY_VALIDATION.md: ``python -m tests.evidence.validation.delivery``.

Hours on a machine that has not played the campaigns yet: they are kept, and go on where they were.
"""

from collections.abc import Iterator
from itertools import groupby

from tests.evidence.chaos import (
    CHAOS_BROKER,
    CHAOS_FAILPOINTS,
    CHAOS_FAULTS,
    CHAOS_KILL9,
    CHAOS_REBALANCE,
    RECOVERY_TIME,
)
from tests.evidence.emit_overhead import EMIT_OVERHEAD
from tests.evidence.judge_mutants import JUDGE_MUTANTS
from tests.evidence.measurement import Result
from tests.evidence.price_of_once import PRICE_OF_ONCE
from tests.evidence.spill_drain import SPILL_DRAIN
from tests.evidence.validation import document
from tests.evidence.validation.delivery_scenarios import scenarios
from tests.evidence.validation.document import table

COMMAND = "python -m tests.evidence.validation.delivery"
NAME = "DELIVERY_VALIDATION.md"

_DEFINITIONS = """\
## Definitions

- **Undisturbed**: what one worker says about the same tape when nothing happens to it. A run under
  faults must say the same, byte for byte, whatever comes twice.
- **Judged**: by `tests/chaos/judge`, which imports nothing of the product, from topics and rows.
- **Strike**: one fault at a seeded moment. Where none of n did harm, at most 3 in n do (95 %).
- **Ready**: from the signal to the first decision that the new process says."""

# Of the document as it stands; campaigns that are played anew in one go leave nothing to say here.
_PLAYED = """\
## What was played on which code

On 28 November 2026, with four to six campaigns beside each other on the two processors.

- Behind the mends of that day (recovery beside a silent broker, moves, decisions aside):
  `chaos-kill9`, `recovery-time`, `chaos-failpoints`, `refuse` and `jump` at c4626053,
  `outage-of-two` at 186bf30b, `outage-recovering` and `chaos-broker` at dde9bbf5 and ee8ddd0f,
  20 strikes of the latter at 55246c57. Between these only tests were changed.
- Hours before, at dc95e366, and `double` at 89bf7e6f: `chaos-rebalance`, `roll`, `sleep`, `rows`,
  `rows-away`, `archive`, `asking`, `spill`, `slow`, `cache`, `execution`, `explain`, `damaged`,
  `disordered`, `together` and `flood`. Behind the mends 75 strikes of `roll` and 16 of `asking`
  broke no promise, either. How soon `roll` is ready again is of the last 25 of them, nearly alone;
  with four other campaigns P95 was 6.0 s.
- `kill-wide` at 30a39f6d; behind the mends 10 more kills broke no promise.
- `judge-mutants`, `emit-overhead`, `spill-drain` and `price-of-once` are of an older chain, and of
  a slower machine.
- Before the mends `outage-recovering` broke its promise at every strike that met a recovery, frozen
  or killed: the worker stayed, and decided nothing."""

_LIMITS = """\
## What this does not show

- Brokers with several nodes, and machines whose power fails: processes are killed, disks are not.
- Networks that lose or delay packets between worker and broker.
- Rows (I7) in every run: archive and forensics run along in every fourth one of kills, outages
  and rebalances, and in all of `rows`, `rows-away` and `archive`; in failpoints they do not.
- Deaths of the stages that take executions, explain and archive, and of the outage buffer, in
  simulation: they are played on the real broker alone, each point at least three times.
- Hours without a store: PostgreSQL is away for 1 to 8 s at a time or for nearly a tape, which
  leaves some 7,200 decisions on the archive's disk, and Redis for 3 s. How long they may be is
  bounded by the segments on disk, see the README.
- Other faults under high load: `kill-wide` has 400 symbols, the other campaigns' tapes have 8.
  Load without faults is `double`, `tick-rate` and `chain-latency-loaded`.
- What the judge leaves out, see `tests/chaos/judge/__init__.py`."""


def _rows(faults: Result) -> Iterator[list[str]]:
    for name, row in faults.parts.items():
        ready = f", ready {row['ready_s_p95']:g} s" if "ready_s_p95" in row else ""
        n_bad = len(row["violations"])
        yield [
            f"`{name}`",
            row["fault"],
            row["promise"],
            f"{row['strikes']} of {row['expected']}",
            f"{n_bad} broken{ready}",
        ]


def _scenarios() -> Iterator[str]:
    """Write one table a group; a test is named once behind its file."""
    for group, members in groupby(scenarios(), key=lambda one: one.group):
        yield f"### {group.capitalize()}"
        yield table(
            ["What breaks", "Answer", "Tests"],
            [
                [one.breaks, one.answer, "<br>".join(f"`{test}`" for test in one.tests)]
                for one in members
            ],
        )


def main() -> None:
    """Measure, or take what is kept, and write."""
    measured = document.run(
        (
            CHAOS_KILL9,
            RECOVERY_TIME,
            CHAOS_FAILPOINTS,
            CHAOS_BROKER,
            CHAOS_REBALANCE,
            CHAOS_FAULTS,
            JUDGE_MUTANTS,
            EMIT_OVERHEAD,
            SPILL_DRAIN,
            PRICE_OF_ONCE,
        )
    )
    _, faults = measured[CHAOS_FAULTS.name]
    sections = [
        "# Delivery: nothing lost, nothing twice",
        "## Verdicts",
        document.verdicts(measured),
        "## Faults, one row each",
        table(["Fault", "What is done", "Promise", "Strikes", "Result"], _rows(faults)),
        _DEFINITIONS,
        "## Scenarios and their tests",
        *_scenarios(),
        _PLAYED,
        _LIMITS,
    ]
    document.write(NAME, COMMAND, sections)


if __name__ == "__main__":
    main()
