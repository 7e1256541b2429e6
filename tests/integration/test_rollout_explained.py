"""Decisions of a rollout asked again: by their reasons, from the book's log, and from the ticks."""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer

from agents.cli.book_log import BookLog
from agents.cli.recompute import recompute
from agents.run.divergence import Slot
from agents.run.rebuilt import rebuild
from agents.topology import prefix_of
from streams.epochs import Challenge
from streams.records import Decision
from streams.timestamps import parse_ns
from tables.epochs import LoadedEpoch
from tables.explanations import NO_BARS, explanation, read_decision, tells_of_a_bar, with_bar
from tests.builders import MIDNIGHT, MINUTE, notice
from tests.contract.test_rollout import document
from tests.contract.test_steps import run
from tests.integration.test_book_log import declare
from tests.worlds import Chain

RUN = "rolled-out"
# In shadow the challenger sees the sixteen bars that attention looks at, as the evidence of a stage
# takes far more of them; features are warm by then.
SHADOW, CANARY = 258, 282
# Of this name the challenger decides for the one symbol of three that trades.
ROLLOUT = "r4"


class Played(NamedTuple):
    """A run through shadow into a canary, and the folder of its stack."""

    home: Path
    chain: Chain

    @property
    def decisions(self) -> list[bytes]:
        """What was decided, in order."""
        return self.chain.values("trading-decisions")

    @property
    def canary(self) -> LoadedEpoch:
        """The epoch in which both decide."""
        return self.chain.epochs.load(self.chain.later[-1])

    def last(self, models: str, epoch: int) -> bytes:
        """Return the last order that models decided in an epoch."""
        return [
            value
            for value in self.decisions
            if (said := read_decision(value)).digests.models == models
            and said.epoch == epoch
            and said.action != "HOLD"
            and said.approved
        ][-1]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Play a run that goes into shadow and on into a canary."""
    home = tmp_path_factory.mktemp("rollout") / "s"
    begins = {SHADOW: 2, CANARY: 3}

    def change(chain: Chain, minute: int) -> None:
        number = begins.get(minute)
        if number is not None:
            from_ns = MIDNIGHT + (minute - 1) * MINUTE
            chain.say(notice(chain.later[number - 2], 0, number=number, from_close_ns=from_ns))

    rollouts = (None, *(Challenge(id=ROLLOUT, challenger="", share=share) for share in (0.0, 0.5)))
    return Played(home, run(home / "artifacts", *map(document, rollouts), before=change))


def test_explanation_when_the_challenger_decided_then_its_own_networks_say_why(
    played: Played,
) -> None:
    """Bit for bit the confidence that was decided with, of both arms' decisions."""
    loaded = played.canary
    assert loaded.challenger is not None
    assert loaded.epoch.rollout is not None
    by = {loaded.epoch.models: loaded.models, loaded.epoch.rollout.challenger: loaded.challenger}
    past: dict[str, Any] = {}
    explained: list[tuple[str, float | None]] = []
    for said in map(read_decision, played.decisions):
        if tells_of_a_bar(said):
            past[said.symbol] = with_bar(past.get(said.symbol, NO_BARS), said)
        if said.epoch > 1:
            why = explanation(said, "order", by[said.digests.models], past[said.symbol])
            if why.explained == "model":
                explained.append((why.models, why.confidence_difference))
    assert {models for models, _ in explained} == set(by)
    assert {difference for _, difference in explained} == {0.0}


def slot_of(said: Decision) -> Slot:
    """Return which decision it is."""
    return Slot(parse_ns(said.timestamp), said.symbol, said.portfolio, said.decision_id)


@pytest.mark.broker
async def test_recompute_when_a_rollout_runs_then_log_and_ticks_give_the_same_bytes(
    broker: str, played: Played
) -> None:
    """The challenger's order, and one that the champion made beside a shadow."""
    await declare(broker, RUN)
    async with AIOKafkaProducer(bootstrap_servers=broker, acks="all") as producer:
        for record in played.chain.taken:
            await producer.send(
                prefix_of(RUN) + record.topic,
                record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
            )
    epoch = played.canary.epoch
    assert epoch.rollout is not None
    log = BookLog(broker, RUN, played.chain.epochs)
    for models, number in ((epoch.rollout.challenger, 3), (epoch.models, 2)):
        value = played.last(models, number)
        said = read_decision(value)
        folded = await recompute(log, "main", said.decision_id)
        assert folded.value == value
        # Compared with other bytes, it says where it went another way: nowhere before risk.
        again = await asyncio.to_thread(
            rebuild, played.home, broker, RUN, slot_of(said), value + b" "
        )
        assert (again.value, again.topic, again.stage) == (value, "market-ticks", "risk")
