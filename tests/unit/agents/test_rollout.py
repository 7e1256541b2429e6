"""The role that moves rollouts: what it writes, when it goes on, and when it goes back."""

import math
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from prometheus_client import REGISTRY

from agents import rollout as role
from agents.rollout import ACCOUNTS, DECISIONS, INTENTS, UPDATES, Rollouts
from models.errors import Refused
from models.rollout.guards import Rules
from streams import metrics
from streams.model_updates import ModelUpdate
from streams.rollouts import FeatureFlag, RolloutState
from streams.timestamps import format_ns
from tables.rollout import read_stage_record
from tables.stores.artifacts import Artifacts
from tables.stores.kept_stage import KeptStage
from tests.builders import MIDNIGHT, MINUTE, models
from tests.rollout_worlds import SHARE, SYMBOLS, Market, account, fetched, record

HOUR = 3_600 * 10**9
DWELL_NS = 2 * HOUR


class World:
    """A role without a broker, whose clock stands until it is moved."""

    def __init__(self, root: Path, better: float = 0.0) -> None:
        self.root = root
        self.market = Market(root, better)
        self.serving = self.market.digests[0]
        self.now_ns = MIDNIGHT
        self.sent: list[tuple[str, bytes]] = []
        self.kept: list[RolloutState] = []
        self.offset = 0
        self.role = self.made()

    def made(self) -> Rollouts:
        """Make the role anew, as a restart does."""
        return Rollouts(
            cast(Any, self),
            "r.",
            self.market.epochs,
            lambda: self.market.epochs.load(self.serving),
            KeptStage(self.root / "stage.bin"),
            self,
            Rules(),
        )

    async def send_and_wait(self, topic: str, value: bytes, *, key: bytes, partition: int) -> None:
        """Stand in for the producer."""
        assert (topic, partition) == ("r.rollout-stages", 0)
        self.sent.append((key.decode(), value))

    def put(self, said: RolloutState) -> None:
        """Stand in for the rows."""
        self.kept.append(said)

    @property
    def last(self) -> RolloutState:
        """The last state that was written."""
        return msgspec.json.decode(self.sent[-1][1], type=RolloutState)

    async def begin(self) -> RolloutState:
        """Begin a rollout."""
        return await self.role.begin("r1", self.market.challenger, "me", "why", DWELL_NS)

    def bars(self, first: int, last: int, share: float = 0.0, **changed: Any) -> None:  # noqa: ANN401  of a decision
        """Let bars come, each with its decisions."""
        latency_ms = changed.pop("latency_ms", 20.0)
        for bar in range(first, last):
            at_ns = MIDNIGHT + bar * MINUTE
            slice_ = self.market.intents(bar, share)
            self.offset += 1
            told = record(f"r.{INTENTS}", slice_.encode(), self.offset)
            decided = [
                record(
                    f"r.{DECISIONS}",
                    msgspec.json.encode(self.market.decision(bar, symbol, share, **changed)),
                    self.offset,
                    sent_ns=at_ns,
                    latency_ms=latency_ms,
                )
                for symbol in SYMBOLS
            ]
            behind = record(f"r.{ACCOUNTS}", msgspec.json.encode(account(bar)), self.offset)
            self.role.take(
                fetched(f"r.{ACCOUNTS}", behind)
                | fetched(f"r.{DECISIONS}", *decided)
                | fetched(f"r.{INTENTS}", told)
            )

    def taken_back(self, digest: str, at_ns: int) -> None:
        """Let learning say that models did not stand."""
        said = ModelUpdate(
            timestamp=format_ns(MIDNIGHT - HOUR), job_id=f"j{at_ns}", model_id="m",
            update_type="rollback", outcome="rolled_back", before=digest, after="",
        )  # fmt: skip
        told = record(f"r.{UPDATES}", msgspec.json.encode(said), sent_ns=at_ns)
        self.role.take(fetched(f"r.{UPDATES}", told))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a role at midnight."""
    made = World(tmp_path)
    monkeypatch.setattr(role, "wall_ns", lambda: made.now_ns)
    return made


async def test_begin_when_asked_then_is_written_before_anything_follows(world: World) -> None:
    """One record under the rollout's id, kept for queries as well."""
    said = await world.begin()
    assert world.sent == [("r1", msgspec.json.encode(said))]
    assert (said.stage, said.share, said.champion) == ("shadow", 0.0, world.market.champion)
    assert world.kept == [said]
    assert world.role.told().rollouts == [said]


@pytest.mark.parametrize(
    ("name", "challenger", "code"),
    [("", "f" * 64, "BAD_MODELS"), ("a/b", "", "BAD_NAME"), ("a" * 65, "", "BAD_NAME")],
)
async def test_begin_when_it_cannot_be_then_is_refused(
    world: World, name: str, challenger: str, code: str
) -> None:
    """Models that are not here, and names that are no part of an address."""
    with pytest.raises(Refused, match=code):
        await world.role.begin(name, challenger or world.market.challenger, "me", "")
    assert world.sent == []


