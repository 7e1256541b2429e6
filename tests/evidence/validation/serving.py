"""Write INFERENCE_API_VALIDATION.md: ``python -m tests.evidence.validation.serving [FILE]``.

About half an hour. With a file of lines that ``tradewind evidence NAME --json`` printed, the
measurements in it are not repeated. It writes the section on the cache of
DATA_PIPELINE_VALIDATION.md too, and prints the rows of README's table "Measured".
"""

import sys
from pathlib import Path

from tests.evidence.catalogue import CATALOGUE
from tests.evidence.measurement import Measurement, Result, machine
from tests.evidence.validation import document
from tests.evidence.validation.cache import section as cache_section
from tests.evidence.validation.document import table
from tests.evidence.validation.forensics import kept
from tests.may_call import ROLES

COMMAND = "python -m tests.evidence.validation.serving"
NAME = "INFERENCE_API_VALIDATION.md"
DATA = "DATA_PIPELINE_VALIDATION.md"
MEASURED = (
    "risk-http",
    "predict-latency",
    "features-latency",
    "cache-hits",
    "api-fuzz",
    "auth-cases",
)

Results = dict[str, tuple[Measurement, Result]]

_PURPOSE = """\
The API answers from the folds of the worker that owns the portfolio. What is shown here: how long
questions and wishes take under load, beside MLflow's scoring server, a raw Redis and a bare echo of
the same server; that what was approved at once by many keeps the limits; that every answer is one
that the document promises; and that nobody gets in without a right. A figure that misses its
promise is printed as it is."""

_DEFINITIONS = """\
## Definitions

- **Open loop**: requests are sent at their times, whether earlier ones were answered or not, from a
  process of its own; a latency counts from when the request was meant to go. Rate limits, tokens
  and checks of bodies are on in every row. What stands beside it takes turns in the same run.
- **Predict**: features, regime and weights of the last bar through the ensemble, sizing and 21
  controls in the book's fold, appended to its log and its decision acknowledged by Kafka, before
  the answer. Explanations are off.
- **MLflow's scoring server**: the same ensemble as a pyfunc model from code, `scoring_server.init`
  under uvicorn, given the rows that the ensemble sees of each symbol. Confidence and target are
  first compared with the API's for every symbol and must be equal to the last bit. It predicts and
  does nothing else: no caller is checked, no book asked, nothing is kept.
- **Two hops**: the floor of a decision: a bare producer and consumer in one process pass a record
  of the size of a wish and, when it is read back, one of the size of its decision, and wait until
  the broker has that.
- **Echo**: the same aiohttp server, JSON in and the same JSON out.
- **Race**: 2,000 wishes from 64 callers as fast as they are answered; afterwards the account's
  exposure, leverage and net exposure are compared with its limits.
- **Fuzz**: schemathesis makes requests from the published OpenAPI document, half of them valid and
  half broken. Every second valid one speaks of symbols, portfolios and decisions that are there.
  Each answer is held against the document: status, content type, headers, schema, no 5xx, and
  nothing accepted that the schema forbids. A deadline that a case sets is raised to 30 s, since to
  answer 504 after one millisecond would be right.
- **Auth**: forged, stolen, expired and damaged tokens against a real worker; and every role, and
  nobody, at every endpoint."""

_LIMITS = """\
## What this does not show

- Half of MLflow's P95 is missed, and is below the floor: two acknowledged hops of bare clients take
  longer by themselves. Tried, measured before and after within the hour: requests of a caller told
  to Redis in parts, columns of a bar read once, portfolios of a worker read from its folds, and no
  machinery for retries around a send that succeeds. The P95 at 200/s fell from 40.7 to 16.6 ms,
  and most of what is left is the way over the log.
- Client, server, broker and stores share one machine; over a network its latency comes on top.
- One worker, one portfolio. With several workers a request may take one hop to the owner.
- TLS is off.
- The fuzz looks for answers that the document does not allow, not for wrong numbers: those are
  compared in tests (`tests/unit/tables/views`, `tests/e2e/test_serving.py`)."""


def main(arguments: list[str]) -> None:
    """Measure what is not given, write the document and the section, print README's rows."""
    given = kept(Path(arguments[0])) if arguments else {}
    results: Results = {
        name: (CATALOGUE[name], given[name] if name in given else CATALOGUE[name].measure())
        for name in MEASURED
    }
    plain = {name: result for name, (_, result) in results.items()}
    sections = [
        "# The inference API: validation",
        _PURPOSE,
        "## Verdict\n\n" + document.verdicts(results),
        _DEFINITIONS,
        _predict(plain["predict-latency"]),
        _risk(plain["risk-http"]),
        _fuzz(plain["api-fuzz"]),
        _auth(plain["auth-cases"]),
        f"Features and their cache: see [{DATA}]({DATA}).",
        _LIMITS,
        f"Load of the machine at the end: {machine()['load_1min']} over one minute.",
    ]
    document.write(NAME, COMMAND, sections)
    document.put_section(DATA, cache_section(plain["features-latency"], plain["cache-hits"]))
    print("\n".join(rows_of_readme(results)))  # noqa: T201  a command speaks


