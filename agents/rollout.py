"""Measures rollouts, and moves them.

``shadow-intents, trading-decisions, portfolio-snapshots, model-updates -> rollout-stages``

A role of its own, off the path, and the only writer of how rollouts stand; what people want comes
to it. It compares both arms, goes on when a stage has lasted and its evidence carries the next one,
and goes back at once when a guard says so, or when learning takes back models that decide. It keeps
what it has read with the offsets, so a restart counts nothing twice, and nothing goes on before it
has read what came while it was away.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from aiokafka import AIOKafkaProducer

from agents.rollout_gauges import show_evidence
from models.errors import Refused
from models.rollout import stages
from models.rollout.guards import Rules, Timed
from models.rollout.stages import Act, Kind, Rollout
from streams import metrics, topics
from streams.clock import wall_ns
from streams.epochs import Epoch
from streams.errors import RecordError, SettingsError
from streams.model_updates import ModelUpdate
from streams.records import Decision, PortfolioSnapshot, read_json
from streams.rollouts import (
    FLAG_KEY,
    FeatureFlag,
    FlagName,
    RolloutsAnswer,
    RolloutState,
)
from streams.slices import Slice
from streams.sources.replay import ORIGIN_HEADER
from streams.timestamps import format_ns
from tables.epochs import Epochs, LoadedEpoch
from tables.rollout import read_stage_record, state_event
from tables.rollout_stage import StageFold
from tables.stores.artifacts import ArtifactError
from tables.stores.kept_stage import KeptStage
from tables.taken_back import TakenBack

log = logging.getLogger("tradewind.rollout")

STAGE = "rollout"
AUTOMATIC = "automatic"
INTENTS, DECISIONS = topics.SHADOW_INTENTS.name, topics.TRADING_DECISIONS.name
ACCOUNTS, UPDATES = topics.PORTFOLIO_SNAPSHOTS.name, topics.MODEL_UPDATES.name
# In the order in which records that are fetched together are taken.
SOURCES = (UPDATES, INTENTS, DECISIONS, ACCOUNTS)

_NS_PER_MS = 1_000_000
_NS_PER_S = 10**9
# It is part of an address.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
# All in one partition: who follows must see one rollout end before the next begins.
_PARTITION = 0
_JSON = msgspec.json.Encoder()
_DECISION = msgspec.json.Decoder(Decision)
_SNAPSHOT = msgspec.json.Decoder(PortfolioSnapshot)
_UPDATE = msgspec.json.Decoder(ModelUpdate)


class Results(Protocol):
    """Where transitions are kept for queries."""

    def put(self, said: RolloutState) -> None:
        """Keep all of a rollout's transitions, those that are there already as they are."""
        ...


