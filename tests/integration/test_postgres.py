"""The SQL store on a real PostgreSQL: the schema forward and back, rows once, outages."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from agents.run.stores import database
from agents.run.workers import Children
from tables.account_rows import BOOK_CHANGES
from tables.archive import EPOCHS, REGIME_HISTORY, Rows, RunKey, time_of
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.migrations import Migration, bring_up_to_date, migrate, migrations, roll_back
from tables.stores.row_store import RowStore, Written
from tables.stores.servers.postgres import PostgresServer, data_folder
from tests.builders import MIDNIGHT, MINUTE

pytestmark = pytest.mark.postgres

YEAR = 366 * 24 * 60 * MINUTE


def of(run: str, stack: str = "paper-1f2e3d4c") -> RunKey:
    """Name the rows of a run."""
    return RunKey(stack, run)


def regimes(run: str, *closes_ns: int, bull: float = 0.5) -> Rows:
    """Build rows of one symbol."""
    rest = (1.0 - bull) / 2
    return Rows(
        REGIME_HISTORY,
        [
            (*of(run), "1min", "AAA", time_of(close), 1, bull, rest, rest, 1.5)
            for close in closes_ns
        ],
    )


@pytest_asyncio.fixture
async def connection(postgres: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    """Connect to a database of its own."""
    admin = await asyncpg.connect(postgres.url)
    await admin.execute("DROP DATABASE IF EXISTS migrated")
    await admin.execute("CREATE DATABASE migrated")
    found = await asyncpg.connect(postgres.url, database="migrated")
    yield found
    await found.close()
    await admin.execute("DROP DATABASE migrated")
    await admin.close()


async def schema(connection: asyncpg.Connection) -> list[tuple[str, ...]]:
    """Describe every column, function and index of ours."""
    rows = await connection.fetch(
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'tradewind' UNION ALL "
        "SELECT routine_name, '', data_type FROM information_schema.routines "
        "WHERE routine_schema = 'tradewind' UNION ALL "
        "SELECT tablename, indexname, indexdef FROM pg_indexes "
        "WHERE schemaname = 'tradewind' ORDER BY 1, 2, 3"
    )
    return [tuple(row) for row in rows]


async def test_migrations_when_applied_and_undone_on_an_empty_database_then_leave_nothing(
    connection: asyncpg.Connection,
) -> None:
    """Forward, back, forward: the second schema is the first."""
    names = [step.name for step in migrations()]
    assert await migrate(connection) == names
    first = await schema(connection)
    assert await migrate(connection) == []
    assert await roll_back(connection, names[0]) == names[::-1]
    assert {table for table, *_ in await schema(connection)} == {"migrations"}
    assert await migrate(connection) == names
    assert await schema(connection) == first
    indexes = {name for _, name, _ in first}
    assert {"audit_records_by_bar", "audit_heads_by_row"} <= indexes


async def test_migrations_when_undone_on_a_filled_database_then_the_way_back_works(
    connection: asyncpg.Connection,
) -> None:
    """Partitions made by writers go with their table."""
    await migrate(connection)
    await connection.execute("SELECT tradewind.ensure_year('regime_history', 2024)")
    await connection.execute(
        "INSERT INTO tradewind.regime_history VALUES "
        "('r', '1min', 'A', '2024-01-01Z', 1, 0.5, 0.25, 0.25, 1.5, 'paper')"
    )
    await roll_back(connection, migrations()[0].name)
    await migrate(connection)
    assert await connection.fetchval("SELECT count(*) FROM tradewind.regime_history") == 0


async def test_stacks_when_they_meet_in_the_old_keys_then_no_row_is_lost(
    connection: asyncpg.Connection,
) -> None:
    """Rows of before are nobody's; back and forward again every row has its stack."""
    await migrate(connection)
    await roll_back(connection, "0004_stacks")
    await connection.execute("SELECT tradewind.ensure_year('regime_history', 2024)")
    row = "'1min', 'A', '2024-01-01Z', 1, 0.5, 0.25, 0.25, 1.5"
    await connection.execute(f"INSERT INTO tradewind.regime_history VALUES ('live', {row})")  # noqa: S608  our own row
    await migrate(connection)
    for stack in ("a-1", "b-2"):
        await connection.execute(
            f"INSERT INTO tradewind.regime_history VALUES ('live', {row}, '{stack}')"  # noqa: S608  our own row
        )
    read = "SELECT stack, run FROM tradewind.regime_history ORDER BY stack"
    there = await connection.fetch(read)
    await roll_back(connection, "0004_stacks")
    runs = await connection.fetch("SELECT run FROM tradewind.regime_history ORDER BY run")
    assert [found["run"] for found in runs] == ["a-1/live", "b-2/live", "live"]
    await migrate(connection)
    assert await connection.fetch(read) == there
    assert [tuple(found) for found in there] == [
        ("a-1", "live"),
        ("b-2", "live"),
        ("unknown", "live"),
    ]


