"""The system on one page: every stage, in flow order, and the app that runs them.

Stages are imported by name: a stage that cannot be imported stops the process, instead of
vanishing behind a log line.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import faust
from faust.auth import Credentials
from faust.web import Request, Response, View
from prometheus_client import generate_latest

from agents.bars import BarFold
from agents.desk import Stages
from agents.disk_watch import DiskWatch, states_of
from agents.execution import ExecutionFold
from agents.explain import ExplainFold
from agents.giving_way import MOMENT_S
from agents.risk import RiskFold
from agents.serving import ServingPlace, add_service, serve
from agents.signals import SignalFold
from agents.stage import Fold, FoldFactory, Reader, Stage
from agents.traces import Spans
from agents.watchdog import Watchdog, Watched
from streams import topics
from streams.access import Access
from streams.consumer_thread import App
from streams.kafka_access import access_of
from streams.settings import Settings
from streams.topics import CHANGELOG_BYTES, TopicSpec
from streams.transport import BatchSchema, Outgoing, producer_of
from tables.epochs import Epochs
from tables.stamped import StampedTable
from tables.stores.artifacts import Artifacts
from tables.stores.disk import Disk

# Stage name -> its table; the tables' changelogs are declared before any worker starts.
CHAIN = ("bars", "signals", "risk")
TRADING_STAGES = (*CHAIN, "execution")
# Of a role of its own, which trading does not wait for: its fetches need not end at once, either.
EXPLAIN = "explain"
_EXPLAIN_FETCH_MS = 250

# Small databases: a state is one record, and there is one database per table and partition.
_ROCKSDICT = {
    "driver": "rocksdict",
    "write_buffer_size": 8 << 20,
    "max_write_buffer_number": 2,
    "block_cache_size": 8 << 20,
    "bloom_filter_size": 10,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker runs: its broker, its run, its directories and its page.

    Parameters
    ----------
    bootstrap_servers
        Kafka's address.
    run
        Name of the run; topics are prefixed ``run.``; empty for the live run.
    n_partitions
        Partitions of every topic.
    data
        Directory of this worker's local tables.
    artifacts
        Directory of models and epochs.
    web_port
        Port of the stats page.
    instance
        Name of this worker among those of the run: a restart under it keeps its partitions.
    serving
        Where its API listens; None to do without.
    disk
        Where its tables are, to be watched; None to do without.
    spans
        Makes spans of its hops; None to do without.
    """

    bootstrap_servers: str
    run: str
    n_partitions: int
    data: Path
    artifacts: Path
    web_host: str
    web_port: int
    instance: str
    serving: ServingPlace | None = None
    disk: Disk | None = None
    spans: Spans | None = None

    @property
    def prefix(self) -> str:
        """Prefix of the run's topics."""
        return prefix_of(self.run)


def prefix_of(run: str) -> str:
    """Return the prefix of a run's topics.

    Examples
    --------
    >>> prefix_of("r1"), prefix_of("")
    ('r1.', '')
    """
    return f"{run}." if run else ""


def app_id(run: str) -> str:
    """Return the consumer group of a run's trading workers."""
    return f"{prefix_of(run)}tradewind-trading"


def changelogs(run: str) -> tuple[str, ...]:
    """Return the changelog topics of a run's trading workers."""
    return tuple(topics.changelog_name(app_id(run), stage) for stage in TRADING_STAGES)


def explain_id(run: str) -> str:
    """Return the consumer group of a run's explaining workers."""
    return f"{prefix_of(run)}tradewind-{EXPLAIN}"


def all_changelogs(run: str) -> tuple[str, ...]:
    """Return the changelog topics of all roles of a run."""
    return (*changelogs(run), topics.changelog_name(explain_id(run), EXPLAIN))


def explain_app(place: Place) -> faust.App:
    """Return the app of the role ``forensics``: decisions to explanations."""
    app = _app(place, explain_id(place.run))
    app.fetch_max_wait_ms = _EXPLAIN_FETCH_MS
    artifacts = Artifacts(place.artifacts)
    refusal = str if place.disk is None else place.disk.refusal

    def explain(_partition: int, read: Reader) -> Fold:
        return ExplainFold(artifacts, read, refusal)

    only = _add(app, place, EXPLAIN, topics.TRADING_DECISIONS, explain)
    only.stage.linger_s = MOMENT_S
    _add_metrics(app)
    app.add_dependency(Watchdog(app, [only]))
    return app


def trading_stages(epochs: Epochs) -> tuple[tuple[str, TopicSpec, FoldFactory], ...]:
    """Return name, topic and fold of each stage of the role ``trading``, in flow order."""

    def bars(partition: int, read: Reader) -> Fold:
        return BarFold(epochs, partition, read)

    def signals(partition: int, read: Reader) -> Fold:
        return SignalFold(epochs, partition, read)

    def risk(_partition: int, read: Reader) -> Fold:
        return RiskFold(epochs, read)

    def execution(_partition: int, read: Reader) -> Fold:
        return ExecutionFold(read)

    return (
        ("bars", topics.MARKET_TICKS, bars),
        ("signals", topics.MARKET_BARS, signals),
        ("risk", topics.PORTFOLIO_EVENTS, risk),
        ("execution", topics.VENUE_EXECUTIONS, execution),
    )


