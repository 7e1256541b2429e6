"""The embedded broker's configuration: one node that is broker and controller, on loopback."""

from collections.abc import Mapping
from pathlib import Path

from streams.errors import BrokerFailedError

HOST = "127.0.0.1"
_NODE_ID = 1
# At the defaults the JVM starts with 1/64 of the machine's memory; this one starts small.
_HEAP_START_MB = 128
_HEAP_MAX_MB = 512
# Serial takes 60 MB less than G1 here, starts as fast, and its pauses were no longer (2 cores).
_JVM = (
    f"-Xms{_HEAP_START_MB}m",
    f"-Xmx{_HEAP_MAX_MB}m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)


def server_properties(data: Path, port: int, controller_port: int) -> dict[str, str]:
    """Return every setting that differs from Kafka's defaults, for a small machine."""
    if "," in str(data):
        raise BrokerFailedError(
            f"The stack's folder is {data}; Kafka splits its data folders at commas."
            " Choose a TRADEWIND_HOME without one."
        )
    return {
        "process.roles": "broker,controller",
        "node.id": str(_NODE_ID),
        "controller.quorum.voters": f"{_NODE_ID}@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        **_TOPICS,
        **_SIZES,
    }


def render_properties(settings: Mapping[str, str]) -> str:
    """Return the settings in Java's properties format, which is Latin-1 with escapes."""
    return "".join(f"{key}={_escaped(value)}\n" for key, value in settings.items())


def scratch_folder(config: Path) -> Path:
    """Return where the JVM unpacks its native compression libraries."""
    return config.parent / "tmp"


def server_command(java: Path, class_path: str, config: Path, logs: Path) -> list[str]:
    """Return the command that runs the broker in the foreground."""
    return [
        str(java),
        *_JVM,
        f"-XX:ErrorFile={logs / 'jvm-error.log'}",
        f"-Djava.io.tmpdir={scratch_folder(config)}",
        f"-Dtradewind.logs={logs}",
        f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}",
        "-cp",
        class_path,
        "kafka.Kafka",
        str(config),
    ]


def format_command(java: Path, class_path: str, config: Path, cluster_id: str) -> list[str]:
    """Return the command that prepares an empty data folder for KRaft."""
    return [
        str(java),
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        class_path,
        "kafka.tools.StorageTool",
        "format",
        f"--cluster-id={cluster_id}",
        f"--config={config}",
        "--ignore-formatted",
    ]


def _escaped(value: str) -> str:
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    pairs = (int.from_bytes(units[i : i + 2]) for i in range(0, len(units), 2))
    return "".join(chr(unit) if unit < 0x7F else f"\\u{unit:04x}" for unit in pairs)  # noqa: PLR2004  ASCII


_TOPICS = {
    # Topics are made from our catalogue, with its partitions; a typing error must not make one.
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Nobody else is about to join: a first consumer need not wait for three seconds.
    "group.initial.rebalance.delay.ms": "0",
}
_SIZES = {
    # After kill -9 the controller refuses the next start of the broker until the old session is
    # over: 3 s instead of 9. Shorter would fence a broker that a laden machine holds up.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    "group.coordinator.threads": "1",
    "share.coordinator.threads": "1",
    "log.cleaner.enable": "true",
    "log.cleaner.threads": "1",
    # Kafka reserves 128 MB for the cleaner at start; 16 MB deduplicate 700 000 keys in one pass
    # and keep 110 MB of memory free.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    # Index files are mapped at full size; 1 MB indexes half a gigabyte of log.
    "log.index.size.max.bytes": str(1024 * 1024),
}
