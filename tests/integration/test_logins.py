"""The logins of roles on a real PostgreSQL: each does the work of its role, and nothing else."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from tables.account_rows import BOOK_CHANGES
from tables.archive import ARCHIVE_GAPS, EPOCHS, REGIME_HISTORY, Rows, RunKey, time_of
from tables.rollout import AB_RESULTS
from tables.stores.audit_reader import AuditReader
from tables.stores.audit_store import AuditStore
from tables.stores.errors import StoreUnavailable
from tables.stores.logins import LOGINS, open_logins
from tables.stores.migrations import migrate, migrations, roll_back
from tables.stores.row_store import RowStore
from tables.stores.servers.postgres import PostgresServer
from tests.builders import MIDNIGHT

pytestmark = pytest.mark.postgres

OF = RunKey("paper-1f2e3d4c", "live")
DATABASE = "logins"

REGIME = Rows(REGIME_HISTORY, [(*OF, "1min", "AAA", time_of(MIDNIGHT), 1, 0.5, 0.25, 0.25, 1.5)])
EPOCH = Rows(EPOCHS, [(*OF, 1, "a" * 64, "{}")])
STEP = (time_of(MIDNIGHT), "start", "shadow", "running", "me", "", "a" * 64)
RESULT = Rows(AB_RESULTS, [(*OF, "r1", 0, "champion", *STEP, *(None,) * 7, None)])

# What each may do, by table: S(elect), I(nsert), U(pdate), D(elete).
ROWS = dict.fromkeys(("epochs", "book_changes", "explanations", "archive_gaps"), "SI")
HISTORY = dict.fromkeys(("regime_history", "weight_decisions", "risk_metrics", "positions"), "SI")
RIGHTS = {
    "archive": {**ROWS, **HISTORY, "migrations": "S"},
    "reader": {
        **dict.fromkeys(("audit_records", "audit_heads", "decision_audit", "explanations"), "S"),
        "migrations": "S",
    },
    "rollout": {"ab_results": "SI", "migrations": "S"},
    "mlflow": {"migrations": "S"},
    "audit_writer": {
        **dict.fromkeys(("audit_records", "audit_heads", "archive_gaps"), "SI"),
        "migrations": "S",
    },
}


@pytest_asyncio.fixture
async def owner(postgres: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    """Connect the owner to a database of its own, in which MLflow has a table; open the logins."""
    admin = await asyncpg.connect(postgres.url)
    await admin.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
    await admin.execute(f"CREATE DATABASE {DATABASE}")
    found = await asyncpg.connect(postgres.url, database=DATABASE)
    await migrate(found)
    for name in LOGINS:
        await found.execute(f"ALTER ROLE tradewind_{name} LOGIN")
    await found.execute("CREATE TABLE mlflow.old (id serial PRIMARY KEY, said text)")
    yield found
    for name in LOGINS:
        await found.execute(f"ALTER ROLE tradewind_{name} NOLOGIN")
    await found.close()
    await admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    await admin.close()


def as_login(postgres: PostgresServer, name: str) -> PostgresServer:
    """Return the tests' database as a role's login reaches it."""
    url = postgres.url.replace("//tradewind@", f"//tradewind_{name}@").replace(
        "/postgres?", f"/{DATABASE}?"
    )
    return PostgresServer(url, "given", "a test")


async def test_rights_when_asked_of_the_server_then_are_those_of_the_role_and_no_others(
    owner: asyncpg.Connection,
) -> None:
    """Every table and view of ours, every verb; partitions are reached through their parents."""
    kinds = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"}
    tables = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'tradewind'::regnamespace "
        "AND relkind IN ('r', 'p', 'v')"
    )
    for login, wanted in RIGHTS.items():
        found = {}
        for (table,) in tables:
            has = "SELECT has_table_privilege($1, $2, $3)"
            asked = {
                letter: await owner.fetchval(has, f"tradewind_{login}", f"tradewind.{table}", kind)
                for letter, kind in kinds.items()
            }
            said = "".join(letter for letter, may in asked.items() if may)
            if said:
                found[table] = said
        assert found == wanted, login
        schema = "SELECT has_schema_privilege($1, $2, 'CREATE')"
        assert not await owner.fetchval(schema, f"tradewind_{login}", "tradewind")
        is_mlflow = await owner.fetchval(schema, f"tradewind_{login}", "mlflow")
        assert is_mlflow == (login == "mlflow")


async def test_archive_when_it_writes_then_years_are_made_and_nothing_is_changed(
    owner: asyncpg.Connection, postgres: PostgresServer
) -> None:
    """The store as the role uses it; a year's table is made with the owner's rights."""
    server = as_login(postgres, "archive")
    async with RowStore(server) as store:
        assert (await store.put([REGIME, EPOCH])).new == {"regime_history": 1, "epochs": 1}
        assert (await store.put([REGIME])).new == {"regime_history": 0}
        with pytest.raises(StoreUnavailable, match="permission denied for table ab_results"):
            await store.put([RESULT])
    mine = await asyncpg.connect(server.url)
    for refused in (
        "DELETE FROM tradewind.regime_history",
        "UPDATE tradewind.epochs SET run = 'x'",
        "SELECT 1 FROM tradewind.audit_records",
        "DROP TABLE tradewind.regime_history",
        "SELECT tradewind.ensure_audit_day('2026-01-01')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await mine.execute(refused)
    # The trail is cut by another time, and what is no table is none.
    for name in ("audit_records", "nothing"):
        await mine.execute("SELECT tradewind.ensure_year($1, 2031)", name)
    await mine.close()
    made = "SELECT relname FROM pg_class WHERE relname LIKE '%_2031' OR relname LIKE 'nothing%'"
    assert await owner.fetch(made) == []


@pytest.mark.usefixtures("owner")
async def test_others_when_they_work_then_do_what_their_roles_do(
    postgres: PostgresServer,
) -> None:
    """The pages read, rollouts add steps, the trail's writer adds gaps, and no year is made."""
    reader = AuditReader(as_login(postgres, "reader"), OF)
    nobody = "00000000-0000-4000-8000-000000000000"
    assert await reader.row(nobody) is None
    assert await reader.explanation(nobody) is None
    async with RowStore(as_login(postgres, "rollout")) as store:
        assert (await store.put([RESULT])).new == {"ab_results": 1}
        with pytest.raises(StoreUnavailable, match="permission denied for function ensure_year"):
            await store.put([REGIME])
    writer = as_login(postgres, "audit_writer")
    async with AuditStore(writer, OF) as trail, RowStore(writer) as gaps:
        assert (await trail.tip(0)).next_offset == 0
        assert await gaps.count(ARCHIVE_GAPS, OF) == 0
        with pytest.raises(StoreUnavailable, match="permission denied"):
            await gaps.count(BOOK_CHANGES, OF)