def trading_app(place: Place) -> faust.App:
    """Return the app of the role ``trading``: bars to risk by topics, and what joins them."""
    app = _app(place, app_id(place.run))
    epochs = Epochs(Artifacts(place.artifacts))
    added = [_add(app, place, *stage) for stage in trading_stages(epochs)]
    _, symbols, book, _ = added
    _add_metrics(app)
    # Services are started behind the recovery; this one is to see that it ends.
    app.add_dependency(Watchdog(app, added))
    if place.serving is not None:
        serve(app, place.serving, Stages(book.stage, symbols.stage), epochs)
    if place.disk is not None and not place.run:
        # A run of its own is a replay, which has the switches of its log and no others.
        _watch(app, place.disk, book.stage)
    return app


def _watch(app: faust.App, disk: Disk, book: Stage) -> None:
    async def append(record: Outgoing) -> None:
        await producer_of(app).append(record)

    topic = book.prefix + topics.PORTFOLIO_EVENTS.name
    states = partial(states_of, book)
    add_service(app, DiskWatch(disk, topic, states, append))


def _add(
    app: faust.App, place: Place, name: str, source: TopicSpec, new_fold: FoldFactory
) -> Watched:
    table = app.Table(
        name,
        key_type=bytes,
        value_type=bytes,
        partitions=place.n_partitions,
        options=dict(_ROCKSDICT),
        help=f"Snapshots of the stage {name}.",
    )
    if not isinstance(table, StampedTable):
        raise TypeError(f"table {name} is {type(table).__name__}; expected StampedTable")
    stage = Stage(app, name, place.prefix, table, new_fold)
    topic = app.topic(
        place.prefix + source.name,
        schema=BatchSchema(key_type=bytes, value_type=bytes),
        acks=False,
    )
    if place.spans is not None:
        stage.listeners.append(place.spans.listener(name))
    app.agent(topic, name=name)(stage.run)
    return Watched(stage, place.prefix + source.name)


def _add_metrics(app: faust.App) -> None:
    @app.page("/metrics", name="metrics")
    async def metrics(view: View, _request: Request) -> Response:
        return view.bytes(generate_latest(), content_type="text/plain")


def credentials(access: Access) -> Credentials | None:
    """Return how a Faust app reaches the broker; None in plain text."""
    if access.mechanism:
        return faust.SASLCredentials(
            username=access.user,
            password=access.password,
            mechanism=access.mechanism,
            ssl_context=access.tls,
        )
    return None if access.tls is None else faust.SSLCredentials(access.tls)


def _app(place: Place, group: str) -> App:
    return App(
        group,
        broker=f"tradewind://{place.bootstrap_servers}",
        broker_credentials=credentials(access_of(Settings.read())),
        store="rocksdb://",
        datadir=str(place.data),
        Table="tables.stamped:StampedTable",
        TableManager="tables.recovery:ReadyTables",
        autodiscover=False,
        processing_guarantee="at_least_once",
        cython_optimizations=True,
        agent_supervisor="mode.CrashingSupervisor",
        key_serializer="raw",
        value_serializer="raw",
        # Progress is committed often: a restart re-reads at most this much behind its snapshots.
        broker_commit_interval=0.5,
        # A dead worker's partitions move after the session time-out; a restarted one under the
        # same instance name gets its own back without a rebalance.
        broker_session_timeout=10.0,
        broker_heartbeat_interval=1.0,
        broker_rebalance_timeout=15.0,
        broker_request_timeout=30.0,
        broker_max_poll_interval=86_400.0,
        consumer_group_instance_id=f"{group}-{place.instance}",
        # The group's assignment holds it, and a restart must find itself there: without an API, at
        # which the other workers could ask, a name and no address.
        canonical_url=place.serving.url if place.serving else f"http://{place.instance}",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=1 << 20,
        producer_acks=-1,
        producer_linger=0.0,
        producer_request_timeout=20.0,
        producer_max_batch_size=1_000_000,
        producer_max_request_size=CHANGELOG_BYTES,
        # Each buffered event is a batch of up to 512 records.
        stream_buffer_maxsize=64,
        stream_wait_empty=True,
        topic_partitions=place.n_partitions,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        # The stats page is for people; the table pages would serve the book's data to anyone.
        web_enabled=True,
        web_bind=place.web_host,
        web_host=place.web_host,
        web_port=place.web_port,
        web_stats_enabled=True,
        web_tables_enabled=False,
        web_router_enabled=False,
        web_metrics_enabled=False,
    )
