"""``disk-per-day``: what a day of 200 symbols and 1-minute bars leaves on disk, and what it is.

A real stack in a folder of its own (broker, worker, audit trail, explanations, archive, PostgreSQL)
gets the 1,440 bars of a day as fast as it decides them, after those that warm the features up. Each
role is waited for, then the folder's growth over the day is taken, part by part.

A day that passes in minutes shows no retention, so that is reckoned: of a topic that is kept for
less than a day only that share stands at its end; of a changelog the last state of every key, a
tenth more of what the cleaner leaves, and twenty minutes of writing. All else counts in full. What
the embedded database keeps as its write-ahead log is bounded by a setting, and told apart.

Then the clock is a week further on for the shelf, which takes the day out of SQL. What is left is
what one more day adds once every topic has reached its retention: tables without one, and the
shelf's file (``adds_mb_in_balance``). The value is the larger one, of the first day.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.run.archived import archived, audited
from agents.run.observer import Observer
from agents.run.stores import database
from agents.run.workers import Children
from agents.topology import all_changelogs
from models.features.catalogue import WARMUP_BARS
from streams import topics
from streams.brokers import open_broker, stack_home, stack_id
from streams.clock import monotonic_s, wall_ns
from streams.sources.replay import Stretch, replay
from streams.sources.synthetic import SyntheticTape
from tables.stores.artifacts import Artifacts
from tables.stores.audit_shelf import HOT_DAYS, AuditShelf
from tables.stores.errors import StoreConflict
from tables.stores.migrations import SCHEMA
from tables.stores.servers.postgres import PostgresServer
from tests.evidence import bench
from tests.evidence.forensics_lag import beside
from tests.evidence.measurement import Measurement, Result

TARGET_MB = 500.0
SYMBOLS, DAY_BARS = 200, 1_440

_MB = 1_000_000
_DAY_S = 86_400.0
_DAY_MS = 86_400_000
# The lag and the length of a changelog's segments: streams/topics.py.
_UNCOMPACTED_S = 1_200.0
_DIRTY = 1.1
_BEHIND_BARS = 8
_PATIENCE_S = 600.0
# A head is signed every minute.
_SEALED_S, _SEALED_TRIES = 10.0, 18
_SIZES = f"""
    SELECT relname, pg_total_relation_size(c.oid) FROM pg_class c
    JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = '{SCHEMA}' AND relkind IN ('r', 'm')
"""  # noqa: S608  our own name


def used_bytes(folder: Path) -> int:
    """Return what the files under a folder take on disk, holes left out."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += 512 * Path(path, name).lstat().st_blocks
            except FileNotFoundError:
                continue  # deleted while we look
    return total


async def sizes(home: Path, prefix: str, server: PostgresServer) -> dict[str, int]:
    """Return bytes by part: each topic, each table of SQL, the rest of the folder."""
    found: dict[str, int] = {}
    for path in (home / "kafka").iterdir():
        topic = path.name.rpartition("-")[0].removeprefix(prefix)
        if path.is_dir() and topic:
            found[f"topic {topic}"] = found.get(f"topic {topic}", 0) + used_bytes(path)
    connection = await asyncpg.connect(server.url)
    try:
        for name, size in await connection.fetch(_SIZES):
            # Partitions by time count for the table that they are parts of.
            table = f"sql {name.partition('_p2')[0]}"
            found[table] = found.get(table, 0) + size
    finally:
        await connection.close()
    found["write-ahead log"] = used_bytes(home / "postgres" / "data" / "pg_wal")
    found["tables"] = used_bytes(home / "runs")
    found["spill"] = used_bytes(home / "spill")
    return found


async def latest_share(servers: str, topic: str) -> float:
    """Return the share of a changelog's bytes that the last value of every key has."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await consumer.start()
    last: dict[tuple[int, bytes | None], int] = {}
    total = 0
    try:
        places = [TopicPartition(topic, n) for n in range(bench.N_PARTITIONS)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    size = len(record.value or b"") + len(record.key or b"")
                    last[place.partition, record.key] = size
                    total += size
    finally:
        await consumer.stop()
    return sum(last.values()) / total if total else 1.0


def standing(part: str, grown: int, shares: dict[str, float]) -> float:
    """Return how much of a part's growth in a day stands on disk at its end."""
    if not part.startswith("topic "):
        return float(grown)
    name = part.removeprefix("topic ")
    if name in shares:
        uncompacted = grown * _UNCOMPACTED_S / _DAY_S
        return min(float(grown), grown * shares[name] * _DIRTY + uncompacted)
    spec = next((spec for spec in topics.CATALOGUE if spec.name == name), None)
    return grown * min(1.0, spec.kept_ms_max / _DAY_MS) if spec else float(grown)


@contextmanager
def _stack() -> Iterator[tuple[str, Path, str]]:
    """Yield a broker's address, a folder that ends with it, and models that were fitted before."""
    shared, home = stack_home("evidence"), stack_home("evidence-disk")
    shutil.rmtree(home, ignore_errors=True)
    digest = bench.models(shared)
    models = Artifacts(shared / "artifacts").load_models(digest)
    Artifacts(home / "artifacts").put_models(models)
    broker = open_broker(home)
    try:
        yield broker.bootstrap_servers, home, digest
    finally:
        broker.stop()
        shutil.rmtree(home, ignore_errors=True)


