"""A recorded run, stage by stage once more: from its beginning, from a check on, and forged."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from typer.testing import CliRunner

from agents.cli import program, verify_run
from agents.run.topic_log import partitions, reading, records
from agents.run.verified_run import VerifiedRun
from agents.topology import app_id, changelogs, prefix_of
from streams import topics
from streams.topics import (
    EXECUTIONS,
    PORTFOLIO_EVENTS,
    PORTFOLIO_SNAPSHOTS,
    TRADING_DECISIONS,
)
from tables.epochs import Epochs
from tables.stamped import Stamped
from tables.stores.artifacts import Artifacts
from tables.stores.run_checks import Anchor, anchors_of, keep_check, last_check

pytestmark = pytest.mark.broker

SAID = (PORTFOLIO_EVENTS, TRADING_DECISIONS, EXECUTIONS, PORTFOLIO_SNAPSHOTS)

# Changes the value of the record at an offset of a topic's partition.
Forge = Callable[[str, int, bytes], bytes]


def checking(home: Path, broker: str, run: str) -> VerifiedRun:
    """Return a check of a run of the tests' stack."""
    return VerifiedRun(Epochs(Artifacts(home / "artifacts")), broker, run)


async def copied(broker: str, source: str, run: str, forge: Forge) -> int:
    """Copy what the books of a run read and said, and its progress; return how much they said."""
    places = await partitions(broker, prefix_of(source) + PORTFOLIO_EVENTS.name)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await topics.declare(
        admin,
        prefix=prefix_of(run),
        n_partitions=len(places),
        replication=1,
        changelogs=changelogs(run),
    )
    await admin.close()
    n_said = 0
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        for spec in SAID:
            for place in await partitions(broker, prefix_of(source) + spec.name):
                async with reading(broker) as consumer:
                    async for said in records(consumer, place):
                        value = forge(spec.name, said.offset, said.value)
                        n_said += spec is not PORTFOLIO_EVENTS
                        await producer.send(
                            prefix_of(run) + spec.name,
                            value,
                            key=said.key,
                            partition=said.partition,
                            headers=list(said.headers),
                        )
    async with AIOKafkaConsumer(bootstrap_servers=broker, group_id=app_id(run)) as group:
        mine = await partitions(broker, prefix_of(run) + PORTFOLIO_EVENTS.name)
        group.assign(mine)
        await group.commit(dict(await group.end_offsets(mine)))
    return n_said


async def test_check_when_nothing_differs_then_every_output_is_counted_once(
    broker: str, home: Path, spoken: str, tmp_path: Path
) -> None:
    """From the beginning and from what was kept: nothing differs, and the second has less to do."""
    found, after = await checking(home, broker, spoken).check({})
    assert (found.n_differing, found.n_unchecked, found.first) == (0, 0, "")
    assert found.n_same > 1_000
    assert {name.partition("/")[0] for name in after} == {"bars", "signals", "execution", "risk"}
    keep_check(tmp_path, found, after)
    assert last_check(tmp_path) == found
    again, _ = await checking(home, broker, spoken).check(anchors_of(tmp_path))
    assert (again.n_same, again.n_differing, again.n_unchecked) == (0, 0, 0)
    # With the states of now and all the input, what they know already causes nothing.
    known = {name: Anchor(0, each.states) for name, each in after.items()}
    rest, _ = await checking(home, broker, spoken).check(known)
    assert (rest.n_differing, rest.n_unchecked) == (0, 0)
    assert rest.n_same < found.n_same / 2


def test_command_when_a_run_is_named_then_is_checked_and_nothing_is_kept(
    broker: str, home: Path, spoken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 0 and the count; what the live stack's next check goes on from stays as it was."""
    monkeypatch.setenv("TRADEWIND_HOME", str(home.parent))
    monkeypatch.setattr(verify_run, "servers_of", lambda _name: broker)
    words = ["verify-run", f"--run={spoken}", f"--name={home.name}"]
    done = CliRunner().invoke(program(("verify_run", "clock")), words)
    assert done.exit_code == 0, done.output
    assert "records came out as they stand on their topics." in done.output
    assert last_check(home) is None
    nowhere = CliRunner().invoke(program(("verify_run", "clock")), [words[0], "--run=x", words[2]])
    assert nowhere.exit_code == 1
    assert "there is no topic x.market-ticks" in " ".join(nowhere.output.split())


async def test_check_when_a_decision_was_forged_then_the_record_that_caused_it_is_named(
    broker: str, home: Path, spoken: str
) -> None:
    """One quantity of one decision; all else that the books said is found."""

    def forge(topic: str, offset: int, value: bytes) -> bytes:
        if topic != TRADING_DECISIONS.name or offset != 50:
            return value
        said = msgspec.json.decode(value)
        return msgspec.json.encode({**said, "quantity": said["quantity"] + 1})

    n_said = await copied(broker, spoken, "forged", forge)
    found, _ = await checking(home, broker, "forged").check({})
    n_partitions = len(await partitions(broker, "forged.portfolio-events"))
    assert 1 <= found.n_differing <= n_partitions  # each partition of decisions has an offset 50
    assert found.n_same == n_said - found.n_differing
    assert found.first.startswith("risk: what forged.portfolio-events:")
    assert "gives is not on forged.trading-decisions:" in found.first


async def test_check_when_input_was_deleted_or_states_are_others_then_is_not_checked(
    broker: str, home: Path, spoken: str
) -> None:
    """What cannot be folded again is no difference; it is said, and the next check begins anew."""
    await copied(broker, spoken, "cut", lambda _topic, _offset, value: value)
    whole, after = await checking(home, broker, "cut").check({})
    assert whole.n_differing == 0
    other = {name: Anchor(0, {b"main": Stamped(0, b"?")}) for name in after}
    found, _ = await checking(home, broker, "cut").check(other)
    assert found.n_differing == 0
    assert found.n_unchecked > 0
    assert "bytes are no _Stored" in found.first
    places = await partitions(broker, "cut.portfolio-events")
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    used = [p for p in places if after[f"risk/{p.partition}"].progress]
    await admin.delete_records({place: RecordsToDelete(before_offset=1) for place in used})
    await admin.close()
    found, _ = await checking(home, broker, "cut").check({})
    assert (found.n_same, found.n_differing) == (0, 0)
    assert found.n_unchecked == sum(each.progress for each in after.values())
    assert "begins at 1, the last check ended at 0" in found.first