async def test_mlflow_when_it_makes_tables_then_rollouts_may_use_and_not_change_them(
    owner: asyncpg.Connection, postgres: PostgresServer
) -> None:
    """Tables of before are used by both; of its own MLflow may change the columns."""
    mlflow = await asyncpg.connect(as_login(postgres, "mlflow").url)
    await mlflow.execute("CREATE TABLE mlflow.runs (id serial PRIMARY KEY, said text)")
    await mlflow.execute("ALTER TABLE mlflow.runs ADD COLUMN more text")
    rollout = await asyncpg.connect(as_login(postgres, "rollout").url)
    for login in (mlflow, rollout, owner):
        for table in ("old", "runs"):
            await login.execute(f"INSERT INTO mlflow.{table} (said) VALUES ('x')")  # noqa: S608  our own names
            await login.execute(f"UPDATE mlflow.{table} SET said = 'y'")  # noqa: S608  as above
    for login, refused in (
        (rollout, "ALTER TABLE mlflow.runs ADD COLUMN other text"),
        (rollout, "CREATE TABLE mlflow.mine (a int)"),
        (rollout, "DELETE FROM tradewind.ab_results"),
        (mlflow, "SELECT 1 FROM tradewind.epochs"),
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await login.execute(refused)
    await mlflow.close()
    await rollout.close()


async def test_migration_when_undone_then_the_logins_keep_nothing(
    owner: asyncpg.Connection,
) -> None:
    """And forward again they have what they had."""
    last = migrations()[-1].name
    assert await roll_back(owner, last) == [last]
    for login in set(LOGINS) - {"audit_writer"}:
        for schema in ("tradewind", "mlflow"):
            usage = "SELECT has_schema_privilege($1, $2, 'USAGE')"
            assert not await owner.fetchval(usage, f"tradewind_{login}", schema)
    assert await migrate(owner) == [last]


@pytest.mark.usefixtures("owner")
async def test_open_when_the_owner_asks_then_lets_in_by_password_and_others_may_not(
    postgres: PostgresServer,
) -> None:
    """The server keeps a verifier, whatever stands in the password; a login opens no other."""
    server = PostgresServer(postgres.url.replace("/postgres?", f"/{DATABASE}?"), "given", "a test")
    await open_logins(server, {"reader": "it's %L; DROP ROLE x"})
    admin = await asyncpg.connect(postgres.url)
    asked = "SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = 'tradewind_reader'"
    can_login, kept = await admin.fetchrow(asked)
    assert can_login
    assert kept.startswith("SCRAM-SHA-256$")
    await admin.execute("ALTER ROLE tradewind_reader PASSWORD NULL")
    await admin.close()
    with pytest.raises(StoreUnavailable, match=r"tradewind_rollout at .* cannot be opened"):
        await open_logins(as_login(postgres, "reader"), {"rollout": "x"})
