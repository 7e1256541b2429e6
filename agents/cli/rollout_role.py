"""The process of the role ``rollout``: its clients, its API, its acts and where they are told."""

import asyncio
import contextlib
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from agents.cli.live_plan import LivePlan
from agents.cli.role_api import Listening, listen
from agents.cli.rollout_outlets import Outlet, Outlets, to_registry, to_rows
from agents.rollout import SOURCES, UPDATES, Rollouts
from agents.run.topic_log import partitions, reading, records
from agents.topology import Place
from models.rollout.guards import LatencyRule, Rules
from models.rollout.stages import DWELL_NS, Kind
from streams.brokers import stack_id
from streams.brokers.locks import FileLock
from streams.errors import SettingsError
from streams.kafka_access import kafka
from streams.rollouts import FeatureFlag, FlagName, RolloutsAnswer, RolloutState
from streams.settings import Settings
from streams.topics import ROLLOUT_STAGES
from tables.archive import run_key
from tables.epochs import Epochs, LoadedEpoch
from tables.stores.admin_log import AdminLog, Deed
from tables.stores.artifacts import Artifacts
from tables.stores.kept_stage import KeptStage
from tables.stores.row_store import RowStore
from tables.stores.servers import mlflow, postgres, redis
from tables.stores.token_keys import TokenKeys
from tables.views.auth import Callers
from tables.views.rollouts import rollout_endpoints

_NS_PER_MS = 1_000_000
_NS_PER_S = 10**9
_POLL_MS = 200
_MOST_RECORDS = 500
_KEEP_S = 5.0


class Deeds:
    """Rollouts as people move them: every act is in the log of acts before it happens."""

    def __init__(self, rollouts: Rollouts, home: Path) -> None:
        self._rollouts = rollouts
        self._log = AdminLog(home)

    def told(self) -> RolloutsAnswer:
        """Return how all rollouts stand."""
        return self._rollouts.told()

    async def begin(
        self, name: str, challenger: str, by: str, reason: str, dwell_ns: int = DWELL_NS
    ) -> RolloutState:
        """Begin a rollout in shadow."""
        deed = Deed(what="rollout start", on=challenger, by=by, role="admin", reason=reason)
        with self._log.act(deed):
            return await self._rollouts.begin(name, challenger, by, reason, dwell_ns)

    async def act(self, kind: Kind, name: str, by: str, reason: str) -> RolloutState:
        """Let a rollout go on, stand or go back."""
        deed = Deed(what=f"rollout {kind}", on=name, by=by, role="admin", reason=reason)
        with self._log.act(deed):
            return await self._rollouts.act(kind, name, by, reason)

    async def set_flag(self, name: FlagName, by: str, reason: str, *, is_on: bool) -> FeatureFlag:
        """Set a flag."""
        on = f"{name} {'on' if is_on else 'off'}"
        deed = Deed(what="rollout flag", on=on, by=by, role="admin", reason=reason)
        with self._log.act(deed):
            return await self._rollouts.set_flag(name, by, reason, is_on=is_on)


async def serve(place: Place) -> None:
    """Run the role until cancelled.

    Raises
    ------
    SettingsError
        If another process does, or the stack was never made ready to go live.
    """
    home = place.artifacts.parent
    place.data.mkdir(parents=True, exist_ok=True)
    lock = FileLock.try_take(place.data / "rollout.lock")
    if lock is None:
        raise SettingsError(f"another process moves the rollouts of {home.name}; end it first")
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(lock)
        epochs = Epochs(Artifacts(place.artifacts))
        _serving(home, epochs)  # or say at once that there is nothing to roll out on
        outlets = await _outlets(home, place, stack)
        producer = AIOKafkaProducer(**kafka(place.bootstrap_servers), enable_idempotence=True)
        await producer.start()
        stack.push_async_callback(producer.stop)
        rollouts = Rollouts(
            producer,
            place.prefix,
            epochs,
            lambda: _serving(home, epochs),
            KeptStage(place.data / "stage.bin"),
            Outlets(outlets),
            _rules(),
        )
        rollouts.learn(await _said(place))
        consumer = await _consumer(place, rollouts, stack)
        if place.serving is not None:
            at, bound = place.serving, rollout_endpoints(Deeds(rollouts, home))
            callers = Callers(TokenKeys(at.auth), at.stack)
            counted = redis.shared_url(home)
            where = Listening(at.host, at.port, at.tls.server, counted)
            await listen(stack, bound, callers, where)
        async with asyncio.TaskGroup() as tasks:
            for each in outlets:
                tasks.create_task(each.work())
            tasks.create_task(_work(rollouts, consumer))


