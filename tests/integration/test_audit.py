"""Reading, shelving and proving the audit trail on a real database, by code and by command."""

import asyncio
import errno
import os
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from random import Random

import asyncpg
import msgspec
import pytest
from typer.testing import CliRunner

from agents.cli import program
from streams.audit import AuditHead
from streams.brokers import stack_id
from tables.archive import RunKey
from tables.audit_chain import AuditChain, Tip
from tables.audit_rows import linked
from tables.audit_verifier import verify
from tables.explanations import explanation, explanation_rows
from tables.stores import audit_shelf
from tables.stores.audit_bundle import export
from tables.stores.audit_reader import AuditReader
from tables.stores.audit_shelf import AuditShelf, Shelved
from tables.stores.audit_store import AuditStore
from tables.stores.daily_marks import SHELF, last_done_ns
from tables.stores.errors import ShelfBusy, StoreConflict, StoreUnavailable
from tables.stores.head_trees import HeadTrees
from tables.stores.row_store import RowStore
from tables.stores.servers.postgres import PostgresServer
from tests.builders import models
from tests.head_tampering import rewrite_bundle
from tests.trails import OF, Trail, key, record
from tests.unit.tables.test_explanations import at_bar, bars
from tests.unit.tables.views.played import WRITTEN_MS, decision, decision_id

pytestmark = pytest.mark.postgres


@pytest.fixture
def stack(tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a stack that uses the database of the tests."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", postgres.url)
    return tmp_path / "fx"


