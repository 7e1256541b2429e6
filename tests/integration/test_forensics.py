"""The audit trail on a real broker and database: killed, interrupted, tampered with, shelved."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.archive_gaps import Gap
from agents.cli.forensics import serve
from agents.topology import prefix_of
from streams.brokers import stack_id
from streams.topics import AUDIT_HEADS, TRADING_DECISIONS, declare
from tables.archive import RunKey
from tables.audit_chain import AuditChain, Tip
from tables.audit_rows import linked
from tables.audit_verifier import verify
from tables.stores import audit_store, postgres_connection
from tables.stores.audit_bundle import export
from tables.stores.audit_key import public_key
from tables.stores.audit_reader import AuditReader
from tables.stores.audit_store import WRITER, AuditStore, ChainMoved
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.row_store import RowStore
from tables.stores.servers.postgres import PostgresServer
from tests.trails import key, record
from tests.unit.tables.views.played import decision, decision_id

pytestmark = [pytest.mark.broker, pytest.mark.postgres]

RUN = "audited"
MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)
Sql = Callable[..., Any]


@pytest.fixture
def stack(tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a stack that uses the database of the tests."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", postgres.url)
    return tmp_path / "fx"


async def told(broker: str, first: int, last: int, *extra: bytes) -> None:
    """Send decisions and what else is to be on the topic."""
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        values = [msgspec.json.encode(decision(number)) for number in range(first, last)]
        for value in (*values, *extra):
            await producer.send_and_wait(
                prefix_of(RUN) + TRADING_DECISIONS.name, value, key=b"main", partition=0
            )
    finally:
        await producer.stop()


@asynccontextmanager
async def sql(server: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    """Connect as the owner of the database."""
    connection = await asyncpg.connect(server.url)
    try:
        yield connection
    finally:
        await connection.close()


async def until(server: PostgresServer, of: RunKey, n_rows: int) -> None:
    """Wait until a run has so many rows."""
    async with sql(server) as connection, asyncio.timeout(30):
        while n_rows > await connection.fetchval(  # noqa: ASYNC110  rows raise no event
            "SELECT count(*) FROM tradewind.audit_records WHERE stack = $1 AND run = $2", *of
        ):
            await asyncio.sleep(0.05)


@asynccontextmanager
async def role(broker: str) -> AsyncIterator["asyncio.Task[None]"]:
    """Run the role beside a test and end it in order."""
    task = asyncio.create_task(serve(broker, RUN, "fx"))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_role_when_it_lives_twice_then_the_trail_is_whole_signed_and_proved(
    broker: str, postgres: PostgresServer, stack: Path
) -> None:
    """Poison in between, a restart, an edit by the owner: from Kafka to the verifier's word."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await declare(admin, prefix=prefix_of(RUN), n_partitions=1, replication=1)
    await admin.close()
    of = RunKey(stack_id(stack), RUN)
    await told(broker, 1, 30, b"poison")
    async with role(broker):
        await until(postgres, of, 30)
    await told(broker, 30, 50)
    async with role(broker):
        await until(postgres, of, 50)
    reader = AuditReader(postgres, of)
    bundle = (await export(stack, reader, stack / "audit.zip")).path
    report = verify(bundle, [public_key(stack)])
    assert report.holds()
    assert (report.n_rows, report.n_unsealed) == (50, 0)
    row = await reader.row(decision_id(40))
    assert row is not None
    proof = await reader.proof(row)
    assert proof is not None
    assert proof.holds
    said = await reader.said(decision_id(40))
    assert said is not None
    assert said["features"] == {"return_1": 0.0123456789, "rsi_14": 61.5}
    assert said["value_sha256"].hex() == msgspec.json.decode(proof.sealed)["value_sha256"]
    async with sql(postgres) as connection:
        await connection.execute(
            "UPDATE tradewind.audit_records SET quantity = 1 WHERE decision_id = $1 AND run = $2",
            row.decision_id,
            RUN,
        )
    bundle = (await export(stack, reader, stack / "audit.zip")).path
    (fault,) = verify(bundle, [public_key(stack)]).faults
    assert (fault.kind, fault.first_seq) == ("column", row.seq)
    heads = (stack / "audit" / "heads" / f"{RUN}-0.jsonl").read_bytes().splitlines()
    assert heads == await read(broker, prefix_of(RUN) + AUDIT_HEADS.name)


