"""On uvloop a connection that has just closed ends aiokafka's sender; on asyncio it is retried.

``python aiokafka_uvloop_closed.py HOST:PORT [--with-change]`` exits 1 while the bug is there. It
makes a topic of its own and takes 5 seconds.

The broker is reached through a proxy of this program, which resets the connection under a produce
request. The request is held back until the transport has told aiokafka of the loss: without that
it comes at that moment now and then, with it every time.
"""

import argparse
import asyncio
import logging
import socket
import struct
import time
from importlib.metadata import version

import aiokafka.client
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason, create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.produce import ProduceRequest

PATIENCE_S = 10


def apply_change() -> None:
    """Take a RuntimeError of the write for a broken connection, as proposed."""
    send = AIOKafkaConnection.send

    def mended(self, request, **kwargs):
        try:
            return send(self, request, **kwargs)
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"broken: {error}") from error

    AIOKafkaConnection.send = mended


class Proxies:
    """One proxy before each broker, whose connections can be reset."""

    def __init__(self) -> None:
        self._ports: dict[tuple[str, int], int] = {}
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, host: str, port: int, **kwargs: object) -> AIOKafkaConnection:
        """Connect aiokafka to the proxy of a broker."""
        if (host, port) not in self._ports:
            server = await asyncio.start_server(
                lambda reader, writer: self._serve(host, port, reader, writer), "127.0.0.1", 0
            )
            self._ports[host, port] = server.sockets[0].getsockname()[1]
        return await create_conn("127.0.0.1", self._ports[host, port], **kwargs)

    async def _serve(self, host, port, reader, writer):
        self._writers.append(writer)
        broker_reader, broker_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(
            self._copy(reader, broker_writer),
            self._copy(broker_reader, writer),
            return_exceptions=True,
        )
        broker_writer.close()

    async def _copy(self, reader, writer):
        while data := await reader.read(65_536):
            writer.write(data)

    def reset(self) -> None:
        """End all connections with a TCP reset, as a broker that is killed does."""
        for writer in self._writers:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._writers.clear()


def reset_once(producer: AIOKafkaProducer, proxies: Proxies) -> None:
    """Reset the connection under the next produce request."""
    client = producer.client
    send = client.send

    async def sent(node_id, request, *, group=ConnectionGroup.DEFAULT):
        if isinstance(request, ProduceRequest):
            client.send = send
            proxies.reset()
            await client._conns[node_id, group]._closed_fut
        return await send(node_id, request, group=group)

    client.send = sent


async def outcomes(servers: str, topic: str) -> list[str]:
    """Return what becomes of a record before, at and after the closing of the connection."""
    proxies = Proxies()
    aiokafka.client.create_conn = proxies.connect
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    found = []
    for when in ("before", "at", "after"):
        if when == "at":
            reset_once(producer, proxies)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await producer.send_and_wait(topic, when.encode(), partition=0)
            found.append(f"{when}: acknowledged")
        except Exception as error:
            found.append(f"{when}: {error!r}")
    task = producer._sender.sender_task
    found.append("sender: " + ("ended" if task.done() else "runs"))
    if task.done():
        found.append(f"  by {task.exception().__cause__!r}")
    await producer.stop()
    return found


async def declare(servers: str, topic: str) -> None:
    """Make the topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    await asyncio.sleep(1)


def main() -> int:
    """Play the same on both loops."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", metavar="HOST:PORT")
    parser.add_argument("--with-change", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.with_change:
        apply_change()
    topic = f"uvloop-closed-{time.time_ns():x}"
    asyncio.run(declare(options.servers, topic))
    print(f"aiokafka {version('aiokafka')}, uvloop {version('uvloop')}")
    ended = {}
    for name, factory in (("asyncio", asyncio.new_event_loop), ("uvloop", uvloop.new_event_loop)):
        with asyncio.Runner(loop_factory=factory) as runner:
            found = runner.run(outcomes(options.servers, topic))
        print(f"on {name}:", *found, sep="\n  ")
        ended[name] = "sender: ended" in found
    if ended["asyncio"]:
        print("the sender ended on asyncio too: the run says nothing of uvloop")
        return 2
    print("the bug is there" if ended["uvloop"] else "mended")
    return int(ended["uvloop"])


if __name__ == "__main__":
    raise SystemExit(main())