@asynccontextmanager
async def sql(server: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    """Connect as the owner of the database."""
    connection = await asyncpg.connect(server.url)
    try:
        yield connection
    finally:
        await connection.close()


def of_stack(name: str) -> RunKey:
    """Name rows that no other test has."""
    return RunKey(f"{name}-1f2e3d4c", "r1")


async def kept(server: PostgresServer, trail: Trail) -> None:
    """Write a trail."""
    async with AuditStore(server, OF) as store:
        await store.put(trail.rows, trail.heads)


async def shelved(
    shelf: AuditShelf, server: PostgresServer, stack: str, today: date
) -> list[Shelved]:
    """Take old days to the shelf."""
    return [each async for each in shelf.shelve(server, stack, today)]


async def test_shelf_when_days_are_old_then_parquet_has_them_and_all_still_verifies(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """Out of SQL, into zstd, back, and out again: the same rows, and the proof goes on."""
    trail = Trail(40)
    day = date(2026, 1, 2)
    await kept(postgres, trail)
    await trail.bundle(tmp_path)
    home = tmp_path / "home"
    shelf, reader = AuditShelf(home), AuditReader(postgres, OF)
    assert await shelved(shelf, postgres, OF.stack, day + timedelta(days=7)) == []
    (done,) = await shelved(shelf, postgres, OF.stack, day + timedelta(days=8))
    assert (done.day, done.n_rows) == (day, 40)
    assert list(shelf.rows(OF, 0)) == trail.rows
    assert [row async for row in reader.rows(0)] == []
    bundle = (await export(home, reader, tmp_path / "b.zip")).path
    assert verify(bundle, [key().public_pem]).n_rows == 40
    assert await shelf.restore(postgres, day) == 40
    assert [row async for row in reader.rows(0)] == trail.rows
    assert await shelf.restore(postgres, day) == 0
    (again,) = await shelved(shelf, postgres, OF.stack, day + timedelta(days=8))
    assert (again.n_rows, again.path) == (0, done.path)
    assert list(shelf.rows(OF, 0)) == trail.rows
    with pytest.raises(StoreConflict, match=r"2020-01-01 is not in .*there are: 2026-01-02"):
        await shelf.restore(postgres, date(2020, 1, 1))
    assert shelf.expired(date(2032, 1, 1)) == []
    assert shelf.expired(date(2033, 1, 3)) == [done.path]
    done.path.write_bytes(b"damaged")
    with pytest.raises(StoreConflict, match="cannot be read"):
        list(shelf.rows(OF, 0))
    async with sql(postgres) as owner:
        await owner.execute("DELETE FROM tradewind.audit_heads WHERE stack = $1", OF.stack)


async def test_shelf_when_rows_have_no_head_or_another_stack_shares_the_day_then_keeps_them(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """Nothing leaves SQL that no signature covers, and nobody else's rows leave with ours."""
    mine, other = of_stack("mine"), of_stack("other")
    shelf, today = AuditShelf(tmp_path / "home"), date(2026, 1, 20)
    for of in (mine, other):
        chain = AuditChain(of, 0, Tip(), key().sign)
        taken = chain.take(record(0))
        assert taken is not None
        assert taken.row is not None
        async with AuditStore(postgres, of) as store:
            await store.put([taken.row], [])
            if of == mine:
                with pytest.raises(StoreConflict, match="without a head"):
                    await shelved(shelf, postgres, of.stack, today)
            head = chain.seal()
            assert head is not None
            await store.put([], [head])
    await shelved(shelf, postgres, mine.stack, today)
    assert [row async for row in AuditReader(postgres, mine).rows(0)] == []
    assert len([row async for row in AuditReader(postgres, other).rows(0)]) == 1
    away = PostgresServer("postgresql://127.0.0.1:1/x", "given", "")
    with pytest.raises(StoreUnavailable):
        await shelved(shelf, away, mine.stack, today)
    with pytest.raises(StoreUnavailable):
        await AuditReader(away, mine).row(decision_id(1))


async def test_shelf_when_a_day_cannot_go_then_the_others_go_and_two_at_once_do_it_once(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """A replay that was killed does not keep SQL full; a timer beside the keeper finds it done."""
    broken, stack = RunKey("days-1f2e3d4c", "killed"), "days-1f2e3d4c"
    shelf, today = AuditShelf(tmp_path / "home"), date(2026, 1, 20)
    made = linked(broken, record(0), 0, bytes(32)).row
    async with AuditStore(postgres, broken) as store:
        await store.put([made], [])
    day_ms = 86_400_000
    chain = AuditChain(RunKey(stack, "r1"), 0, Tip(), key().sign)
    taken = chain.take(record(0, timestamp=WRITTEN_MS + day_ms))
    head = chain.seal()
    assert taken is not None
    assert taken.row is not None
    assert head is not None
    async with AuditStore(postgres, RunKey(stack, "r1")) as store:
        await store.put([taken.row], [head])
    days = shelf.shelve(postgres, stack, today)
    assert (await anext(days)).day == date(2026, 1, 3)
    with pytest.raises(ShelfBusy, match="another process"):
        await shelved(shelf, postgres, stack, today)
    with pytest.raises(StoreConflict, match="2026-01-02 stays in SQL: run killed"):
        await anext(days)
    async with sql(postgres) as owner:
        await owner.execute("DELETE FROM tradewind.audit_records WHERE stack = $1", stack)


async def test_shelf_when_the_disk_has_no_room_then_the_day_stays_and_no_half_file_does(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the folder; SQL lets nothing go that is not on the shelf."""
    of = of_stack("full")
    await one_head(postgres, of, 3)
    shelf = AuditShelf(tmp_path / "home")

    def full(_table: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(audit_shelf, "_table", full)
    with pytest.raises(StoreConflict, match=r"1970-01-01 stays in SQL: .*No space.*have room"):
        await shelved(shelf, postgres, of.stack, date(2026, 1, 20))
    assert list(shelf.folder.iterdir()) == []
    assert len([row async for row in AuditReader(postgres, of).rows(0)]) == 3


async def one_head(server: PostgresServer, of: RunKey, n_rows: int, note: str = "") -> Trail:
    """Write rows of one minute and their head."""
    chain = AuditChain(of, 0, Tip(), key().sign)
    trail = Trail(0)
    for n in range(n_rows):
        taken = chain.take(record(n, msgspec.json.encode(decision(n, note=note)), timestamp=0))
        assert taken is not None
        assert taken.row is not None
        trail.rows.append(taken.row)
    head = chain.seal()
    assert head is not None
    trail.heads.append(head)
    async with AuditStore(server, of) as store:
        await store.put(trail.rows, trail.heads)
    return trail


async def test_proof_when_a_head_is_large_then_no_value_but_the_rows_own_is_fetched(
    postgres: PostgresServer,
) -> None:
    """800 decisions of 50 kB are 40 MB; their hashes are some hundred kB."""
    trail = await one_head(postgres, of_stack("large"), 800, note="x" * 50_000)
    row = trail.rows[700]
    del trail
    reader = AuditReader(postgres, of_stack("large"))
    tracemalloc.start()
    try:
        proof = await reader.proof(row)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert proof is not None
    assert (proof.holds, proof.leaf, proof.n_leaves) == (True, 700, 800)
    assert peak_bytes < 5_000_000


async def test_proof_when_many_ask_at_once_then_the_head_is_read_once_and_proves_each(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A root that holds proves a row whatever becomes of its neighbours; a changed one fails."""
    of = of_stack("many")
    trail = await one_head(postgres, of, 40)
    reader = AuditReader(postgres, of, pooled=True)
    n_read = 0
    read = HeadTrees._read

    async def counted(self: HeadTrees, head: AuditHead) -> list[bytes]:
        nonlocal n_read
        n_read += 1
        return await read(self, head)

    monkeypatch.setattr(HeadTrees, "_read", counted)
    proofs = await asyncio.gather(*(reader.proof(row) for row in trail.rows))
    assert all(proof is not None and proof.holds for proof in proofs)
    async with sql(postgres) as owner:
        await owner.execute(
            "UPDATE tradewind.audit_records SET value = 'x' WHERE stack = $1 AND seq = 3", of.stack
        )
    changed = await reader.row(decision_id(3))
    assert changed is not None
    for row, holds in ((trail.rows[4], True), (changed, False)):
        proof = await reader.proof(row)
        assert proof is not None
        assert proof.holds is holds
    assert n_read == 1
    await reader.close()
    fresh = await AuditReader(postgres, of).proof(trail.rows[4])
    assert fresh is not None
    assert not fresh.holds


async def test_proof_when_the_owner_changed_the_head_in_sql_then_says_what_stands_there(
    postgres: PostgresServer,
) -> None:
    """No head at all, one of more rows than were ever signed, and no end of waiting for others."""
    of = of_stack("heads")
    trail = await one_head(postgres, of, 3)
    reader = AuditReader(postgres, of)
    (head,) = trail.heads
    wide = msgspec.structs.replace(head, last_seq=10**12)
    for document, why in ((b"{}", "where the head of row 1"), (wide.canonical(), "nobody here")):
        async with sql(postgres) as owner:
            await owner.execute(
                "UPDATE tradewind.audit_heads SET document = $2 WHERE stack = $1",
                of.stack,
                document.decode(),
            )
        with pytest.raises(StoreConflict, match=why):
            await reader.proof(trail.rows[1])


async def test_reader_when_there_is_no_such_row_or_head_then_says_nothing(
    postgres: PostgresServer,
) -> None:
    """An unknown decision is none; one without a head has no proof yet; a changed one fails it."""
    of = of_stack("reader")
    reader = AuditReader(postgres, of)
    assert await reader.row(decision_id(1)) is None
    assert await reader.said(decision_id(1)) is None
    chain = AuditChain(of, 0, Tip(), key().sign)
    rows = [taken.row for n in range(5) if (taken := chain.take(record(n))) and taken.row]
    head = chain.seal()
    assert head is not None
    async with AuditStore(postgres, of) as store:
        await store.put(rows, [])
        assert await reader.proof(rows[3]) is None
        await store.put([], [head])
    proof = await reader.proof(rows[3])
    assert proof is not None
    assert (proof.leaf, proof.n_leaves, proof.holds) == (3, 5, True)
    changed = await reader.proof(rows[3]._replace(value=b"{}"))
    assert changed is not None
    assert not changed.holds
    with pytest.raises(ValueError, match="badly formed"):
        await reader.row("no-id")
    since = rows[2].logged_at
    assert [row async for row in reader.rows(0, since)] == rows[2:]


def test_audit_commands_when_used_then_prove_export_shelve_and_restore(
    postgres: PostgresServer, stack: Path
) -> None:
    """What a person types, on a stack with a trail of long ago."""
    of = RunKey(stack_id(stack), "r1")

    async def made() -> None:
        chain = AuditChain(of, 0, Tip(), key().sign)
        rows = [taken.row for n in range(5) if (taken := chain.take(record(n))) and taken.row]
        head = chain.seal()
        assert head is not None
        async with AuditStore(postgres, of) as store:
            await store.put(rows, [head])
        folder = stack / "audit" / "heads"
        folder.mkdir(parents=True)
        (folder / "r1-0.jsonl").write_bytes(head.canonical() + b"\n")
        (stack / "audit" / "public.pem").write_bytes(key().public_pem)

    asyncio.run(made())
    out = stack / "out.zip"
    trail = Trail(40)
    rewrite_bundle(trail, Random(1))  # noqa: S311  a seeded place
    (folder := stack / "forger").mkdir()
    forged = asyncio.run(trail.bundle(folder))
    runner, whose = CliRunner(), ["--name=fx", "--run=r1"]
    answers = [
        (["verify", *whose], 0, "5 rows, 1 signed heads: all hold"),
        (["export", f"--out={out}", *whose], 0, "5 rows and 1 heads in"),
        (["verify", f"--bundle={out}", "--json", "--name=fx"], 0, '"holds": true'),
        (["verify", f"--bundle={out}"], 4, "nothing says whose key it is"),
        (["verify", f"--bundle={forged}", "--name=fx"], 1, "is not signed by a known key"),
        (["shelve", "--name=fx"], 0, "2026-01-02: 5 rows in"),
        (["shelve", "--name=fx"], 0, "Nothing in SQL is older than 7 days"),
        (["verify", *whose], 0, "5 rows, 1 signed heads: all hold"),
        (["export", f"--out={out}", "--since=2026-01-03", *whose], 0, "0 rows and 1 heads in"),
        (["verify", f"--bundle={out}", *whose], 1, "0 rows, 1 signed heads: 1 faults"),
        (["verify", f"--bundle={out}", "--excerpt", *whose], 0, "0 rows, 1 signed heads: all hold"),
        (["export", f"--out={stack}/no/x.zip", *whose], 1, "give a file in a folder that is there"),
        (["export", "--out=/dev/full/x.zip", *whose], 1, "could not be written"),
        (["restore", "2026-01-02", "--name=fx"], 0, "5 rows are back in SQL"),
        (["restore", "yesterday", "--name=fx"], 1, "expected YYYY-MM-DD"),
        (["verify", "--name=fx", "--run=none"], 1, "has no audit trail"),
        (["verify", "--name=nothing"], 1, "expected one that exists: fx."),
        (["admin", "--name=nothing"], 1, "Stack name was 'nothing'"),
    ]
    for arguments, status, words in answers:
        done = runner.invoke(program(), ["audit", *arguments])
        assert (done.exit_code, words in done.output) == (status, True), (arguments, done.output)
    old = stack / "audit" / "shelf" / "2001-01-02-1.parquet"
    old.write_bytes((stack / "audit" / "shelf" / "2026-01-02-1.parquet").read_bytes())
    done = runner.invoke(program(), ["audit", "shelve", "--name=fx", "--expire"])
    assert "older than 7 years; deleted" in done.output
    assert last_done_ns(stack, SHELF) is not None
    assert not old.exists()
    assert os.environ["DATABASE_URL"] == postgres.url


async def test_explanation_when_it_is_kept_then_the_reader_finds_it_and_the_bars(
    postgres: PostgresServer,
) -> None:
    """By id, whole; and of a symbol's bars each once, whatever the portfolios."""
    of = of_stack("explained")
    said = explanation(at_bar(19), "order", models(2), bars(20))
    async with RowStore(postgres) as store:
        await store.put(explanation_rows(of, msgspec.json.encode(said)))
    reader = AuditReader(postgres, of)
    assert await reader.explanation(said.decision_id) == said
    assert await reader.explanation(decision_id(77)) is None
    chain = AuditChain(of, 0, Tip(), key().sign)
    made = [at_bar(n, portfolio=p) for n in range(20) for p in ("main", "other")]
    made[30] = msgspec.structs.replace(made[30], intent_id="mine", features={})
    values = [msgspec.json.encode(each) for each in made]
    # Enough to be found by, and no decision.
    bare = ("decision_id", "portfolio", "symbol", "timeframe", "timestamp", "action", "quantity")
    fields = msgspec.json.decode(values[36])
    values.append(msgspec.json.encode({name: fields[name] for name in (*bare, "approved")}))
    taken = [chain.take(record(n, value)) for n, value in enumerate(values)]
    rows = [each.row for each in taken if each is not None and each.row is not None]
    async with AuditStore(postgres, of) as trail:
        await trail.put(rows, [])
    assert rows[-1].bar_close == rows[36].bar_close
    past = await reader.past(rows[36])
    assert past.close_ns == bars(19).close_ns
    assert past.bars.tolist() == bars(19).bars.tolist()
