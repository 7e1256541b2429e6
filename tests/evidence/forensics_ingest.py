"""``forensics-ingest``: decisions from Kafka into the durable, chained audit trail.

The role runs as it does beside a stack, in processes of its own, on a broker and a PostgreSQL of
this machine, so all of them share its cores. The peers write the very same rows from memory, in
turns with it: COPY, asyncpg's executemany, and one INSERT and commit a row. Two portfolios give two
partitions with records, for one process and for two.
"""

import asyncio
import statistics
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import confluent_kafka
import confluent_kafka.admin
import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from agents.forensics import FETCH_BYTES
from agents.run.stores import database
from agents.run.workers import Children
from agents.topology import prefix_of
from models.features.catalogue import NAMES
from streams import topics
from streams.brokers import stack_id
from streams.clock import monotonic_s, run_stamp
from streams.ids import decision_id
from streams.partitions import partition_of
from streams.records import Digests
from streams.timestamps import format_ns
from tables.archive import RunKey
from tables.audit_chain import AuditChain, Tip
from tables.audit_rows import _FOUND, COLUMNS, AuditRow
from tables.stores.audit_store import TABLE
from tables.stores.migrations import SCHEMA
from tables.stores.servers.postgres import PostgresServer
from tests.evidence.bench import N_PARTITIONS, stack
from tests.evidence.forensics_role import Values, declared, ingested
from tests.evidence.measurement import Measurement, Result
from tests.trails import key, record
from tests.unit.tables.views.played import decision

N_RECORDS = 80_000
N_ONE_BY_ONE = 500
N_MANY = 10_000
ROUNDS = 3
COPY_SHARE, MOONSHOT_SHARE = 0.5, 0.8
MANY_RATIO, ROW_RATIO = 1.5, 50.0
READ_RATE = WANTED_RATE = 100_000

_BATCH = 2_000
_SECOND = 10**9
_FIRST_CLOSE = 1_767_623_400 * _SECOND


def portfolios() -> list[str]:
    """Return names whose decisions stand in different partitions."""
    homes: dict[int, str] = {}
    for number in range(100):
        name = f"book{number}"
        homes.setdefault(partition_of(name, N_PARTITIONS), name)
    return [homes[partition] for partition in sorted(homes)]


def values() -> Values:
    """Draw decisions as large as real ones: 60 features of 17 digits, 3 kB."""
    draw = Random(20_260_105)  # noqa: S311  seeded samples
    digests = Digests("decision-v1", "a" * 64, "b" * 64, "c" * 64, "d" * 64)
    made = []
    for number in range(N_RECORDS):
        name = portfolios()[number % N_PARTITIONS]
        symbol, close_ns = f"S{number % 200:03d}", _FIRST_CLOSE + number // 400 * 60 * _SECOND
        event = decision(
            portfolio=name,
            symbol=symbol,
            timeframe="1min",
            timestamp=format_ns(close_ns),
            features={feature: draw.gauss(0, 1) for feature in NAMES},
            digests=digests,
        )
        id_ = decision_id(name, "1min", close_ns, symbol)
        event = msgspec.structs.replace(event, decision_id=id_)
        made.append((name, msgspec.json.encode(event)))
    return made


async def read_aiokafka(servers: str, run: str) -> float:
    """Read and decode all with aiokafka; return records per second."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    await consumer.start()
    topic = prefix_of(run) + topics.TRADING_DECISIONS.name
    consumer.assign([TopicPartition(topic, p) for p in range(N_PARTITIONS)])
    n_read, began_s = 0, monotonic_s()
    while n_read < N_RECORDS:
        for records in (await consumer.getmany(timeout_ms=1_000, max_records=_BATCH)).values():
            for each in records:
                _FOUND.decode(each.value)
            n_read += len(records)
    took_s = monotonic_s() - began_s
    await consumer.stop()
    return n_read / took_s


def read_librdkafka(servers: str, run: str) -> float:
    """Read and decode all with librdkafka; return records per second."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"{run}-read",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": FETCH_BYTES,
        }
    )
    topic = prefix_of(run) + topics.TRADING_DECISIONS.name
    consumer.assign([confluent_kafka.TopicPartition(topic, p, 0) for p in range(N_PARTITIONS)])
    n_read, began_s = 0, monotonic_s()
    while n_read < N_RECORDS:
        messages = consumer.consume(_BATCH, 1.0)
        for each in messages:
            _FOUND.decode(each.value())
        n_read += len(messages)
    took_s = monotonic_s() - began_s
    consumer.close()
    return n_read / took_s