async def test_migrate_when_a_step_fails_then_nothing_of_it_stays(
    connection: asyncpg.Connection,
) -> None:
    """A step is a transaction."""
    broken = Migration("9999_broken", "CREATE TABLE tradewind.half (a int); SELECT 1/0", "")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, (*migrations(), broken))
    assert "half" not in {table for table, *_ in await schema(connection)}
    assert await migrate(connection) == []


@pytest.mark.parametrize("change", ["edited", "unknown"])
async def test_migrate_when_the_database_contradicts_the_files_then_refuses(
    connection: asyncpg.Connection, change: str
) -> None:
    """A file edited after it was applied, or a newer program's step, is said."""
    first, *rest = migrations()
    await migrate(connection)
    steps = (first._replace(up=first.up + "-- "), *rest) if change == "edited" else tuple(rest)
    with pytest.raises(StoreConflict, match=first.name):
        await migrate(connection, steps)


async def test_roll_back_when_the_step_was_never_applied_then_refuses(
    connection: asyncpg.Connection,
) -> None:
    """A mistyped name undoes nothing."""
    await migrate(connection)
    with pytest.raises(StoreConflict, match="0000_none"):
        await roll_back(connection, "0000_none")


async def test_put_when_rows_come_twice_then_they_are_there_once(postgres: PostgresServer) -> None:
    """Read again after a crash, records change nothing; years make their own partitions."""
    rows = regimes("twice", MIDNIGHT, MIDNIGHT + YEAR)
    async with RowStore(postgres) as store:
        assert await store.put([rows]) == Written({"regime_history": 2}, [])
        assert await store.put([rows]) == Written({"regime_history": 0}, [])
        assert await store.count(REGIME_HISTORY, of("twice")) == 2


async def test_put_when_a_key_comes_with_other_values_then_names_it_and_keeps_the_first(
    postgres: PostgresServer,
) -> None:
    """Each batch that contradicts is named with its first key; equal rows beside it are not."""
    closes = [MIDNIGHT, MIDNIGHT + MINUTE, MIDNIGHT + YEAR]
    async with RowStore(postgres) as store:
        await store.put([regimes("other", *closes)])
        same, other = regimes("other", closes[0]), regimes("other", *closes[1:], bull=0.25)
        new, conflicts = await store.put([same, other, regimes("other", closes[2] + MINUTE)])
        assert new == {"regime_history": 1}
        ((batch, table, n_rows, key),) = conflicts
        assert (batch, table, n_rows) == (1, REGIME_HISTORY, 2)
        assert key == (*of("other"), "1min", "AAA", time_of(closes[1]))
        assert await store.put([regimes("other", *closes)]) == Written({"regime_history": 0}, [])


async def test_put_when_two_records_of_one_call_contradict_then_the_second_is_named(
    postgres: PostgresServer,
) -> None:
    """Whoever came first is kept, in one transaction as in two."""
    first, second = regimes("pair", MIDNIGHT), regimes("pair", MIDNIGHT, bull=0.25)
    async with RowStore(postgres) as store:
        new, conflicts = await store.put([first, second])
    assert new == {"regime_history": 1}
    assert [conflict.batch for conflict in conflicts] == [1]


async def test_put_when_a_change_is_sent_again_elsewhere_then_it_is_no_conflict(
    postgres: PostgresServer,
) -> None:
    """A person's retry has the same id and content, and another place in the log."""
    row = (*of("retry"), "main", "c1", "book_open", time_of(MIDNIGHT), "ada", "admin", "why")
    first, again = (Rows(BOOK_CHANGES, [(*row, 0, offset, "{}")]) for offset in (7, 8))
    lie = Rows(BOOK_CHANGES, [(*row[:-1], "another why", 0, 9, "{}")])
    async with RowStore(postgres) as store:
        assert await store.put([first]) == Written({"book_changes": 1}, [])
        assert await store.put([again]) == Written({"book_changes": 0}, [])
        assert [each.n_rows for each in (await store.put([lie])).conflicts] == [1]


async def test_put_when_two_stacks_have_a_run_of_one_name_then_both_are_kept(
    postgres: PostgresServer,
) -> None:
    """Two live runs on one database are two."""
    one, two = of("shared", "paper-00000001"), of("shared", "paper-00000002")
    (row,) = regimes("shared", MIDNIGHT).values
    async with RowStore(postgres) as store:
        both = [Rows(REGIME_HISTORY, [(*whose, *row[2:])]) for whose in (one, two)]
        assert await store.put(both) == Written({"regime_history": 2}, [])
        assert [await store.count(REGIME_HISTORY, whose) for whose in (one, two)] == [1, 1]


async def test_put_when_one_row_breaks_a_check_then_none_is_written(
    postgres: PostgresServer,
) -> None:
    """Probabilities that do not sum to one never enter the history."""
    bad = regimes("bad", MIDNIGHT)
    bad.values.append((*bad.values[0][:4], time_of(MIDNIGHT + MINUTE), 1, 0.5, 0.5, 0.5, 1.5))
    async with RowStore(postgres) as store:
        with pytest.raises(StoreConflict, match="check"):
            await store.put([bad])
        assert await store.count(REGIME_HISTORY, of("bad")) == 0
        assert await store.put([regimes("bad", MIDNIGHT)]) == Written({"regime_history": 1}, [])


