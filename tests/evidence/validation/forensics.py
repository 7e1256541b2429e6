"""Write FORENSICS_DECOUPLING_VALIDATION.md: ``python -m tests.evidence.validation.forensics``.

About half an hour. With a file of lines that ``tradewind evidence NAME --json`` printed, the
measurements in it are not repeated.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.evidence.catalogue import CATALOGUE
from tests.evidence.forensics_ingest import MOONSHOT_SHARE
from tests.evidence.measurement import Measurement, Result, machine
from tests.evidence.validation import document
from tests.evidence.validation.document import table
from tests.tampering import DEEDS

COMMAND = "python -m tests.evidence.validation.forensics"
NAME = "FORENSICS_DECOUPLING_VALIDATION.md"
MEASURED = (
    "forensics-overhead",
    "forensics-lag",
    "forensics-ingest",
    "audit-tamper",
    "shap-rate",
    "recompute-identical",
)

_PURPOSE = """\
Forensics keeps, proves and explains every decision, and trading must not notice. What is shown
here: what the roles cost the chain beside them, how far behind they are, how fast the audit trail
is written, whether a change of it is found, whether explanations add up to what was said, and
whether a decision comes again. A figure that misses its promise is printed as it is."""

_DECOUPLED = """\
## Why trading cannot wait for it

- The roles read `trading-decisions` in consumer groups of their own, in processes of their own, and
  write nothing that a trading stage reads. Between them and trading is the broker's log alone.
- A role that stands still leaves its records in the topic, for 7 days. Kafka does not slow a
  producer down for a reader that lags.
- The audit trail has one batch on its way and reads one more; the explaining worker holds 8 batches
  a partition. Nothing else waits in memory, so a slow database makes a lag and no growth.
- `tests/e2e/test_explain.py` kills both roles in the middle of a run and compares its decisions,
  executions and accounts with those of an undisturbed run, byte for byte.
- All of them run at a lower priority (nice 10), and begin a quarter of a second after the first
  record of a bar: on a full machine they give way."""

_LIMITS = """\
## What this does not show

- Broker, PostgreSQL and all roles share one machine here, of two virtual processors on one core,
  with other programs on it. Rates are those of that machine; ratios are of one run, in turns. Two
  processes do not show what two machines would do.
- The deeds of `audit-tamper` are those of somebody with all rights in the database and without the
  signing key. Whoever has the key can sign anything; a copy of the heads elsewhere is what is left
  then. Rewritten rows with sound links are known to the minute of their head.
- Values of features within a family are estimates on demand. The families' values are exact for
  their question, which holds the weights fixed and takes the mean of training for what is absent.
- TimescaleDB was not at hand; days are native partitions here."""


def kept(path: Path) -> dict[str, Result]:
    """Read results that the program printed."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    fields = Result._fields
    return {row["name"]: Result(**{field: row[field] for field in fields}) for row in rows}


def main(arguments: list[str]) -> None:
    """Measure what is not given and write the document."""
    given = kept(Path(arguments[0])) if arguments else {}
    results: dict[str, tuple[Measurement, Result]] = {
        name: (CATALOGUE[name], given[name] if name in given else CATALOGUE[name].measure())
        for name in MEASURED
    }
    sections = [
        "# Forensics beside trading: validation",
        _PURPOSE,
        "## Verdict\n\n" + document.verdicts(results),
        _DECOUPLED,
        _cost(results["forensics-overhead"][1], results["forensics-lag"][1]),
        _ingest(results["forensics-ingest"][1]),
        _tamper(results["audit-tamper"][1]),
        _explained(results["shap-rate"][1], results["recompute-identical"][1]),
        _LIMITS,
        f"Load of the machine at the end: {machine()['load_1min']} over one minute.",
    ]
    document.write(NAME, COMMAND, sections)


def _cost(overhead: Result, lag: Result) -> str:
    o, g = overhead.parts, lag.parts
    rows = [
        ["P50", f"{o['without_p50_ms']} ms", f"{o['with_p50_ms']} ms"],
        ["P95", f"{o['without_p95_ms']} ms", f"{o['with_p95_ms']} ms"],
    ]
    by_round = ", ".join(str(ratio) for ratio in o["ratio_by_round"])
    return f"""\
## What it costs, and how far behind it is

`tradewind evidence forensics-overhead`: closing heartbeat to the last of 200 decisions, with audit
trail, explaining worker and archive beside the chain and without, in turns. P95 with over P95
without, by round: {by_round}.

{table(["Latency", "Without", "With"], rows)}

`tradewind evidence forensics-lag`: {g["decisions_per_s"]} approved orders a second, each explained
by the model. From decision to explanation: P50 {g["explained_s_p50"]} s, P99 {lag.value} s, at most
{g["explained_s_max"]} s. From decision to durable row of the trail: P50 {g["audit_row_s_p50"]} s,
P99 {g["audit_row_s_p99"]} s."""