def rows_of(made: Values, stack_name: str) -> list[AuditRow]:
    """Make the rows that the role makes, in memory."""
    of = RunKey(stack_name, "memory")
    chains = [AuditChain(of, p, Tip(), key().sign) for p in range(N_PARTITIONS)]
    rows = []
    for offset, (name, value) in enumerate(made):
        partition = partition_of(name, N_PARTITIONS)
        each: ConsumerRecord = record(
            offset, value, partition=partition, key=name.encode(), timestamp=_FIRST_CLOSE // 10**6
        )
        taken = chains[partition].take(each)
        if taken is not None and taken.row is not None:
            rows.append(taken.row)
    return rows


async def copied(connection: asyncpg.Connection, rows: Sequence[AuditRow]) -> float:
    """COPY rows from memory, a transaction each batch; return rows per second."""
    began_s = monotonic_s()
    for at in range(0, len(rows), _BATCH):
        await connection.copy_records_to_table(
            TABLE, schema_name=SCHEMA, records=rows[at : at + _BATCH], columns=COLUMNS
        )
    return len(rows) / (monotonic_s() - began_s)


async def staged(connection: asyncpg.Connection, rows: Sequence[AuditRow]) -> float:
    """COPY into a staging table and insert what is new: what the writer could have been."""
    target = f"{SCHEMA}.{TABLE}"
    await connection.execute(f"CREATE TEMP TABLE staged (LIKE {target}) ON COMMIT DELETE ROWS")
    began_s = monotonic_s()
    for at in range(0, len(rows), _BATCH):
        async with connection.transaction():
            await connection.copy_records_to_table(
                "staged", records=rows[at : at + _BATCH], columns=COLUMNS
            )
            await connection.execute(
                f"INSERT INTO {target} SELECT * FROM staged ON CONFLICT DO NOTHING"  # noqa: S608  our own name
            )
    took_s = monotonic_s() - began_s
    await connection.execute("DROP TABLE staged")
    return len(rows) / took_s


async def inserted(
    connection: asyncpg.Connection, rows: Sequence[AuditRow], *, one_by_one: bool
) -> float:
    """INSERT rows, many a transaction or one; return rows per second."""
    places = ", ".join(f"${at}" for at in range(1, len(COLUMNS) + 1))
    query = f"INSERT INTO {SCHEMA}.{TABLE} ({', '.join(COLUMNS)}) VALUES ({places})"  # noqa: S608  our own names
    began_s = monotonic_s()
    if one_by_one:
        for row in rows:
            await connection.execute(query, *row)
    else:
        for at in range(0, len(rows), _BATCH):
            await connection.executemany(query, rows[at : at + _BATCH])
    return len(rows) / (monotonic_s() - began_s)


async def peers(server: PostgresServer, made: Values, turn: int) -> dict[str, float]:
    """Write the rows from memory in every way, each as another stack's."""
    connection = await asyncpg.connect(server.url)
    try:

        async def cleared(rows: Sequence[AuditRow]) -> None:
            await connection.execute(
                f"DELETE FROM {SCHEMA}.{TABLE} WHERE stack = $1",  # noqa: S608  our own name
                rows[0].stack,
            )

        rows = await asyncio.to_thread(rows_of, made, f"memory-{turn}")
        await connection.execute(f"SELECT {SCHEMA}.ensure_audit_day($1)", rows[0].logged_at.date())
        rates = {"copy": await copied(connection, rows)}
        await cleared(rows)
        rates["staging"] = await staged(connection, rows[:N_MANY])
        await cleared(rows)
        rates["executemany"] = await inserted(connection, rows[:N_MANY], one_by_one=False)
        await cleared(rows)
        rates["row_by_row"] = await inserted(connection, rows[:N_ONE_BY_ONE], one_by_one=True)
        await connection.execute(
            f"SELECT {SCHEMA}.drop_audit_day($1, $2)", rows[0].stack, rows[0].logged_at.date()
        )
    finally:
        await connection.close()
    return rates


