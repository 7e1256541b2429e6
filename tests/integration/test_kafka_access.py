"""One broker with a listener of each kind: every kind of client gets in with what it needs."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from agents.topology import credentials
from streams.access import PLAIN
from streams.brokers import kafka_config, open_broker
from streams.brokers.given import open_given
from streams.brokers.ports import free_port
from streams.brokers.probe import answers
from streams.client import DecisionReader, TickProducer
from streams.clock import wall_ns
from streams.errors import BrokerUnreachableError
from streams.kafka_access import access_of, kafka
from streams.records import Tick
from streams.settings import Settings
from streams.topic_changes import administering
from streams.transport import Outgoing, producer_of
from tests.integration.small_app import batches, created, running, small_app, until
from tests.unit.streams.test_tls import written

pytestmark = pytest.mark.broker

USER, SECRET = "tradewind", "s3cret"
KINDS = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
_PLAIN_LOGIN = (
    f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{SECRET}";'
)
_SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class Guarded(NamedTuple):
    """The addresses of one broker by kind, and whom to trust for it."""

    plain: str
    addresses: dict[str, str]
    authority: str

    def settings(self, kind: str) -> dict[str, str]:
        """Return the settings that reach a listener, without the password."""
        found = {"kafka_protocol": kind}
        if kind.endswith("SSL"):
            found["kafka_ca"] = self.authority
        if kind.startswith("SASL"):
            mechanism = "PLAIN" if kind == "SASL_PLAINTEXT" else "SCRAM-SHA-512"
            found |= {"kafka_user": USER, "kafka_mechanism": mechanism}
        return found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Start a broker with four listeners, and one login for two of them."""
    folder = tmp_path_factory.mktemp("guarded")
    files = written(folder, "broker")
    keystore = folder / "keystore.pem"
    keystore.write_text("".join(Path(files[name]).read_text() for name in ("tls_key", "tls_cert")))
    addresses = {kind: f"127.0.0.1:{free_port('127.0.0.1')}" for kind in KINDS}
    real = kafka_config.server_properties

    def properties(data: Path, port: int, controller_port: int) -> dict[str, str]:
        found = real(data, port, controller_port)
        more = ",".join(f"{kind}://{address}" for kind, address in addresses.items())
        found["listeners"] += f",{more}"
        found["advertised.listeners"] += f",{more}"
        found["listener.security.protocol.map"] += "".join(f",{kind}:{kind}" for kind in KINDS)
        return found | {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keystore),
            "listener.name.sasl_plaintext.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": _PLAIN_LOGIN,
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": _SCRAM_LOGIN,
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
        patch.setattr(kafka_config, "server_properties", properties)
        broker = open_broker(folder / "stack")
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    wish = UserScramCredentialUpsertion(USER, info, SECRET.encode())
    admin.alter_user_scram_credentials([wish])[USER].result(10)
    yield Guarded(broker.bootstrap_servers, addresses, files["tls_cert"])
    broker.stop()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let this process be set up for one kind of listener."""
    monkeypatch.delenv("KAFKA_PASSWORD", raising=False)
    found = str(request.param)
    for name, value in guarded.settings(found).items():
        monkeypatch.setenv(f"TRADEWIND_{name.upper()}", value)
    if found.startswith("SASL"):
        monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    return found


async def test_clients_when_set_up_then_speak_to_a_listener_of_each_kind(
    guarded: Guarded, kind: str
) -> None:
    """The probe, an admin client, a producer, a consumer, and the two of a user's program."""
    servers, topic = guarded.addresses[kind], f"{kind}.market-ticks"
    assert await asyncio.to_thread(open_given, servers)
    assert not await asyncio.to_thread(answers, servers, timeout_s=0.3, access=PLAIN)
    await created(guarded.plain, topic)
    async with administering(servers) as admin:
        assert topic in await admin.list_topics()
    access = access_of(Settings.read())
    async with TickProducer(servers, topic, access=access) as ticks:
        await ticks.send(Tick(symbol="A", ts_event=wall_ns(), price=2.0))
        await ticks.flush()
    producer = AIOKafkaProducer(**kafka(servers), enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait(topic, b"v", partition=0)
    await producer.stop()
    consumer = AIOKafkaConsumer(topic, **kafka(servers), auto_offset_reset="earliest")
    await consumer.start()
    found = [await asyncio.wait_for(anext(consumer), 10) for _ in range(2)]
    await consumer.stop()
    assert b"v" in {record.value for record in found}
    async with DecisionReader(servers, "latest", topic, access=access):
        pass


async def test_worker_when_there_is_a_login_then_its_app_reads_and_writes(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust's own clients, behind TLS and SCRAM; its sends come back to its agent."""
    monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    settings = Settings(**guarded.settings("SASL_SSL"))
    await created(guarded.plain, "guarded-records")
    app = small_app(guarded.addresses["SASL_SSL"], "guarded", tmp_path)
    app.conf.broker_credentials = credentials(access_of(settings))
    taken: list[bytes | None] = []

    async def take(stream):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  as Faust calls it
        async for event in stream.events():
            taken.extend(record.value for record in event.value)

    app.agent(batches(app, "guarded-records"), name="taker")(take)
    async with running(app):
        await producer_of(app).send_all([Outgoing("guarded-records", b"k", b"v", [], None)])
        await until(lambda: taken == [b"v"])


async def test_login_when_the_password_is_wrong_then_nobody_gets_in(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused login is an error and no wait without end; plain text gets nowhere either."""
    monkeypatch.setenv("KAFKA_PASSWORD", "other")
    for name, value in guarded.settings("SASL_SSL").items():
        monkeypatch.setenv(f"TRADEWIND_{name.upper()}", value)
    producer = AIOKafkaProducer(**kafka(guarded.addresses["SASL_SSL"]))
    with pytest.raises(KafkaError):
        await producer.start()
    await producer.stop()
    with pytest.raises(BrokerUnreachableError, match="it must speak SASL_SSL"):
        await asyncio.to_thread(open_given, guarded.plain, timeout_s=0.0)
