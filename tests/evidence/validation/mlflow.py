"""Write MLFLOW_MIGRATION_REPORT.md: ``python -m tests.evidence.validation.mlflow``.

About eight minutes.
"""

from models.registry.retention import BEST, DAYS
from tests.evidence.measurement import Result
from tests.evidence.mlflow_migrate import KILLED_AT, MLFLOW_MIGRATE, RUNS, STEPS
from tests.evidence.mlflow_writers import CHOSEN, EVERY_S, METRICS, MLFLOW_WRITERS, WAYS, WRITERS
from tests.evidence.validation import document
from tests.evidence.validation.document import table

COMMAND = "python -m tests.evidence.validation.mlflow"
NAME = "MLFLOW_MIGRATION_REPORT.md"

_PURPOSE = """\
Whether a store of MLflow comes from SQLite into PostgreSQL with nothing lost, and whether many
trainers can write to it there at once. A figure that misses its promise is printed as it is."""

_DEFINITIONS = """\
## Definitions

- **Source**: a SQLite file that MLflow's own client has written: {runs} runs with three metrics of
  {steps:,} steps each and one of NaN, infinities, the smallest and very large numbers; texts of
  several alphabets; a deleted run and a deleted experiment; a dataset; a registered model with
  versions, a deleted one among them, tags and aliases; a trace with its span.
- **Equal**: the same number of rows, and the same checksum: SHA-256 of each row, added up modulo
  2^256, so the order in which a database gives rows plays no part. Values are compared as
  PostgreSQL's types: booleans, integers of 64 bits, floats by their bits (a zero has no sign),
  texts, JSON by its text. Rows are also counted by SQLite itself, in the untouched file.
- **Killed**: SIGKILL at {killed}, then the same command again.
- **Way back**: the store in PostgreSQL written to a new SQLite file, and compared again.
- **Writers**: {writers} processes with an experiment and a run each. Every {every:g} s, out of step
  with each other, an epoch gives {metrics} metrics. A write's time is how long its call holds the
  trainer, not when it is on disk; *rest* is how long the last trainer waits at its end until all
  is. Metrics are counted in SQL afterwards."""

_RULES = """\
## What is kept

`tradewind mlflow retain` runs once a day in a live stack. A run stays if a version that was made of
it has an alias (champion, challenger), if it, the version or the model is tagged as production, if
it was seen within the last {days} days (begun, ended, logged, deleted, or its model was champion),
or if it is among the best {best} of its experiment by the metric that the experiment's tag
`tradewind.best_by` names. An experiment without that tag keeps everything that nobody deleted. What
goes is archived first (tar in zstd: rows as lines of JSON, and the artefacts), read again, and only
then deleted: versions, files, rows. `tests/unit/models/registry/test_retention.py` draws runs at
random and compares with the rule said by counting: nothing goes that must stay, nothing stays that
may go, twice is once."""

_LIMITS = """\
## What this does not show

- Artefacts are not moved: their places are. What is behind `mlflow-artifacts:` has to be copied to
  the new server by hand; the command says so.
- PostgreSQL takes less than SQLite: a text with NUL or beyond its column, a number beyond its type,
  a row that refers to none. Such a file is refused whole with the row named; nothing is repaired.
- A store that is not empty is not merged into: ids would meet.
- Writers measure MLflow's client and the embedded PostgreSQL on one machine that others used at the
  same time; only the ways among each other can be compared.
- A write in the background is not on disk when the call returns. A trainer that is killed loses
  what was gathered; one that ends in order waits for it, and an error of it is its own error.
- Models that other programs logged apart from runs (MLflow 3) are not touched by retention."""


def main() -> None:
    """Measure both and write the document."""
    results = document.run((MLFLOW_MIGRATE, MLFLOW_WRITERS))
    sections = [
        "# MLflow on PostgreSQL: migration report",
        _PURPOSE,
        "## Verdict\n\n" + document.verdicts(results),
        _DEFINITIONS.format(
            runs=RUNS,
            steps=STEPS,
            killed=", ".join(f"*{step}*" for step in KILLED_AT),
            writers=WRITERS,
            every=EVERY_S,
            metrics=METRICS,
        ),
        _moved(results[MLFLOW_MIGRATE.name][1]),
        _written(results[MLFLOW_WRITERS.name][1]),
        _RULES.format(days=DAYS, best=BEST),
        _LIMITS,
    ]
    path = document.write(NAME, COMMAND, sections)
    print(path.relative_to(document.FOLDER.parents[1]))  # noqa: T201  a command speaks


def _moved(result: Result) -> str:
    parts = result.parts
    rows = [[f"`{name}`", f"{count:,}"] for name, count in parts["rows_by_table"].items()]
    empty = parts["tables"] - parts["tables_with_rows"]
    return f"""\
## Tables

{table(["Table", "Rows, equal on both sides"], rows)}

{empty} more tables are empty on both sides. {result.n:,} rows in all, schema `{parts["revision"]}`,
{parts["sequences_set"]} sequences set. Rows as SQLite counts them:
{_said(parts["counted_by_sqlite_itself_equal"])}. Way back: {_said(parts["way_back_equal"])}. Killed
and gone on {parts["killed_and_resumed"]} times. The file of {parts["source_bytes"]:,} bytes is the
same, byte by byte: {"yes" if parts["source_untouched"] else "**no**"}."""


def _written(result: Result) -> str:
    rows = [
        [
            f"**{way}**" if way == WAYS[CHOSEN] else way,
            f"{row['calls']:,}",
            *(f"{row[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms", "epoch_p95_ms")),
            f"{row['worst_rest_s']:.1f}",
            f"{row['errors']}",
            f"{row['missing']}",
        ]
        for way, row in result.parts["ways"].items()
    ]
    header = [
        *("Way", "Calls", "P50, ms", "P95, ms", "P99, ms"),
        *("Epoch P95, ms", "Rest, s", "Errors", "Missing"),
    ]
    return f"""\
## Writers: {result.parts["experiments_at_once"]} experiments at once

{table(header, rows)}

Registering a model writes its metrics in the way in bold; its P95 is {result.ratio} times that of
one metric through the server."""


def _said(equal: bool) -> str:  # noqa: FBT001  a verdict
    return "equal" if equal else "**not equal**"


if __name__ == "__main__":
    main()