async def test_begin_when_bars_have_another_length_then_is_refused(world: World) -> None:
    """Models of hours say nothing of minutes."""
    hourly = models(9)._replace(metadata=models().metadata | {"timeframe": "1hour"})
    digest = Artifacts(world.root).put_models(hourly)
    with pytest.raises(Refused, match="models of 1min"):
        await world.role.begin("", digest, "me", "")


async def test_begin_when_one_runs_then_is_refused(world: World) -> None:
    """One rollout at a time; an old name is not taken again, and without one it gets its day."""
    await world.begin()
    with pytest.raises(Refused, match="NOT_NOW"):
        await world.role.begin("r2", world.market.challenger, "me", "")
    await world.role.act("rollback", "r1", "me", "")
    with pytest.raises(Refused, match="BAD_NAME"):
        await world.begin()
    said = await world.role.begin("", world.market.challenger, "me", "")
    assert said.rollout_id == f"2024-01-02-{world.market.challenger[:8]}"


async def test_act_when_it_is_over_and_another_runs_then_that_one_goes_back_first(
    world: World,
) -> None:
    """To go back to its champion would take the epoch away from the one that runs."""
    await world.begin()
    over = world.role._all["r1"]._replace(stage=3, state="done")
    world.role._all["r1"] = over
    await world.role.begin("r2", world.market.challenger, "me", "")
    with pytest.raises(Refused, match="r2, which runs, to go back first"):
        await world.role.act("rollback", "r1", "me", "")
    await world.role.act("rollback", "r2", "me", "")
    assert (await world.role.act("rollback", "r1", "me", "")).state == "rolled_back"


async def test_look_when_a_stage_has_lasted_and_is_carried_then_goes_on(world: World) -> None:
    """With its evidence, to 5 %; not before its time, and not again at once."""
    await world.begin()
    world.bars(0, 150)
    world.now_ns += DWELL_NS - 1
    await world.role.look()
    assert len(world.sent) == 1
    world.now_ns += 1
    await world.role.look()
    assert (world.last.stage, world.last.share, world.last.state) == ("5%", 0.05, "running")
    made = world.last.transitions[-1]
    assert (made.by, made.kind) == ("automatic", "advance")
    assert made.evidence is not None
    assert (made.evidence.n_bars, made.evidence.reasons_against) == (149, [])
    world.now_ns += DWELL_NS
    await world.role.look()
    assert len(world.sent) == 2


@pytest.mark.parametrize("case", ["behind", "stale", "judged too little"])
async def test_look_when_the_evidence_is_old_then_waits(world: World, case: str) -> None:
    """Behind an outage: before all is read, on a feed that stands, or for want of bars."""
    await world.begin()
    world.bars(0, 120 if case == "judged too little" else 150)
    world.now_ns = MIDNIGHT + {"behind": 150, "stale": 154}.get(case, 121) * MINUTE
    world.role.is_behind = case == "behind"
    await world.role.look()
    assert len(world.sent) == 1
    if case != "judged too little":
        with pytest.raises(Refused, match=case.upper()):
            await world.role.act("advance", "r1", "me", "")
    world.role.is_behind = False
    world.bars(150, 155)
    await world.role.look()
    assert world.last.stage == "5%"


async def test_look_when_there_is_no_data_then_never_goes_on(world: World) -> None:
    """However long it lasts, and whoever asks."""
    await world.begin()
    await world.role.look()
    assert metrics.ROLLOUT_OVERDUE_SECONDS._value.get() == 0.0
    world.now_ns += 1_000 * DWELL_NS
    await world.role.look()
    assert metrics.ROLLOUT_OVERDUE_SECONDS._value.get() == 999 * DWELL_NS / 1e9
    with pytest.raises(Refused, match="TOO_FEW_BARS, NO_DECISIONS"):
        await world.role.act("advance", "r1", "me", "now")
    assert len(world.sent) == 1


async def test_look_when_advance_is_switched_off_then_waits_for_somebody(world: World) -> None:
    """The flag is a record of the same log; by hand it goes on before its time as well."""
    await world.begin()
    flag = await world.role.set_flag("auto-advance", "me", "a freeze", is_on=False)
    assert world.sent[-1] == ("flag:auto-advance", msgspec.json.encode(flag))
    world.bars(0, 150)
    world.now_ns += DWELL_NS
    await world.role.look()
    assert len(world.sent) == 2
    said = await world.role.act("advance", "r1", "me", "seen enough")
    assert (said.stage, said.transitions[-1].by) == ("5%", "me")


async def test_look_when_held_then_guards_go_on_and_nothing_else(world: World) -> None:
    """A held rollout keeps its stage, and still goes back where it harms."""
    await world.begin()
    await world.role.act("hold", "r1", "me", "look first")
    world.bars(0, 150)
    world.now_ns += 2 * DWELL_NS
    await world.role.look()
    assert world.last.state == "held"
    assert metrics.ROLLOUT_OVERDUE_SECONDS._value.get() == 0.0
    world.bars(150, 180, latency_ms=500.0)
    await world.role.look()
    assert (world.last.state, world.last.transitions[-1].by) == ("rolled_back", "automatic")


