"""Start Apache Kafka in a stack home: ports, configuration, format, process, state file."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from streams.brokers import kafka_config, kafka_jars
from streams.brokers.homes import private_folder
from streams.brokers.java import Java, find_java
from streams.brokers.locks import FileLock
from streams.brokers.ports import free_port, is_free
from streams.brokers.processes import Launch, start
from streams.brokers.state import BrokerState, write_state
from streams.clock import wall_ns
from streams.errors import BrokerFailedError

# Formatting takes 0.7 s on two cores.
_FORMAT_S = 60.0
_OUTPUT_CHARACTERS = 4_000


def start_kafka(
    home: Path, lock: FileLock, *, before: BrokerState | None, port: int | None, detach: bool
) -> BrokerState:
    """Start the process and write down its state; it is not ready yet.

    Parameters
    ----------
    home
        The stack's folder.
    lock
        The held lock of the home, which the process inherits.
    before
        What the last start in this home wrote down.
    port, detach
        As for `streams.brokers.open_broker`.
    """
    java = find_java()
    class_path = kafka_jars.class_path()
    ports = _choose_ports(before, port)
    config = _prepare(home, java, class_path, ports)
    process = start(
        Launch(
            command=kafka_config.server_command(java.path, class_path, config, home / "logs"),
            folder=home,
            output=home / "logs" / "broker.out",
            environment=_environment(),
            inherit=(lock.descriptor,),
            tethered=not detach,
        )
    )
    state = BrokerState(
        pid=process.pid,
        birth=process.birth,
        port=ports[0],
        controller_port=ports[1],
        version=kafka_jars.KAFKA_VERSION,
        detached=detach,
        owner_pid=os.getpid(),
        created_ns=wall_ns(),
    )
    try:
        write_state(home, state)
    except BaseException:
        process.end()
        raise
    return state


def _choose_ports(before: BrokerState | None, port: int | None) -> tuple[int, int]:
    """Return client and controller port; an earlier start's port is kept if it is free."""
    host = kafka_config.HOST
    if port is not None and not is_free(host, port):
        raise BrokerFailedError(
            f"Port {port} on {host} is taken. Name another with --port, or none for a free one."
        )
    if port is None and before is not None and is_free(host, before.port):
        port = before.port
    port = free_port(host) if port is None else port
    return port, free_port(host, taken=(port,))


def _prepare(home: Path, java: Java, class_path: str, ports: tuple[int, int]) -> Path:
    """Write the configuration, format the data folder if it is new, and return the file."""
    data = home / "kafka"
    private_folder(home / "logs")
    config = private_folder(home / "broker") / "server.properties"
    # A killed broker leaves its unpacked libraries behind.
    shutil.rmtree(kafka_config.scratch_folder(config), ignore_errors=True)
    private_folder(kafka_config.scratch_folder(config))
    settings = kafka_config.server_properties(data, *ports)
    config.write_text(kafka_config.render_properties(settings), encoding="ascii")
    if not (data / "meta.properties").exists():
        _format(java, class_path, config)
    return config


def _format(java: Java, class_path: str, config: Path) -> None:
    # A cluster id is 16 bytes in 22 letters; a leading dash would read as an option.
    cluster_id = "T" + secrets.token_urlsafe(16)[1:]
    ran = subprocess.run(  # noqa: S603  the Java that we found, arguments of our own
        kafka_config.format_command(java.path, class_path, config, cluster_id),
        capture_output=True,
        text=True,
        env=_environment(),
        timeout=_FORMAT_S,
        check=False,
    )
    if ran.returncode != 0:
        raise BrokerFailedError(
            f"Kafka could not format its data folder (exit {ran.returncode}):\n"
            f"{(ran.stdout + ran.stderr)[-_OUTPUT_CHARACTERS:]}"
        )


def _environment() -> dict[str, str]:
    # Under the C locale a JVM cannot name files outside ASCII.
    return {**os.environ, "LC_ALL": "C.UTF-8"}
