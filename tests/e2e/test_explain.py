"""A run with its audit trail and explanations, killed in between, and what a person asks of it."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from typer.testing import CliRunner, Result

from agents.cli import program
from agents.cli.explain import Answer, lines
from agents.run.archived import archived, audited
from agents.run.drive import start_archive, start_explainer, start_forensics
from agents.run.serving import pages_options
from agents.run.stores import database
from agents.run.workers import free_port
from streams.brokers import stack_id
from tables.explanations import read_explanation
from tables.stores.token_keys import TokenKeys
from tables.views.auth import issue
from tests.e2e.test_archive import database_back, database_killed
from tests.runs import TAPE, Outcome, Trial, trial

pytestmark = [pytest.mark.broker, pytest.mark.postgres]

_N_ROWS = len(TAPE.symbols) * len(TAPE.closes_ns())
_PATIENCE_S = 60.0
_RUN = "explained"


async def role_killed(run: Trial, name: str) -> None:
    """Kill a role between any two of its steps."""
    process = run.children.running.pop(name)
    os.kill(process.pid, signal.SIGKILL)
    await run.until(lambda: not process.alive(), f"{name} gone")


async def forensics_killed(run: Trial) -> None:
    """Kill the audit trail's process and start it again."""
    await role_killed(run, "forensics")
    start_forensics(run.run, run.children)


async def explainer_killed(run: Trial) -> None:
    """Kill the explaining worker and start it again."""
    await role_killed(run, "explain")
    start_explainer(run.run, run.children, free_port("127.0.0.1"))


def asked(home: Path, *arguments: str) -> Result:
    """Type a command about the run."""
    return CliRunner().invoke(program(), [*arguments, f"--name={home.name}", f"--run={_RUN}"])


def explained(records: list[ConsumerRecord]) -> dict[str, Any]:
    """Return explanations by decision; one that came again has the same bytes."""
    found: dict[str, bytes] = {}
    for record in records:
        key = record.key.decode()
        assert found.setdefault(key, record.value) == record.value
    return {key: read_explanation(value) for key, value in found.items()}


async def all_explained(run: Trial, wanted: set[str]) -> dict[str, Any]:
    """Wait until some decisions are explained; return all explanations."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            found = explained(await run.records("explanations"))
            if wanted <= found.keys():
                return found
            await asyncio.sleep(0.2)


async def test_explain_when_roles_were_killed_then_every_answer_is_whole_and_identical(
    broker: str, home: Path, fitted: str, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trail, explanations and a fold of the book agree with what was decided."""
    monkeypatch.setenv("TRADEWIND_HOME", str(home.parent))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker)
    async with trial(broker, home, fitted, _RUN) as run:
        server = await asyncio.to_thread(database, home, run.children)
        assert server is not None
        run.start()
        start_archive(run.run, run.children)
        start_forensics(run.run, run.children)
        start_explainer(run.run, run.children, free_port("127.0.0.1"))
        moments = {
            150: forensics_killed,
            210: database_killed,
            230: database_back,
            270: explainer_killed,
        }
        await run.feed(moments)
        assert await audited(run.run, server, patience_s=_PATIENCE_S) == _N_ROWS
        outcome = await run.outcome()
        assert not outcome.differs(undisturbed)
        said = {key: json.loads(value) for key, value in outcome.decisions.items()}
        wanted = {key for key, d in said.items() if d["action"] != "HOLD" or not d["approved"]}
        why = await all_explained(run, wanted)
        kept = await archived(run.run, server, patience_s=_PATIENCE_S)
        assert kept["explanations"] == len(why)
        # The last head is made when the role ends.
        await asyncio.to_thread(run.children.running.pop("forensics").end)
        bought = [d for d in said.values() if d["action"] == "BUY" and d["approved"]]
        last = max(bought, key=lambda d: d["timestamp"])
        answers = await asyncio.to_thread(questions, home, last["decision_id"])
        await check_later(run, last["decision_id"])
        over_http = await asked_over_http(run, last["decision_id"])
    models = [each for each in why.values() if each.explained == "model"]
    assert len(models) > 20
    assert {each.confidence_difference for each in models} == {0.0}
    assert all(abs(each.residual or 0.0) < 1e-9 for each in models)
    verified, told, unknown = answers
    assert verified.exit_code == 0, verified.output
    assert told.exit_code == 0, told.output
    check(told.stdout, last)
    by_command = json.loads(told.stdout)
    assert over_http["decision"] == last
    for part in ("explanation", "is_stored", "audit"):
        assert over_http[part] == by_command[part]
    assert (unknown.exit_code, "has no decision" in unknown.output) == (1, True)