@pytest.mark.parametrize("is_on", [True, False])
async def test_look_when_decisions_are_slow_then_goes_back_unless_switched_off(
    world: World, *, is_on: bool
) -> None:
    """P95 of the last 200 decisions, over ten seconds and more."""
    await world.begin()
    if not is_on:
        await world.role.set_flag("auto-rollback", "me", "a drill", is_on=False)
    world.bars(0, 24, latency_ms=201.0)
    await world.role.look()
    n_before = 1 if is_on else 2
    assert len(world.sent) == n_before
    world.bars(24, 25, latency_ms=201.0)
    await world.role.look()
    assert len(world.sent) == 2
    assert (world.role.running is None) is is_on
    if is_on:
        made = world.last.transitions[-1]
        assert "201 ms" in made.reason
        assert made.evidence is not None
        assert made.evidence.window_p95_ms == pytest.approx(201.0, abs=1e-3)


async def test_look_when_the_challenger_broke_a_limit_then_goes_back_at_once(world: World) -> None:
    """One uncaught violation is enough."""
    await world.begin()
    world.bars(0, 150)
    await world.role.act("advance", "r1", "me", "")
    world.bars(150, 300, 0.05)
    while world.role.told().rollouts[0].share < SHARE:
        await world.role.act("advance", "r1", "me", "")
    world.bars(300, 301, SHARE, approved=True, quantity=2, allowed_quantity=1)
    await world.role.look()
    assert world.last.state == "rolled_back"
    assert "(MORE_THAN_ALLOWED)" in world.last.transitions[-1].reason


async def test_look_when_a_stage_is_measured_then_the_gauges_say_what_the_evidence_does(
    world: World,
) -> None:
    """What a chart cannot show yet is no number; a zero would be read as one."""
    await world.begin()
    name = "tradewind_rollout_target_correlation"
    assert math.isnan(REGISTRY.get_sample_value(name) or 0.0)
    world.bars(0, 60)
    await world.role.look()
    said = world.role.told().evidence
    assert said is not None
    assert REGISTRY.get_sample_value(name) == pytest.approx(said.target_correlation)
    for bound in ("lower", "upper"):
        for what in ("loss_difference_nats", "earned_difference_fraction"):
            found = REGISTRY.get_sample_value(f"tradewind_rollout_{what}", {"bound": bound})
            expected = getattr(said, f"{what.partition('_')[0]}_{bound}")
            assert found == pytest.approx(math.nan if expected is None else expected, nan_ok=True)
    violations = REGISTRY.get_sample_value("tradewind_rollout_violations", {"arm": "champion"})
    assert violations == said.champion.n_violations


async def test_learn_when_restarted_then_goes_on_where_it_was(world: World) -> None:
    """States, flags, evidence and offsets are there again; nothing is counted twice."""
    await world.begin()
    await world.role.set_flag("auto-rollback", "me", "", is_on=False)
    world.bars(0, 60)
    world.role.keep()
    before = world.role.told()
    world.role = world.made()
    assert world.role.told().rollouts == []
    world.role.learn([value for _, value in world.sent])
    assert world.role.told() == msgspec.structs.replace(before, evidence=world.role.told().evidence)
    after = world.role.told().evidence
    assert after is not None
    assert before.evidence is not None
    assert (after.n_bars, after.champion) == (59, before.evidence.champion)
    read = dict.fromkeys((INTENTS, DECISIONS, ACCOUNTS), 61)
    assert world.role.offsets == {f"r.{topic}:0": offset for topic, offset in read.items()}


async def test_learn_when_nothing_was_kept_then_has_no_offsets(
    world: World,
) -> None:
    """Without a stage on disk there are no offsets to go on from."""
    await world.begin()
    world.role = world.made()
    world.role.learn([value for _, value in world.sent])
    assert world.role.offsets == {}
    assert world.role.running is not None
    assert isinstance(read_stage_record(world.sent[0][1]), tuple)


async def test_act_when_unknown_then_is_refused(world: World) -> None:
    """A name that stands for nothing."""
    with pytest.raises(Refused, match="UNKNOWN_ROLLOUT"):
        await world.role.act("hold", "r9", "me", "")


async def test_take_when_no_rollout_runs_then_nothing_is_read(world: World) -> None:
    """Bytes of decisions are not even decoded."""
    world.role.take(fetched(f"r.{DECISIONS}", record(f"r.{DECISIONS}", b"anything")))
    await world.role.look()
    assert world.sent == []


def test_flags_when_never_set_then_are_on(world: World) -> None:
    """Guards and stages work unless somebody says otherwise."""
    assert world.role.is_on("auto-rollback")
    off = FeatureFlag(
        timestamp="2026-01-01T00:00:00Z", name="auto-rollback", is_on=False, by="me", reason=""
    )
    world.role.learn([msgspec.json.encode(off)])
    assert not world.role.is_on("auto-rollback")