async def _play(chain: bench.Chain, tape: SyntheticTape, bars: slice, watch: Observer) -> None:
    """Send bars as fast as they are decided, and wait for the last."""
    closes = tape.closes_ns()[bars]

    async def gate(close_ns: int) -> None:
        chain.children.check()
        at = closes.index(close_ns)
        if at >= _BEHIND_BARS:
            await watch.decided(closes[at - _BEHIND_BARS], patience_s=_PATIENCE_S)

    stretch = Stretch(closes[0], closes[-1])
    await replay(tape, chain.clock, stretch, lateness_ms=0, gate=gate, sent=lambda _: None)
    await watch.decided(closes[-1], patience_s=_PATIENCE_S)


async def _measured(servers: str, home: Path, models: str) -> Result:
    children = Children(home / "logs", {"TRADEWIND_HOME": str(home.parent)})
    tape = SyntheticTape(
        symbols=SYMBOLS, bars=WARMUP_BARS + DAY_BARS, ticks_per_bar=1, seed=3, timeframe="1min"
    )
    try:
        server = await asyncio.to_thread(database, home, children)
        if server is None:
            raise SystemExit("PostgreSQL is not installed: make setup")
        of = bench.epoch(tape.symbols, models, "1min")
        async with bench.chain(servers, home, of, beside) as chain:
            watch = Observer(servers, chain.run.prefix, n_portfolios=1)
            following = asyncio.create_task(watch.follow())
            taken, started_s, n_rows = [], monotonic_s(), 0
            for bars in (slice(0, WARMUP_BARS), slice(WARMUP_BARS, None)):
                started_s = monotonic_s()
                await _play(chain, tape, bars, watch)
                await archived(chain.run, server, patience_s=_PATIENCE_S)
                n_rows = await audited(chain.run, server, patience_s=_PATIENCE_S)
                taken.append(await sizes(home, chain.run.prefix, server))
            took_s = monotonic_s() - started_s
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            shelf_bytes = await shelved(home, server)
            logs = all_changelogs(chain.run.name)
            prefix = chain.run.prefix
            shares = {name.removeprefix(prefix): await latest_share(servers, name) for name in logs}
    finally:
        await asyncio.to_thread(children.stop)
    before, after = taken
    grown = {part: after[part] - before.get(part, 0) for part in sorted(after)}
    # The shelf has the bars of before, too.
    shelf_mb = shelf_bytes / _MB * SYMBOLS * DAY_BARS / n_rows
    more = {"minutes": round(took_s / 60.0, 1), "shelf_mb": round(shelf_mb, 1)}
    return told(grown, shares, more)


async def shelved(home: Path, server: PostgresServer) -> int:
    """Take the day to the shelf as a week later, once all its rows are sealed; count the bytes."""
    shelf, later = AuditShelf(home), datetime.fromtimestamp(wall_ns() / 1e9, UTC).date()
    for _ in range(_SEALED_TRIES):
        try:
            days = [
                day
                async for day in shelf.shelve(
                    server, stack_id(home), later + timedelta(days=HOT_DAYS + 2)
                )
            ]
        except StoreConflict:
            await asyncio.sleep(_SEALED_S)
        else:
            return sum(day.path.stat().st_size for day in days)
    raise SystemExit("the audit trail was not sealed within three minutes")


def told(grown: dict[str, int], shares: dict[str, float], more: dict[str, float]) -> Result:
    """Return the result of a day's growth by part."""
    left = {part: standing(part, size, shares) / _MB for part, size in grown.items()}
    log_mb = left.pop("write-ahead log")
    of_sql = sum(size for part, size in left.items() if part.startswith("sql "))
    # What a topic that is kept for weeks at most, a table of the shelf's and a state do not add to.
    adds = more["shelf_mb"] + sum(
        size
        for part, size in left.items()
        if part.startswith("sql ") and not part.startswith("sql audit_records")
    )
    total = sum(left.values())
    return Result(
        value=round(total, 1),
        holds=total < TARGET_MB,
        n=DAY_BARS,
        parts={
            **more,
            "mb": {
                part: round(size, 1)
                for part, size in sorted(left.items(), key=lambda item: -item[1])
                if round(size, 1)
            },
            "sql_mb": round(of_sql, 1),
            "adds_mb_in_balance": round(adds, 1),
            "written_mb": round(sum(grown.values()) / _MB, 1),
            "write_ahead_log_mb": round(log_mb, 1),
        },
    )


def measure() -> Result:
    """Let a day pass through a stack of its own and weigh its folder."""
    with _stack() as place:
        return asyncio.run(_measured(*place))


DISK_PER_DAY = Measurement(
    "disk-per-day",
    f"MB that a day of {SYMBOLS} symbols at 1-minute bars leaves on disk",
    f"< {TARGET_MB:g}",
    20,
    measure,
)
