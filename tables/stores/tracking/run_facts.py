"""What the tables of MLflow say about its runs, and what belongs to one of them."""

from collections.abc import Iterator
from typing import NamedTuple

from psycopg import sql

from models.registry.retention import Ranking, Run
from tables.stores.model_registry import BEST_BY_TAG, CHAMPION_UNTIL_TAG
from tables.stores.tracking.postgres_schema import Connection

RETIRED_TAG = "tradewind.retired"

_DELETED = "Deleted_Internal"
_RETIRED = f"SELECT value FROM tags WHERE run_uuid = r.run_uuid AND key = '{RETIRED_TAG}'"  # noqa: S608  constants
# A tag marks production by its key or by its value, whatever its case: better too much is kept.
_PRODUCTION = "'production' IN (lower(t.key), lower(t.value))"
_FACTS = f"""
SELECT r.run_uuid, r.experiment_id::text, r.artifact_uri, r.lifecycle_stage = 'deleted',
    greatest(
        coalesce(r.start_time, 0), coalesce(r.end_time, 0), coalesce(r.deleted_time, 0),
        coalesce((SELECT max(timestamp) FROM latest_metrics WHERE run_uuid = r.run_uuid), 0),
        coalesce(v.seen, 0)
    ),
    coalesce(v.kept, false)
        OR EXISTS (SELECT FROM tags t WHERE t.run_uuid = r.run_uuid AND {_PRODUCTION}),
    ({_RETIRED})
FROM runs r LEFT JOIN LATERAL (
    SELECT max(greatest(coalesce(m.creation_time, 0), coalesce(m.last_updated_time, 0), coalesce(
            (SELECT t.value::bigint FROM model_version_tags t
             WHERE (t.workspace, t.name, t.version) = (m.workspace, m.name, m.version)
                AND t.key = '{CHAMPION_UNTIL_TAG}' AND t.value ~ '^[0-9]{{1,18}}$'), 0)
        )) AS seen,
        bool_or(lower(m.current_stage) = 'production'
            OR EXISTS (SELECT FROM registered_model_aliases a
                WHERE (a.workspace, a.name, a.version) = (m.workspace, m.name, m.version))
            OR EXISTS (SELECT FROM model_version_tags t
                WHERE (t.workspace, t.name, t.version) = (m.workspace, m.name, m.version)
                    AND {_PRODUCTION})
            OR EXISTS (SELECT FROM registered_model_tags t
                WHERE (t.workspace, t.name) = (m.workspace, m.name) AND {_PRODUCTION})
        ) AS kept
    FROM model_versions m
    WHERE (m.run_id = r.run_uuid OR strpos(m.source, r.run_uuid) > 0)
        AND m.current_stage IS DISTINCT FROM '{_DELETED}'
) v ON true
"""  # noqa: S608  constants

_INPUTS = "%(run)s IN (source_id, destination_id)"
_VERSIONS = "SELECT workspace, name, version FROM model_versions WHERE run_id = %(run)s"
# What belongs to a run besides the tables that refer to it.
_BESIDE = {
    "runs": "run_uuid = %(run)s",
    "experiments": "experiment_id = (SELECT experiment_id FROM runs WHERE run_uuid = %(run)s)",
    "inputs": _INPUTS,
    "input_tags": f"input_uuid IN (SELECT input_uuid FROM inputs WHERE {_INPUTS})",  # noqa: S608  see above
    "datasets": "dataset_uuid IN (SELECT source_id FROM inputs WHERE destination_id = %(run)s)",
    "model_versions": "run_id = %(run)s",
    "model_version_tags": f"(workspace, name, version) IN ({_VERSIONS})",
}
# The rest of these is shared with other runs, or MLflow itself says what becomes of it.
_GOES = ("input_tags", "inputs", "runs")


class Known(NamedTuple):
    """A run, where its artefacts are, and its archive if it was marked as leaving."""

    run: Run
    artifacts: str
    archive: str | None


def rankings(connection: Connection) -> dict[str, Ranking]:
    """Return by what each experiment ranks its runs, of those that say so."""
    asked = "SELECT experiment_id::text, value FROM experiment_tags WHERE key = %s"
    rows = connection.execute(asked, (BEST_BY_TAG,)).fetchall()
    found = {str(experiment): Ranking.of(str(value)) for experiment, value in rows}
    return {experiment: each for experiment, each in found.items() if each is not None}