def _ingest(result: Result) -> str:
    p: Mapping[str, Any] = result.parts
    rows = [
        ["the role, Kafka to durable, one process", f"{p['role_1_per_s']:,}", ""],
        ["the role, two processes", f"{p['role_2_per_s']:,}", f"{p['ratio_2_processes_to_1']}"],
        ["COPY of the same rows from memory", f"{p['copy_per_s']:,}", f"{p['ratio_copy']}"],
        ["COPY into staging, then INSERT", f"{p['staging_per_s']:,}", ""],
        ["executemany, 2,000 a batch", f"{p['executemany_per_s']:,}", f"{p['ratio_executemany']}"],
        ["INSERT and commit a row", f"{p['row_by_row_per_s']:,}", f"{p['ratio_row_by_row']}"],
        ["reading and decoding alone, aiokafka", f"{p['read_aiokafka_per_s']:,}", ""],
        ["reading and decoding alone, librdkafka", f"{p['read_librdkafka_per_s']:,}", ""],
    ]
    to_many = p["copy_per_s"] / p["executemany_per_s"]
    to_row = p["copy_per_s"] / p["row_by_row_per_s"]
    return f"""\
## How fast the trail is written

`tradewind evidence forensics-ingest`: decisions of {p["bytes_per_decision"]:,} bytes, medians over
turns. The ratio is that of the role with one process to the line (for two processes: two to one).

{table(["Way", "Per second", "Ratio"], rows)}

The highest rate of a turn was {p["highest_per_s"]:,} a second. For each second of processor time
that the role itself took, one process kept {p["role_1_of_its_core_per_s"]:,} decisions and two kept
{p["role_2_of_its_core_per_s"]:,}; PostgreSQL and the broker take theirs besides. The moonshot of
{MOONSHOT_SHARE:g} of COPY {"was reached" if p["ratio_copy_moonshot_holds"] else "was not reached"}.

COPY itself, from memory, without a chain and without Kafka, is {to_many:.2f} times as fast as
executemany and {to_row:.1f} times as fast as a row at a time: the database is reached by a socket
of this machine, where a round trip costs next to nothing. A role that is to be 1.5 and 50 times as
fast as these would have to beat COPY.

Two processes share the cores of this machine with PostgreSQL and the broker. At what each of them
did, 100,000 a second take {p["processes_for_100000_per_s"]} processes and as many partitions
(chains do not share state), on as many machines like this one as there are pairs; more cores were
not measured."""


def _tamper(result: Result) -> str:
    p = result.parts
    kinds: Mapping[str, Any] = {kind: p[kind] for kind in DEEDS} | {
        f"heads: {kind}": each for kind, each in p["heads"].items()
    }
    columns = ("found", "found_alone", "located", "first_row_named")
    rows = [[kind, *(str(each[name]) for name in columns)] for kind, each in kinds.items()]
    return f"""\
## Whether a change is found

`tradewind evidence audit-tamper`: each deed goes alone into a trail of {p["rows"]} rows, or into
its signed heads, by somebody who does not have the key. Located: a fault names rows of the deed,
and none names rows of an earlier head. By itself: without a copy of the heads from elsewhere
(`--heads`). A bundle whose last one or two heads were cut off looks like one whose last minutes
have none yet; the copy tells them apart.

{table(["Deed", "Found of 50", "By itself", "Located", "First row named"], rows)}"""


def _explained(rate: Result, again: Result) -> str:
    p = rate.parts
    ways = {
        "ours, exact over seven players": "ours",
        "shap Permutation": "permutation",
        "shap Kernel": "kernel",
        "shap Deep": "deep",
    }
    rows = [
        [said, f"{p[f'{name}_rows_per_s']:,}", f"{p[f'{name}_residual_max']:.1e}"]
        for said, name in ways.items()
    ]
    a = again.parts
    near = a["from_the_nearest_checkpoint"]
    return f"""\
## Whether explanations add up and decisions come again

`tradewind evidence shap-rate`, on {p["networks"]} served networks: rows per second of processor
time on one core, and the largest residual in log odds.

{table(["Explainer", "Rows/s", "Residual"], rows)}

`tradewind evidence recompute-identical`: {again.value:g} of {again.n} drawn decisions
({a["refused"]} of them refused) have the same bytes when the log of the book is folded again,
{near} from the nearest checkpoint. Folded from the first tick through all stages,
{a["rebuilt_from_ticks"]:,} of {a["decisions"]:,} decisions of the run have the same bytes; from
three checkpoints that were taken beside the workers, {a["rebuilt_from_checkpoints"]:,} of the
{a["behind_checkpoints"]:,} behind them. {a["confidences_reproduced"]:,} of
{a["confidences"]:,} confidences are reproduced bit for bit from the features that the decisions
carry."""


if __name__ == "__main__":
    main(sys.argv[1:])
