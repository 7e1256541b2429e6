"""``model-updates, rollout-stages -> tradewind_taken_back_decides``: beside the pages.

The role rollout takes such models back by itself; this watches whether they decide all the same,
also where that role is away, or was never started.
"""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from agents.topology import prefix_of
from models.rollout.stages import Rollout
from streams import metrics, topics
from streams.errors import RecordError
from streams.model_updates import ModelUpdate
from streams.records import read_json
from streams.rollouts import FeatureFlag
from tables.epochs import Epochs
from tables.rollout import read_stage_record
from tables.stores.decision_log import DecisionLog, LogRecord
from tables.taken_back import TakenBack

log = logging.getLogger("tradewind.taken_back")

STAGE = "taken_back"
UPDATES, STAGES = topics.MODEL_UPDATES.name, topics.ROLLOUT_STAGES.name

_LOOK_S = 10.0
_NS_PER_MS = 1_000_000
_UPDATE = msgspec.json.Decoder(ModelUpdate)


class TakenBackWatch:
    """Whether models decide in one run that learning took back.

    Parameters
    ----------
    epochs
        Where the models are that say what they learned from.
    deciding
        Returns the models of the epoch that decides now; empty if there is none.
    """

    def __init__(self, epochs: Epochs, deciding: Callable[[], str]) -> None:
        self._deciding = deciding
        self._taken_back = TakenBack(epochs)
        self._rollouts: dict[str, Rollout] = {}

    async def follow(self, servers: str, run: str) -> None:
        """Read both topics and show what they come to, until cancelled."""
        names = [prefix_of(run) + name for name in (UPDATES, STAGES)]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(DecisionLog(servers, names, self.take).follow())
            tasks.create_task(self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.to_thread(self.show)
            await asyncio.sleep(_LOOK_S)

    def take(self, record: LogRecord) -> None:
        """Take a record of either topic; one that cannot be used is counted."""
        if record.value is None:
            return
        try:
            if record.topic.endswith(UPDATES):
                update = read_json(_UPDATE, record.value)
                # What it says itself is when it began; known it is since it was told.
                self._taken_back.learn(update, record.timestamp_ms * _NS_PER_MS)
            else:
                said = read_stage_record(record.value)
                if not isinstance(said, FeatureFlag):
                    self._rollouts[said.id] = said
        except RecordError as error:
            metrics.DEAD_LETTERS.labels(STAGE, error.reason).inc()
            log.warning("record %d of %s cannot be used: %s", record.offset, record.topic, error)

    def show(self) -> None:
        """Set the gauge; the epoch is on disk, and only asked for where it may matter."""
        models = self._deciding() if self._taken_back.is_any else ""
        rollouts = list(self._rollouts.values())
        metrics.TAKEN_BACK_DECIDES.set(self._taken_back.decides(rollouts, models))