def known(connection: Connection, ranked: dict[str, Ranking], run_id: str = "") -> list[Known]:
    """Return all runs, or one of them."""
    values: dict[str, float] = {}
    for experiment, ranking in ranked.items():
        asked = (
            "SELECT m.run_uuid, CASE WHEN m.is_nan THEN 'NaN' ELSE m.value END "
            "FROM latest_metrics m JOIN runs USING (run_uuid) WHERE experiment_id = %s AND key = %s"
        )
        found = connection.execute(asked, (int(experiment), ranking.metric))
        values.update({str(run): float(value) for run, value in found})
    only = sql.SQL("WHERE r.run_uuid = %s" if run_id else "")
    rows = connection.execute(
        sql.SQL("{} {}").format(sql.SQL(_FACTS), only), (run_id,) if run_id else None
    )
    return [
        Known(
            Run(str(run), str(experiment), int(seen), values.get(str(run)), kept, deleted),
            str(artifacts or ""),
            archive,
        )
        for run, experiment, artifacts, deleted, seen, kept, archive in rows
    ]


def rows_of(connection: Connection, run_id: str) -> Iterator[tuple[str, Iterator[str]]]:
    """Give every table with the rows that belong to a run, as JSON; inside a transaction."""
    chosen = _BESIDE | {table: f"{column} = %(run)s" for table, column in _referring(connection)}
    for table, condition in sorted(chosen.items()):
        yield table, _lines(connection, table, condition, run_id)


def mark(connection: Connection, run_id: str, archive: str, now_ms: int) -> None:
    """Write down that a run is archived: from here on it goes, whatever happens."""
    connection.execute(
        "UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = coalesce(deleted_time, %s) "
        "WHERE run_uuid = %s",
        (now_ms, run_id),
    )
    connection.execute(
        "INSERT INTO tags (run_uuid, key, value) VALUES (%s, %s, %s)",
        (run_id, RETIRED_TAG, archive),
    )


def versions_of(connection: Connection, run_id: str) -> list[tuple[str, str]]:
    """Return name and number of the models that were made of a run."""
    asked = "SELECT name, version FROM model_versions WHERE run_id = %s AND current_stage <> %s"
    rows = connection.execute(asked, (run_id, _DELETED)).fetchall()
    return [(str(name), str(version)) for name, version in rows]


def delete(connection: Connection, run_id: str) -> None:
    """Delete the rows that are a run's alone, in one transaction."""
    referring = {table: f"{column} = %(run)s" for table, column in _referring(connection)}
    with connection.transaction():
        for table, condition in (*referring.items(), *((t, _BESIDE[t]) for t in _GOES)):
            deleted = sql.SQL("DELETE FROM {} WHERE {}").format(
                sql.Identifier(table), sql.SQL(condition)
            )
            connection.execute(deleted, {"run": run_id})


def lock(connection: Connection, run_id: str) -> None:
    """Keep others from changing a run until the end of the transaction."""
    connection.execute("SELECT FROM runs WHERE run_uuid = %s FOR UPDATE", (run_id,))


def _lines(connection: Connection, table: str, condition: str, run_id: str) -> Iterator[str]:
    asked = sql.SQL("SELECT row_to_json(t)::text FROM {} t WHERE {}").format(
        sql.Identifier(table), sql.SQL(condition)
    )
    with connection.cursor(name="tradewind_lines") as cursor:
        for row in cursor.execute(asked, {"run": run_id}):
            yield str(row[0])


def _referring(connection: Connection) -> list[tuple[str, str]]:
    """Return the tables whose rows go with a run, and the column that names it."""
    asked = (
        "SELECT c.relname, a.attname FROM pg_constraint k "
        "JOIN pg_class c ON c.oid = k.conrelid "
        "JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] "
        "WHERE k.contype = 'f' AND k.confdeltype <> 'n' AND k.confrelid = 'runs'::regclass "
        "ORDER BY 1"
    )
    return [(str(table), str(column)) for table, column in connection.execute(asked)]