async def asked_over_http(run: Trial, decision_id: str) -> Any:  # noqa: ANN401  JSON
    """Ask the process of the pages, as a trader; a stranger's id and no id are refused."""
    home, port = run.run.home, free_port("127.0.0.1")
    keys = TokenKeys(home / "auth")
    token, _ = issue(keys, stack_id(home), "ann", "trader", ["main"], 1)
    run.children.start(
        "web",
        "web",
        f"--bootstrap={run.run.bootstrap_servers}",
        f"--run={run.run.name}",
        f"--port={port}",
        *pages_options(home, ""),
    )
    url, headers = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def is_up() -> bool:
            try:
                async with session.get(f"{url}/health") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await run.until(is_up, "the pages")
        for asked_for, status in ((decision_id[:-4], 422), (f"{decision_id[:-4]}0000", 404)):
            async with session.get(f"{url}/api/v1/forensics/{asked_for}") as answer:
                assert answer.status == status
        async with session.get(f"{url}/api/v1/forensics/{decision_id}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


def check(answered: str, decision: dict[str, Any]) -> None:
    """Check what is said about an approved purchase."""
    answer = json.loads(answered)
    assert answer["decision"] == decision
    assert (answer["explanation"]["why"], answer["explanation"]["confidence_difference"]) == (
        "order",
        0.0,
    )
    assert len(answer["explanation"]["features"]) == 61
    assert (answer["is_stored"], answer["audit"]["is_proved"]) == (True, True)
    assert answer["recomputed"]["is_identical"]
    assert answer["recomputed"]["beginning"] == "an empty book"
    rebuilt = answer["rebuilt"]
    assert (rebuilt["is_identical"], rebuilt["topic"]) == (True, "market-ticks")
    assert (rebuilt["begins"], rebuilt["checkpoint"]) == ([0] * len(rebuilt["ends"]), None)
    assert not answer["what_if"]["approved"]
    assert "MAX_GROSS_EXPOSURE" in answer["what_if"]["refused_by"]
    spoken = "\n".join(lines(msgspec.json.decode(answered, type=Answer)))
    assert "Recomputed: the same bytes" in spoken
    assert "Rebuilt: the same bytes; all stages folded from market-ticks" in spoken
    assert "proved by signed head" in spoken
    assert "With max_gross_fraction 1e-06 from this bar on: BUY" in spoken


async def check_later(run: Trial, decision_id: str) -> None:
    """Let time delete the ticks, then the bars: the rest is folded, and what is gone is said."""
    from_bars = await without(run, "market-ticks", decision_id, status=0)
    assert (from_bars["is_identical"], from_bars["topic"]) == (True, "market-bars"), from_bars
    assert "what came before was deleted" in from_bars["missing"][0]
    from_nothing = await without(run, "market-bars", decision_id, status=3)
    assert (from_nothing["is_identical"], len(from_nothing["missing"])) == (None, 2)


async def without(run: Trial, topic: str, decision_id: str, status: int) -> Any:  # noqa: ANN401  JSON
    """Let a topic lose its first record, as time does, and ask for the decision again."""
    place = TopicPartition(run.run.prefix + topic, 0)
    admin = AIOKafkaAdminClient(bootstrap_servers=run.run.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_records({place: RecordsToDelete(before_offset=1)})
    finally:
        await admin.close()
    told = await asyncio.to_thread(
        asked, run.run.home, "explain", decision_id, "--recompute", "--json"
    )
    assert told.exit_code == status, told.output
    return json.loads(told.stdout)["rebuilt"]


def questions(home: Path, decision_id: str) -> list[Result]:
    """Ask what a person would."""
    limits = "--what-if=risk.max_gross_fraction=0.000001"
    return [
        asked(home, "audit", "verify"),
        asked(home, "explain", decision_id, "--recompute", limits, "--json"),
        asked(home, "explain", "00000000-0000-5000-8000-000000000001"),
    ]