async def turn_of(
    servers: str, home: Path, server: PostgresServer, made: Values, turn: int
) -> dict[str, float]:
    """Measure everything once; the next turn begins with another."""
    rates: dict[str, float] = {}
    for n_processes in ((1, 2), (2, 1))[turn % 2]:
        run = f"ingest-{run_stamp()}-{n_processes}-{turn}"
        await declared(servers, run)
        rates[f"role_{n_processes}"], per_cpu_s = await ingested(
            servers, run, home, n_processes, made
        )
        rates[f"role_{n_processes}_of_its_core"] = per_cpu_s
    rates["read_aiokafka"] = await read_aiokafka(servers, run)
    rates["read_librdkafka"] = await asyncio.to_thread(read_librdkafka, servers, run)
    rates |= await peers(server, made, turn)
    connection = await asyncpg.connect(server.url)
    await connection.execute(
        f"DELETE FROM {SCHEMA}.{TABLE} WHERE stack = $1",  # noqa: S608  our own name
        stack_id(home),
    )
    await connection.execute(f"VACUUM {SCHEMA}.{TABLE}")
    await connection.close()
    return rates


def measure() -> Result:
    """Measure in turns; figures are medians over the turns, ratios of one turn."""
    made = values()
    with stack() as (servers, home):
        children = Children(home / "logs", {"TRADEWIND_HOME": str(home.parent)})
        try:
            server = database(home, children)
            if server is None:
                raise RuntimeError("no PostgreSQL: `make setup` installs the embedded one")
            turns = [
                asyncio.run(turn_of(servers, home, server, made, turn)) for turn in range(ROUNDS)
            ]
        finally:
            children.stop()
    return _result(made, turns)


def _result(made: Values, turns: list[dict[str, float]]) -> Result:
    def median(name: str) -> float:
        return statistics.median(turn[name] for turn in turns)

    def ratio(name: str, peer: str) -> float:
        return round(statistics.median(turn[name] / turn[peer] for turn in turns), 3)

    to_copy = ratio("role_1", "copy")
    to_many, to_row = ratio("role_1", "executemany"), ratio("role_1", "row_by_row")
    read = max(median("read_aiokafka"), median("read_librdkafka"))
    rate = median("role_1")
    parts: dict[str, Any] = {f"{name}_per_s": round(median(name)) for name in turns[0]}
    parts |= {
        "bytes_per_decision": len(made[0][1]),
        "highest_per_s": round(max(max(turn["role_1"], turn["role_2"]) for turn in turns)),
        "ratio_copy": to_copy,
        "ratio_copy_moonshot_holds": to_copy >= MOONSHOT_SHARE,
        "ratio_executemany": to_many,
        "ratio_row_by_row": to_row,
        "ratio_2_processes_to_1": ratio("role_2", "role_1"),
        "direct_copy_to_staging": ratio("copy", "staging"),
        "reading_alone_holds": read >= READ_RATE,
        # By what each of two processes did beside the other, not by one that had all cores.
        "processes_for_100000_per_s": -(-WANTED_RATE // int(median("role_2") / 2)),
        "by_turn": [{name: round(value) for name, value in turn.items()} for turn in turns],
    }
    holds = (
        to_copy >= COPY_SHARE
        and to_many >= MANY_RATIO
        and to_row >= ROW_RATIO
        and read >= READ_RATE
    )
    return Result(
        round(rate), holds, ROUNDS * N_RECORDS, parts, "the same rows by COPY from memory", to_copy
    )


FORENSICS_INGEST = Measurement(
    "forensics-ingest",
    "decisions per second, Kafka to durable audit trail with one process",
    f">= {COPY_SHARE:g} of COPY from memory, >= {MANY_RATIO:g} x executemany, >= {ROW_RATIO:g} x "
    f"row by row; reading and decoding alone >= {READ_RATE:,}/s",
    4,
    measure,
)