async def read(broker: str, topic: str) -> list[bytes]:
    """Return the distinct values of a topic, in order."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker, auto_offset_reset="earliest")
    await consumer.start()
    try:
        fetched = await consumer.getmany(timeout_ms=5_000)
    finally:
        await consumer.stop()
    return list(dict.fromkeys(r.value for records in fetched.values() for r in records))


def of_stack(name: str) -> RunKey:
    """Name rows that no other test has."""
    return RunKey(f"{name}-1f2e3d4c", "r1")


async def test_put_when_the_rows_are_there_then_nothing_is_written(
    postgres: PostgresServer,
) -> None:
    """A second writer of the same partition gets no row and no head in."""
    of = of_stack("twice")
    chain = AuditChain(of, 0, Tip(), key().sign)
    rows = [taken.row for n in range(5) if (taken := chain.take(record(n))) and taken.row]
    head = chain.seal()
    assert head is not None
    async with AuditStore(postgres, of) as store:
        await store.put(rows[:3], [])
        with pytest.raises(ChainMoved):
            await store.put(rows[2:], [head])
        tip = await store.tip(0)
        assert sorted(tip.rows) == [0, 1, 2]
        assert tip.head is None
        await store.put(rows[3:], [head])
        assert (await store.tip(0)) == Tip(head, {})
        later = msgspec.structs.replace(head, number=1, last_offset=9)
        assert (await store.tip(0, later)).head == later
        assert await store.heads_after(0, -1) == [head]


async def test_store_when_asked_while_it_writes_then_both_are_done(
    postgres: PostgresServer,
) -> None:
    """A partition is opened while rows of another one are on their way: one connection, in turn."""
    of = of_stack("both")
    chain = AuditChain(of, 0, Tip(), key().sign)
    rows = [taken.row for n in range(50) if (taken := chain.take(record(n))) and taken.row]
    async with AuditStore(postgres, of) as store:
        await asyncio.gather(store.put(rows, []), *(store.tip(partition) for partition in range(5)))
        assert len((await store.tip(0)).rows) == 50


async def test_writer_when_it_tries_to_change_or_delete_then_may_not(
    postgres: PostgresServer,
) -> None:
    """Its role adds and reads; the owner's rights are given up at the start."""
    of = of_stack("rights")
    async with AuditStore(postgres, of) as store:
        await store.put([linked(of, record(0), 0, bytes(32)).row], [])
        assert store.sql._connection is not None
        assert await store.sql._connection.fetchval("SELECT current_user") == WRITER
        for forbidden in (
            "UPDATE tradewind.audit_records SET symbol = 'X'",
            "DELETE FROM tradewind.audit_records",
            "TRUNCATE tradewind.audit_records",
            "DROP TABLE tradewind.audit_heads",
            "UPDATE tradewind.audit_heads SET document = ''",
            "SELECT tradewind.drop_audit_day('rights', '2026-01-02')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await store.sql._connection.execute(forbidden)


def _grants() -> list[str]:
    """Return what README tells an administrator to type."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    block = text.partition("<!-- grants -->\n```sql\n")[2].partition("```")[0]
    return [line.partition("--")[0].strip() for line in block.splitlines()]


async def test_writer_when_it_has_a_login_of_its_own_then_writes_and_can_take_no_rights_back(
    postgres: PostgresServer,
) -> None:
    """The grants of README are enough; behind RESET ROLE it still changes and deletes nothing."""
    of = of_stack("login")
    async with AuditStore(postgres, of) as store:
        await store.tip(0)
    async with sql(postgres) as owner:
        await owner.execute("DROP ROLE IF EXISTS tradewind_auditor")
        for grant in _grants():
            await owner.execute(grant)
    own = postgres.url.replace("://tradewind@", "://tradewind_auditor@")
    assert own != postgres.url
    server = PostgresServer(own, "given", "")
    chain = AuditChain(of, 0, Tip(), key().sign)
    rows = [taken.row for n in range(5) if (taken := chain.take(record(n))) and taken.row]
    head = chain.seal()
    assert head is not None
    try:
        async with AuditStore(server, of) as store, RowStore(server) as gaps:
            await store.put(rows, [head])
            assert (await store.tip(0)).head == head
            gap = Gap("trading-decisions", 0, 3, 5, None).row(of)
            assert (await gaps.put([gap])).new == {"archive_gaps": 1}
            assert store.sql._connection is not None
            await store.sql._connection.execute("RESET ROLE")
            for forbidden in (
                "UPDATE tradewind.audit_records SET symbol = 'X'",
                "DELETE FROM tradewind.audit_heads",
                "DROP TABLE tradewind.audit_heads",
                "SET ROLE tradewind",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await store.sql._connection.execute(forbidden)
    finally:
        async with sql(postgres) as owner:
            await owner.execute("DROP OWNED BY tradewind_auditor")
            await owner.execute("DROP ROLE tradewind_auditor")


async def test_put_when_the_server_is_away_then_says_so_and_connects_anew(
    postgres: PostgresServer,
) -> None:
    """A lost connection is a state, and the next call makes another."""
    of = of_stack("away")
    async with AuditStore(PostgresServer("postgresql://127.0.0.1:1/x", "given", ""), of) as store:
        with pytest.raises(StoreUnavailable):
            await store.tip(0)
    async with AuditStore(postgres, of) as store:
        assert await store.tip(0) == Tip(None, {})
        assert store.sql._connection is not None
        store.sql._connection.terminate()
        with pytest.raises(StoreUnavailable):
            await store.tip(0)
        assert await store.tip(0) == Tip(None, {})


@settings(max_examples=30)
@given(
    value=st.binary(max_size=60)
    | st.dictionaries(st.text(max_size=5), st.text(max_size=5)).map(msgspec.json.encode)
    | st.builds(
        lambda text, number: msgspec.json.encode(
            {
                **msgspec.to_builtins(decision(1)),
                "symbol": text,
                "quantity": number,
                "note": text,
            }
        ),
        st.text(max_size=5),
        st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_rows_when_anything_was_on_the_topic_then_sql_takes_and_shows_them(
    postgres: PostgresServer, value: bytes
) -> None:
    """No bytes stop the trail, and the view over it can be read whatever they are."""
    of = of_stack("poison")
    row = linked(of, record(0, value), 0, bytes(32)).row

    async def there_and_back() -> None:
        async with AuditStore(postgres, of) as store, sql(postgres) as owner:
            await owner.execute("DELETE FROM tradewind.audit_records WHERE stack = $1", of.stack)
            await store.put([row], [])
            (kept,) = [found async for found in AuditReader(postgres, of).rows(0)]
            assert kept == row
            await owner.fetch("SELECT * FROM tradewind.decision_audit WHERE stack = $1", of.stack)

    asyncio.run(there_and_back())


async def test_put_when_sql_refuses_a_row_then_says_so_and_nothing_is_written(
    postgres: PostgresServer,
) -> None:
    """A link of another length is none: a check of the schema is the last guard."""
    of = of_stack("refused")
    row = linked(of, record(0), 0, bytes(32)).row
    async with AuditStore(postgres, of) as store:
        with pytest.raises(StoreConflict, match="refused rows"):
            await store.put([row, row._replace(log_offset=1, chain=b"short")], [])
        assert await store.tip(0) == Tip(None, {})


async def test_store_when_the_schema_is_another_versions_then_rows_wait(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are not to blame: somebody has to look at the schema first."""

    async def refusing(_: asyncpg.Connection) -> list[str]:
        raise StoreConflict("another version")

    monkeypatch.setattr(postgres_connection, "migrate", refusing)
    async with AuditStore(postgres, of_stack("version")) as store:
        with pytest.raises(StoreUnavailable, match="another version"):
            await store.tip(0)


async def test_store_when_the_server_has_no_writer_role_then_says_whose_rights_it_has(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A login that may make no roles goes on with its own, and the log names it."""
    monkeypatch.setattr(audit_store, "WRITER", "no_such_role")
    async with AuditStore(postgres, of_stack("norole")) as store:
        assert await store.tip(0) == Tip(None, {})
    assert "no role no_such_role" in caplog.text
    assert "with all the rights of tradewind" in caplog.text