class Rollouts:
    """The rollouts of one run, one at a time.

    Parameters
    ----------
    producer, prefix
        Of the run's topics; started and stopped by the caller.
    epochs
        Documents and models.
    serving
        Returns the epoch that decides now.
    kept
        What a stage has shown, over restarts.
    results
        Where transitions go besides the topic.
    rules
        What a rollout keeps to.
    """

    def __init__(  # noqa: PLR0913, PLR0917  its parts
        self,
        producer: AIOKafkaProducer,
        prefix: str,
        epochs: Epochs,
        serving: Callable[[], LoadedEpoch],
        kept: KeptStage,
        results: Results,
        rules: Rules,
    ) -> None:
        self._producer = producer
        self._prefix = prefix
        self._epochs = epochs
        self._serving = serving
        self._kept = kept
        self._results = results
        self._rules = rules
        self._all: dict[str, Rollout] = {}
        self._flags: dict[str, FeatureFlag] = {}
        self._fold: StageFold | None = None
        self._offsets: dict[str, int] = {}
        self._is_dirty = False
        self._acting = asyncio.Lock()
        self._taken_back = TakenBack(epochs)
        self.is_behind = False
        metrics.ROLLOUT_TRANSITIONS.labels("rollback", AUTOMATIC)

    def learn(self, values: Sequence[bytes]) -> None:
        """Take how rollouts stand from the records of the topic, all that there are.

        Raises
        ------
        RecordError
            If one is none of ours: this role alone writes them, so that is a defect.
        """
        for value in values:
            said = read_stage_record(value)
            if isinstance(said, FeatureFlag):
                self._flags[said.name] = said
            else:
                self._all[said.id] = said
        for rollout in self._all.values():
            self._results.put(state_event(rollout))
        self._measure(self.running, restored=True)

    @property
    def running(self) -> Rollout | None:
        """The rollout that is not over; None without one."""
        return next((each for each in self._all.values() if not each.is_over), None)

    @property
    def offsets(self) -> Mapping[str, int]:
        """Where reading goes on, by ``topic:partition``; empty where nothing was kept."""
        return {} if self._fold is None else self._fold.offsets

    def told(self) -> RolloutsAnswer:
        """Return how all rollouts stand, the flags that were ever set, and what is known."""
        newest = sorted(self._all.values(), key=lambda each: -each.transitions[-1].at_ns)
        return RolloutsAnswer(
            rollouts=[state_event(each) for each in newest],
            flags=[self._flags[name] for name in sorted(self._flags)],
            evidence=None if self._fold is None else self._fold.evidence(self._besides()),
        )

    def is_on(self, name: FlagName) -> bool:
        """Tell whether a flag is on, as it is until somebody sets it."""
        said = self._flags.get(name)
        return said is None or said.is_on

    async def begin(
        self, name: str, challenger: str, by: str, reason: str, dwell_ns: int = stages.DWELL_NS
    ) -> RolloutState:
        """Begin a rollout in shadow against the models that decide now; without a name it gets one.

        Raises
        ------
        Refused
            If one runs, the name was used, or the models cannot run beside those that decide.
        """
        async with self._acting:
            if self.running is not None:
                raise Refused("NOT_NOW", "rollout", self.running.id, "no rollout that is not over")
            epoch, now_ns = self._serving().epoch, self._now_ns()
            self._check_challenger(epoch, challenger)
            name = name or f"{format_ns(now_ns)[:10]}-{challenger[:8]}"
            if name in self._all or not _NAME.fullmatch(name):
                expected = "up to 64 letters, digits, - _ or ., that no rollout had"
                raise Refused("BAD_NAME", "rollout_id", name[:80], expected)
            act = Act("start", now_ns, by, reason)
            return await self._put(
                stages.start(name, epoch.models, challenger, act, dwell_ns=dwell_ns)
            )

    def _check_challenger(self, epoch: Epoch, challenger: str) -> None:
        try:
            found = self._epochs.models_for(epoch, challenger)
        except (ArtifactError, SettingsError) as error:
            raise Refused("BAD_MODELS", "challenger", challenger, str(error)) from error
        timeframe = found.metadata["timeframe"]
        if timeframe != epoch.timeframe:
            expected = f"models of {epoch.timeframe}, these decide bars of {timeframe}"
            raise Refused("BAD_MODELS", "challenger", challenger, expected)

    async def act(self, kind: Kind, name: str, by: str, reason: str) -> RolloutState:
        """Let a rollout go on, stand or go back, with all that is known now.

        Raises
        ------
        Refused
            If there is none of this name, its state or the evidence does not allow it, or it is
            over and another one runs, which would be left without its epoch.
        """
        async with self._acting:
            rollout = self._all.get(name)
            if rollout is None:
                raise Refused("UNKNOWN_ROLLOUT", "rollout_id", name, "the id of a rollout")
            if rollout.is_over and self.running is not None:
                expected = f"{self.running.id}, which runs, to go back first"
                raise Refused("NOT_NOW", "rollout", name, expected)
            evidence = None
            if self._fold is not None and not rollout.is_over:
                evidence = self._fold.evidence(self._besides())
            return await self._put(
                stages.step(
                    rollout,
                    Act(
                        kind,
                        self._now_ns(),
                        by,
                        reason,
                        ("NO_EVIDENCE",) if evidence is None else tuple(evidence.reasons_against),
                        {} if evidence is None else msgspec.to_builtins(evidence),
                    ),
                )
            )

    async def set_flag(self, name: FlagName, by: str, reason: str, *, is_on: bool) -> FeatureFlag:
        """Set a flag; it is a record of the same log."""
        async with self._acting:
            flag = FeatureFlag(
                timestamp=format_ns(wall_ns()), name=name, is_on=is_on, by=by, reason=reason
            )
            await self._send(FLAG_KEY + name, _JSON.encode(flag))
            self._flags[name] = flag
            return flag

    def _now_ns(self) -> int:
        """Return now, behind everything that was done before."""
        done = [each.transitions[-1].at_ns for each in self._all.values()]
        return max(wall_ns(), *(at_ns + 1 for at_ns in done)) if done else wall_ns()

    async def _put(self, rollout: Rollout) -> RolloutState:
        said = state_event(rollout)
        await self._send(rollout.id, _JSON.encode(said))
        made = rollout.transitions[-1]
        log.warning("rollout %s: %s by %s: %s", rollout.id, made.kind, made.by, made.reason or "-")
        self._all[rollout.id] = rollout
        self._results.put(said)
        metrics.ROLLOUT_TRANSITIONS.labels(
            made.kind, AUTOMATIC if made.by == AUTOMATIC else "person"
        ).inc()
        if made.kind in {"start", "advance", "rollback"}:
            self._measure(self.running)
        elif self._fold is not None:
            self._fold.rollout = rollout
        return said

    async def _send(self, key: str, value: bytes) -> None:
        topic = self._prefix + topics.ROLLOUT_STAGES.name
        await self._producer.send_and_wait(topic, value, key=key.encode(), partition=_PARTITION)

    def _measure(self, rollout: Rollout | None, *, restored: bool = False) -> None:
        """Measure a stage from its begin, or from where an earlier process got to."""
        self._fold = None
        if rollout is not None:
            shown, loaded = self._kept.read() if restored else None, self._serving()
            self._fold = StageFold(rollout, loaded.epoch, self._rules, shown, loaded.hours())
        self._show()

    def take(self, fetched: Mapping[Any, Sequence[Any]]) -> None:
        """Fold records of all topics; the intents of a bar come before its decisions."""

        def turn(place: Any) -> tuple[int, Any]:  # noqa: ANN401  aiokafka's place has no types
            name = next(n for n, topic in enumerate(SOURCES) if place.topic.endswith(topic))
            return name, place

        for place in sorted(fetched, key=turn):
            for record in fetched[place]:
                self._take(record)
                self._offsets[f"{record.topic}:{record.partition}"] = record.offset + 1
                self._is_dirty = True

    def _take(self, record: Any) -> None:  # noqa: ANN401  aiokafka's record has no types
        if record.topic.endswith(UPDATES):
            self._learn_of(record)
            return
        if self._fold is None:
            return
        # The rest is written by stages: what they cannot have written is a defect, and ends this.
        if record.topic.endswith(ACCOUNTS):
            self._fold.take_snapshot(_SNAPSHOT.decode(record.value))
            return
        if record.topic.endswith(INTENTS):
            slice_ = Slice.decode(record.value)
            if self._fold.belongs(self._epochs.load(slice_.meta.epoch_digest).epoch):
                self._fold.take_intents(slice_)
            return
        decision = _DECISION.decode(record.value)
        origin = next((value for name, value in record.headers if name == ORIGIN_HEADER), None)
        sent_ns = record.timestamp * _NS_PER_MS
        took = None if origin is None else Timed(sent_ns, (sent_ns - int(origin)) / _NS_PER_MS)
        self._fold.take_decision(decision, took)

    def _learn_of(self, record: Any) -> None:  # noqa: ANN401  as above
        try:
            update = read_json(_UPDATE, record.value or b"")
        except RecordError as error:
            metrics.DEAD_LETTERS.labels(STAGE, error.reason).inc()
            log.warning("record %d of %s cannot be used: %s", record.offset, record.topic, error)
            return
        # What it says itself is when it began; known it is since it was told.
        self._taken_back.learn(update, record.timestamp * _NS_PER_MS)

    async def look(self) -> None:
        """Go back where a guard says so, or on where a stage has lasted and is carried."""
        rollout, fold = self.running, self._fold
        harmed, harm = self._harmed()
        try:
            if harmed is not None and self.is_on("auto-rollback"):
                log.error("rollout %s goes back: %s", harmed.id, harm)
                await self.act("rollback", harmed.id, AUTOMATIC, harm)
            elif rollout is not None and fold is not None and self._is_carried(rollout, fold):
                lasted = f"{rollout.dwell_ns / 3_600e9:g} hours in this stage"
                await self.act("advance", rollout.id, AUTOMATIC, lasted)
        except Refused as error:
            # Somebody was faster.
            log.warning("rollouts stay as they are: %s", error)
        self._show()

    def _harmed(self) -> tuple[Rollout | None, str]:
        """Return the rollout that must go back now, and why; None if none."""
        rollout, fold = self.running, self._fold
        harm = "" if fold is None else fold.harm()
        if rollout is not None and harm:
            return rollout, harm
        back = self._taken_back.way_back(self._all.values(), self._deciding(), self._now_ns())
        return back, "" if back is None else "learning took its models back, or some before them"

    def _deciding(self) -> str:
        """Return the models of the epoch; it is on disk, and only asked for where it may matter."""
        return self._serving().epoch.models if self._taken_back.is_any else ""

    def _besides(self) -> list[str]:
        """Say what is against the next stage besides what this one has shown."""
        rollout, fold = self.running, self._fold
        if rollout is None or fold is None:
            return []
        broken = {
            "BEHIND": self.is_behind,
            "STALE": wall_ns() - fold.heard_ns > fold.stale_ns,
            "TAKEN_BACK": self._taken_back.has(rollout.challenger, rollout),
        }
        return [code for code, is_broken in broken.items() if is_broken]

    def _is_carried(self, rollout: Rollout, fold: StageFold) -> bool:
        """Tell whether a stage ends by itself: by its time, by its bars, and by what they show."""
        return (
            stages.is_due(rollout, wall_ns())
            and fold.lived_ns >= rollout.dwell_ns
            and self.is_on("auto-advance")
            and not fold.reasons_against()
            and not self._besides()
        )

    def keep(self) -> None:
        """Write what was shown, between two bars."""
        if self._fold is not None and self._is_dirty and self._fold.is_between_bars:
            self._kept.keep(self._fold.shown(dict(self._offsets)))
            self._is_dirty = False

    def _show(self) -> None:
        rollout, fold = self.running, self._fold
        metrics.ROLLOUT_RUNNING.set(rollout is not None)
        metrics.ROLLOUT_SHARE.set(0.0 if rollout is None else rollout.share)
        overdue_ns = 0 if rollout is None else stages.overdue_ns(rollout, wall_ns())
        metrics.ROLLOUT_OVERDUE_SECONDS.set(overdue_ns / _NS_PER_S)
        if fold is not None:
            show_evidence(fold.evidence(self._besides()))