async def test_put_when_a_number_does_not_fit_then_the_rows_are_refused(
    postgres: PostgresServer,
) -> None:
    """What the driver cannot encode is a fault of the rows, and no reason to wait."""
    rows = regimes("huge", MIDNIGHT)
    rows.values[0] = (*rows.values[0][:5], 2**70, *rows.values[0][6:])
    async with RowStore(postgres) as store:
        with pytest.raises(StoreConflict):
            await store.put([rows])


@pytest.mark.parametrize("trouble", ["role", "standby", "schema"])
async def test_put_when_the_database_is_in_trouble_then_good_rows_wait(
    postgres: PostgresServer, trouble: str
) -> None:
    """A rotated log-in, a standby or a newer schema says nothing about the rows."""
    url = postgres.url
    if trouble == "role":
        url = url.replace("tradewind@", "nobody_here@", 1)
    if trouble == "standby":
        url += "&options=-cdefault_transaction_read_only%3Don"
    admin = await asyncpg.connect(postgres.url)
    await migrate(admin)
    if trouble == "schema":
        await admin.execute("INSERT INTO tradewind.migrations VALUES ('9999_newer', 'x')")
    try:
        async with RowStore(PostgresServer(url, "given", "")) as store:
            with pytest.raises(StoreUnavailable):
                await store.put([regimes(f"trouble-{trouble}", MIDNIGHT)])
    finally:
        await admin.execute("DELETE FROM tradewind.migrations WHERE name = '9999_newer'")
        await admin.close()


async def test_put_when_the_server_spoke_on_an_idle_connection_then_it_is_away(
    postgres: PostgresServer,
) -> None:
    """What the driver then raises is no error of ours: the next call has a new connection."""
    rows = regimes("idle", MIDNIGHT)

    class Interrupted:
        """A connection that is in the middle of an answer."""

        def transaction(self) -> None:
            raise asyncpg.InternalClientError("another operation is in progress")

        def terminate(self) -> None:
            """End it."""

    async with RowStore(postgres) as store:
        store.sql._connection = Interrupted()
        with pytest.raises(StoreUnavailable, match="another operation"):
            await store.put([rows])
        assert (await store.put([rows])).new == {"regime_history": 1}


async def test_put_when_hostile_text_comes_then_it_is_only_text(postgres: PostgresServer) -> None:
    """Names are data, never SQL."""
    run = "r'); DROP TABLE tradewind.epochs; --"
    async with RowStore(postgres) as store:
        await store.put([Rows(EPOCHS, [(*of(run), 1, "d" * 64, '{"a": "\'; --"}')])])
        assert await store.count(EPOCHS, of(run)) == 1


async def put_until_refused(store: RowStore, rows: Rows) -> None:
    """Put rows again and again: the process that serves us outlives its server for a moment."""
    async with asyncio.timeout(10.0):
        while True:
            await store.put([rows])


async def test_put_when_the_server_restarts_then_the_same_call_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two batches, the server comes back with all that was acknowledged."""
    children = Children(tmp_path / "logs", {"TRADEWIND_HOME": str(tmp_path)})
    home = tmp_path / "stack"
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    server = await asyncio.to_thread(database, home, children)
    try:
        assert server is not None
        async with RowStore(server) as store:
            await store.put([regimes("restart", MIDNIGHT)])
            os.kill(children.running["postgres"].pid, signal.SIGKILL)
            with pytest.raises(StoreUnavailable):
                await put_until_refused(store, regimes("restart", MIDNIGHT + MINUTE))
            children.running.pop("postgres").end()
            await asyncio.to_thread(database, home, children)
            await store.put([regimes("restart", MIDNIGHT + MINUTE)])
            assert await store.count(REGIME_HISTORY, of("restart")) == 2
    finally:
        children.stop()
    assert (data_folder(home) / "PG_VERSION").exists()
    assert not (data_folder(home) / "postmaster.pid").exists()


def test_database_when_its_data_is_of_another_version_then_says_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that cannot start is told with its own words, without waiting for it."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    folder = data_folder(tmp_path / "stack")
    folder.mkdir(parents=True, mode=0o700)
    (folder / "PG_VERSION").write_text("7\n")
    children = Children(tmp_path / "logs")
    with pytest.raises(StoreUnavailable, match="PostgreSQL did not start: "):
        database(tmp_path / "stack", children)
    assert children.running == {}


async def test_bring_up_to_date_when_nobody_answers_then_says_so_without_the_password() -> None:
    """The message names the address and keeps the secret."""
    server = PostgresServer("postgresql://me:secret@127.0.0.1:1/x", "given", "")
    with pytest.raises(StoreUnavailable) as told:
        await bring_up_to_date(server)
    assert "secret" not in str(told.value)
    assert "127.0.0.1" in str(told.value)