def _predict(result: Result) -> str:
    rates = (("100", result.parts["at_100"]), ("200", result.parts["at_200"]))
    rows = [
        [
            f"{rate}/s",
            f"{at['p50_ms']} / {at['p95_ms']} / {at['p99_ms']}",
            f"{at['mlflow_p50_ms']} / {at['mlflow_p95_ms']}",
            f"{at['two_hops_p50_ms']} / {at['two_hops_p95_ms']}",
            f"{at['echo_p95_ms']}",
        ]
        for rate, at in rates
    ]
    header = [
        "Rate",
        "Predict P50 / P95 / P99, ms",
        "MLflow P50 / P95, ms",
        "Two hops P50 / P95, ms",
        "Echo P95, ms",
    ]
    return f"""\
## Predict

`tradewind evidence predict-latency`, {result.n:,} requests with 12 tokens. Ratio of the P95s to
MLflow's at the worse rate: {result.ratio}; to the echo's: {result.parts["echo_ratio"]}. Outputs
were equal for {result.parts["outputs_equal"]} symbols.

{table(header, rows)}"""


def _risk(result: Result) -> str:
    p = result.parts
    return f"""\
## Risk check

`tradewind evidence risk-http`, {result.n:,} questions at 500/s with 60 tokens: P50
{p["p50_ms"]} ms, P95 {result.value} ms, P99 {p["p99_ms"]} ms; the echo's P95 {p["echo_p95_ms"]} ms,
ratio in the worst round {result.ratio}. The race: {p["race_orders"]:,} wishes, answered
{p["race_statuses"]}; {p["race_lots_approved"]:,} lots were approved, and by the answers alone no
asset came above {p["race_worst_asset_fraction"]:.1%} of equity; limits broken:
{p["limits_broken"]}."""


def _fuzz(result: Result) -> str:
    roles = result.parts.get("roles", {})
    rows = [
        [f"`{label}`", roles.get(label, "admin"), f"{n:,}"]
        for label, n in result.parts["cases"].items()
    ]
    return f"""\
## Fuzz

`tradewind evidence api-fuzz`: {result.n:,} cases, {result.parts["answers_5xx"]} answers of 5xx,
{result.value:g} answers that the document does not allow. Statuses: {result.parts["statuses"]}.

Each endpoint is asked as the role that may do least of those that may call it.

{table(["Endpoint", "As", "Cases"], rows)}"""


def _auth(result: Result) -> str:
    p = result.parts
    return f"""\
## Who may call

`tradewind evidence auth-cases`: {p["attacks"]} forged or stolen tokens and {p["combinations"]}
combinations of role and endpoint; {result.value:g} got through. Who is meant to get in is a table
that was written by hand (`tests/may_call.py`); what it does not name is denied. Who got in:

{table(["Endpoint", *ROLES], _who(p.get("let_in", {})))}"""


def _who(let_in: dict[str, str]) -> list[list[str]]:
    return [
        [f"`{label}`", *("yes" if role in roles.split() else "no" for role in ROLES)]
        for label, roles in let_in.items()
    ]


def rows_of_readme(results: Results) -> list[str]:
    """Return the rows of README's table of measurements, for whoever keeps it."""
    told = {
        "risk-http": "`POST /risk/check` at 500/s: P95 {value} ms; echo {echo_p95_ms} ms, ratio "
        "{ratio}; {race_orders} wishes at once, limits broken {limits_broken}",
        "predict-latency": "decided on Kafka: P95 {value} ms at the worse of 100/s and 200/s; "
        "{ratio} of MLflow's scoring server, {echo_ratio} of an echo",
        "features-latency": "at 500/s: P95 {value} ms; raw Redis GET {redis_p95_ms} ms, ratio "
        "{ratio}",
        "cache-hits": "{value} of the reads hit while {bars_closed_meanwhile} bars close; "
        "{stale_answers} of {answers_checked} answers stale",
        "api-fuzz": "{value} wrong answers, {answers_5xx} of 5xx",
        "auth-cases": "{value} of {attacks} forged tokens and {combinations} combinations of role "
        "and endpoint got through",
    }
    rows = []
    for name, (measurement, result) in results.items():
        fields = {**result.parts, "value": f"{result.value:g}", "ratio": result.ratio}
        verdict = "met" if result.holds else "missed"
        said = told[name].format(**fields)
        rows.append(f"| `{name}` | {said} | {measurement.target}: {verdict} | {result.n:,} |")
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