async def _outlets(home: Path, place: Place, stack: contextlib.AsyncExitStack) -> list[Outlet]:
    """Return where rollouts are told besides their topic; this process may know no such place."""
    found = []
    if postgres.is_usable(home):
        store = await stack.enter_async_context(RowStore(postgres.server_of(home)))
        found.append(to_rows(run_key(stack_id(home), place.run), store))
    if mlflow.is_usable(home):
        found.append(to_registry(home))
    return found


def _serving(home: Path, epochs: Epochs) -> LoadedEpoch:
    plan = LivePlan.of(home)
    if plan is None:
        raise SettingsError(
            f"{home} has no plan of a live stack; make one: tradewind up --models DIGEST"
        )
    return epochs.load(plan.epochs[-1])


def _rules() -> Rules:
    settings = Settings.read()
    latency = LatencyRule(
        settings.rollout_p95_ms,
        settings.rollout_window_decisions,
        settings.rollout_window_s * _NS_PER_S,
    )
    return Rules(latency, settings.rollout_least_correlation)


async def _said(place: Place) -> list[bytes]:
    topic = place.prefix + ROLLOUT_STAGES.name
    found: list[bytes] = []
    async with reading(place.bootstrap_servers) as consumer:
        for each in await partitions(place.bootstrap_servers, topic):
            found += [record.value async for record in records(consumer, each) if record.value]
    return found


async def _consumer(
    place: Place, rollouts: Rollouts, stack: contextlib.AsyncExitStack
) -> AIOKafkaConsumer:
    """Read on where the stage was kept, else from its begin; without a stage from now on.

    What became of models is read from the beginning: there is little of it, and all of it counts.
    """
    consumer = AIOKafkaConsumer(**kafka(place.bootstrap_servers), enable_auto_commit=False)
    await consumer.start()
    stack.push_async_callback(consumer.stop)
    places: list[TopicPartition] = []
    for name in SOURCES:
        places += await partitions(place.bootstrap_servers, place.prefix + name)
    consumer.assign(places)
    known, running = rollouts.offsets, rollouts.running
    ends = await consumer.end_offsets(places)
    begins: dict[TopicPartition, int] = dict(ends)
    if running is not None:
        since_ms = running.entered_ns // _NS_PER_MS
        found = await consumer.offsets_for_times(dict.fromkeys(places, since_ms))
        begins |= {at: said.offset for at, said in found.items() if said is not None}
    for at in places:
        consumer.seek(at, known.get(f"{at.topic}:{at.partition}", begins[at]))
    await consumer.seek_to_beginning(*(at for at in places if at.topic.endswith(UPDATES)))
    rollouts.is_behind = True
    return consumer


async def _work(rollouts: Rollouts, consumer: AIOKafkaConsumer) -> None:
    """Measure and move, until cancelled; what was read is kept now and then, and at the end.

    Until all is read that was there at the begin, no stage is left for the next one.
    """
    loop = asyncio.get_running_loop()
    kept_s = loop.time()
    unread = await consumer.end_offsets(consumer.assignment())
    try:
        while True:
            fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
            rollouts.take(fetched)
            if unread:
                at = {place: await consumer.position(place) for place in unread}
                unread = {place: end for place, end in unread.items() if at[place] < end}
                rollouts.is_behind = bool(unread)
            await rollouts.look()
            if loop.time() - kept_s >= _KEEP_S:
                await asyncio.to_thread(rollouts.keep)
                kept_s = loop.time()
    finally:
        rollouts.keep()
