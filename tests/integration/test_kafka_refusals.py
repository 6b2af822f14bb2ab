"""A Kafka that wants TLS and SASL: everything that opens a client gets through, and refusals say what to check."""

from __future__ import annotations

import asyncio
import io
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from aiokafka.errors import NoOffsetForPartitionError
from certificates import issue
from consumer_harness import until
from pydantic import SecretStr
from secure_kafka import GROUP, PASSWORD, TOPIC, USER, SecureKafka, secure_kafka

from consumer.role import make_consumer, serve
from ops import doctor, lag
from ops.console.backlog import BacklogReader
from ops.dlq_rebuild import _topic
from ops.topic_reader import reading
from producers.ingress.publishing.publisher import Durability, Publisher
from producers.ingress.publishing.records import Outgoing
from runtime import log, metrics
from runtime.health import Probe
from runtime.kafka import close_producer, ensure_topics, open_producer, ping
from runtime.kafka_security import away_or_refused
from runtime.settings import KafkaSettings, PostgresSettings, Settings
from schemas import topics
from schemas.errors import AccessRefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from aiokafka import AIOKafkaConsumer

pytestmark = pytest.mark.integration

WRONG = "kafka-topsecret-2"
RECORD = Outgoing(topics.WEBHOOKS.name, b"key", b"value", (("ce_id", b"1"),))


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecureKafka]:
    async with secure_kafka(tmp_path_factory.mktemp("secure") / "kafka") as place:
        await ensure_topics(sasl(place))
        yield place


@pytest.fixture
def shown() -> Iterator[io.StringIO]:
    """Give what the roles' own logging shows at its most talkative; put everything back afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level, configuration = root.handlers[:], root.level, structlog.get_config()
    log.configure("ingress", "debug", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configuration)


def sasl(place: SecureKafka, mechanism: str = "SCRAM-SHA-256", **other: Any) -> KafkaSettings:
    given = {
        "bootstrap": place.addresses["SASL"], "security_protocol": "SASL_SSL", "ca_file": place.ca_file,
        "sasl_mechanism": mechanism, "sasl_user": USER, "sasl_password": PASSWORD,
    }  # fmt: skip
    return KafkaSettings(**given | other)


async def take(consumer: AIOKafkaConsumer) -> list[bytes]:
    """Read as the role does: from the beginning where the group has committed nothing."""
    try:
        fetched = await consumer.getmany(timeout_ms=200)
    except NoOffsetForPartitionError as error:
        await consumer.seek_to_beginning(error.args[0])
        return []
    return [record.value for part in fetched.values() for record in part]


def mutual(place: SecureKafka, listener: str = "MUTUAL", **other: Any) -> KafkaSettings:
    given = {
        "bootstrap": place.addresses[listener], "security_protocol": "SSL", "ca_file": place.ca_file,
        "certificate_file": place.certificate_file, "key_file": place.key_file,
    }  # fmt: skip
    return KafkaSettings(**given | other)


def whole(kafka: KafkaSettings) -> Settings:
    nowhere = PostgresSettings(dsn=SecretStr("postgresql://app:x@127.0.0.1:1/x"))
    return Settings().model_copy(update={"kafka": kafka, "postgres": nowhere})


def refused_settings(place: SecureKafka, how: str, folder: Path) -> KafkaSettings:
    """Return settings that the broker, or we, refuse."""
    foreign = issue("foreign CA")
    foreign_ca, _ = foreign.write(folder, "foreign")
    certificate, key = issue("client", foreign).write(folder, "client")
    made = {
        "password": lambda: sasl(place, sasl_password=WRONG),
        "plain password": lambda: sasl(place, "PLAIN", sasl_password=WRONG),
        "mechanism": lambda: sasl(place, "SCRAM-SHA-512"),
        "listener": lambda: sasl(place, bootstrap=place.addresses["MISNAMED"]),
        "untrusted": lambda: sasl(place, ca_file=foreign_ca),
        "system's CAs": lambda: sasl(place, ca_file=None),
        "no certificate": lambda: mutual(place, certificate_file=None, key_file=None),
        "foreign certificate": lambda: mutual(place, certificate_file=certificate, key_file=key),
        "advertised name": lambda: mutual(place, "MISNAMED"),
    }
    return made[how]()


REFUSALS = {
    "password": "refuses the user ratchet with SCRAM-SHA-256; check RATCHET_KAFKA__SASL_USER, __SASL_PASSWORD",
    "plain password": "refuses the user ratchet with PLAIN; check",
    "mechanism": "does not take SCRAM-SHA-512; set RATCHET_KAFKA__SASL_MECHANISM",
    "listener": "takes no SASL there",
    "untrusted": "foreign.pem cannot prove",
    "system's CAs": "the system's CAs cannot prove .*; set RATCHET_KAFKA__CA_FILE",
    "no certificate": "refuses our certificate .none is set.; check RATCHET_KAFKA__CERTIFICATE_FILE",
    "foreign certificate": "refuses our certificate .*client.pem",
    "advertised name": "localhost:.* shows a certificate for another name; RATCHET_KAFKA__BOOTSTRAP and",
}


@pytest.mark.parametrize("how", ["SCRAM-SHA-256", "PLAIN", "mutual", "mutual, key encrypted"])
async def test_records_go_out_and_come_back(broker: SecureKafka, how: str, tmp_path: Path) -> None:
    settings = sasl(broker, how) if how in ("SCRAM-SHA-256", "PLAIN") else mutual(broker)
    if how == "mutual, key encrypted":
        password, key = "keysecret", tmp_path / "client.key"
        key.write_bytes(broker.client.key_pem(password))
        settings = mutual(broker, key_file=key, key_password=password)
    await ping(settings)
    value = uuid.uuid4().bytes
    producer = await open_producer(settings, topics.RECORD_BYTES_MAX)
    try:
        await producer.send_and_wait(topics.WEBHOOKS.name, value, b"key")
    finally:
        await close_producer(producer, 5)
    consumer = make_consumer(whole(settings), f"group-{uuid.uuid4().hex}")
    consumer.subscribe([topics.WEBHOOKS.name])
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            while value not in await take(consumer):
                pass
        await consumer.commit()
    finally:
        await consumer.stop()


async def test_what_operators_look_with_gets_through(broker: SecureKafka) -> None:
    settings = whole(sasl(broker))
    findings = {finding.check: finding for finding in await doctor.examine(settings)}
    assert findings["kafka"].ok
    assert findings["kafka security"].found.startswith("SASL_SSL, SCRAM-SHA-256 as ratchet, CAs of ")
    assert all(findings[f"topic {topic.name}"].ok for topic in topics.ALL)
    assert PASSWORD not in repr(findings)
    assert {name for name, _ in await lag.read_lag(settings)} == {topic.name for topic in topics.CONSUMED}
    reader = BacklogReader(settings)
    try:
        assert set((await reader.read()).lag) == {topic.name for topic in topics.CONSUMED}
    finally:
        await reader.close()
    assert (await _topic(settings)).partitions
    async with reading(settings, topics.DLQ.name) as consumer:
        assert topics.DLQ.name in await consumer.topics()


@pytest.mark.parametrize("how", REFUSALS)
async def test_a_refusal_says_what_to_check(broker: SecureKafka, how: str, tmp_path: Path, shown: io.StringIO) -> None:
    settings = refused_settings(broker, how, tmp_path)
    began = time.monotonic()
    for attempt in (ping, ensure_topics, lambda found: open_producer(found, 1000)):
        if how == "advertised name" and attempt not in (ping, ensure_topics):
            continue  # a producer asks brokers by their own names only when it has something to say
        with pytest.raises(AccessRefusedError, match=REFUSALS[how]) as caught:
            await attempt(settings)  # type: ignore[operator]
        assert "topsecret" not in str(caught.value)
    assert time.monotonic() - began < 3 * settings.connect_timeout_seconds
    assert "topsecret" not in shown.getvalue()
    assert "onnect" in shown.getvalue(), "the client's own lines are shown"


async def test_operators_are_reported_of_a_refusal(broker: SecureKafka) -> None:
    settings = whole(sasl(broker, sasl_password=WRONG))
    findings = {finding.check: finding for finding in await doctor.examine(settings)}
    assert not findings["kafka"].ok
    assert "refuses the user ratchet" in findings["kafka"].found
    assert "topsecret" not in repr(findings)
    reader = BacklogReader(settings)
    for look in (lag.read_lag(settings), reader.read()):
        with pytest.raises(AccessRefusedError, match="refuses the user"):
            await look
    with pytest.raises(AccessRefusedError, match="refuses the user"):
        async with reading(settings, topics.DLQ.name):
            pass


async def test_operators_are_reported_which_right_is_missing(broker: SecureKafka) -> None:
    settings = whole(sasl(broker))
    reader = BacklogReader(settings)
    async with broker.denied(GROUP, topics.CONSUMER_GROUP):
        for look, what in ((lag.read_lag(settings), "reading the lag"), (reader.read(), "looking at the backlog")):
            with pytest.raises(AccessRefusedError, match=rf"{what} is not allowed .GroupAuthorizationFailedError"):
                await look
    async with broker.denied(TOPIC, topics.WEBHOOKS.name):
        for look, what in ((lag.read_lag(settings), "reading the lag"), (reader.read(), "looking at the backlog")):
            with pytest.raises(AccessRefusedError, match=rf"{what} is not allowed .TopicAuthorizationFailedError"):
                await look
    async with broker.denied(TOPIC, topics.DLQ.name):
        with pytest.raises(AccessRefusedError, match=rf"reading {topics.DLQ.name} is not allowed"):
            async with reading(settings, topics.DLQ.name):
                await _topic(settings)


async def test_another_security_protocol_is_an_outage_with_a_hint(broker: SecureKafka) -> None:
    for settings in (
        mutual(broker, "PLAINTEXT"),
        mutual(broker, "SASL", certificate_file=None, key_file=None),
        KafkaSettings(bootstrap=broker.addresses["SASL"]),
    ):
        with pytest.raises(UnavailableError) as caught:
            await ping(settings)
        assert not isinstance(caught.value, AccessRefusedError)
        assert settings.security_protocol == "PLAINTEXT" or "does it speak SSL at that port?" in str(caught.value)


async def test_what_fails_at_a_broker_that_takes_us_is_no_refusal(broker: SecureKafka) -> None:
    found = await away_or_refused(sasl(broker), "away")
    assert (type(found), str(found)) == (UnavailableError, "away")


async def test_renewed_certificates_are_taken_without_a_restart(broker: SecureKafka, tmp_path: Path) -> None:
    settings = refused_settings(broker, "foreign certificate", tmp_path)
    with pytest.raises(AccessRefusedError, match="our certificate"):
        await ping(settings)
    assert settings.certificate_file is not None
    assert settings.key_file is not None
    settings.key_file.write_bytes(broker.key_file.read_bytes())
    settings.certificate_file.write_bytes(broker.certificate_file.read_bytes())
    await ping(settings)


class PaperSpool:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.stored: list[Outgoing] = []

    async def store(self, records: Sequence[Outgoing]) -> None:
        self.stored += records


async def test_a_password_that_changes_costs_nothing(broker: SecureKafka, shown: io.StringIO) -> None:
    """The ingress spools while it is refused, says why once, and publishes again when the password is right."""
    spool = PaperSpool()
    publisher = Publisher(whole(sasl(broker, sasl_password=WRONG)), spool)
    running = asyncio.create_task(publisher.run())

    async def connected() -> bool:
        return publisher._producer is not None

    try:
        await publisher.first_try()
        assert await publisher.publish([RECORD]) is Durability.SPOOL
        assert spool.stored == [RECORD]
        await asyncio.to_thread(broker.change_password, WRONG)
        await until(connected, "a producer with the new password", 30)
        assert await publisher.publish([RECORD]) is Durability.KAFKA
        with pytest.raises(AccessRefusedError, match="refuses the user"):
            await ping(sasl(broker))
    finally:
        running.cancel()
        await asyncio.to_thread(broker.change_password, PASSWORD)
        await publisher.close()
    refused, *others = [line for line in shown.getvalue().splitlines() if '"kafka_away"' in line]
    assert "refuses the user" in refused
    assert "__SASL_PASSWORD" in refused
    # The try that the change overtakes fails too, and is taken when it asks why: it has no refusal to tell of.
    assert [line for line in others if "refuses the user" in line] == []
    assert len(others) <= 1
    assert "topsecret" not in shown.getvalue()


@pytest.mark.slow
async def test_clients_that_run_outlive_a_password_that_does_not_hold(broker: SecureKafka) -> None:
    """After a restart the broker knows another password; producer and consumer wait until ours holds again."""
    settings = sasl(broker, request_timeout_seconds=60)
    group = f"group-{uuid.uuid4().hex}"
    consumer = make_consumer(whole(settings), group)
    consumer.subscribe([topics.INTENTS.name])
    producer = await open_producer(settings, topics.RECORD_BYTES_MAX)
    got: list[bytes] = []

    async def read() -> None:
        while True:
            got.extend(await take(consumer))

    await consumer.start()
    reading = asyncio.create_task(read())
    try:
        await producer.send_and_wait(topics.INTENTS.name, b"before", b"key")
        await until(lambda: seen(b"before", got), "the record before", 30)
        await asyncio.to_thread(broker.change_password, WRONG)
        await broker.stop()
        await broker.start()
        with pytest.raises(AccessRefusedError, match="refuses the user"):
            await ping(settings)
        sent = await producer.send(topics.INTENTS.name, b"meanwhile", b"key")
        done, _ = await asyncio.wait((reading, sent), timeout=1)
        assert not done, "both wait"
        await asyncio.to_thread(broker.change_password, PASSWORD)
        await sent
        await until(lambda: seen(b"meanwhile", got), "the record sent meanwhile", 30)
    finally:
        reading.cancel()
        await close_producer(producer, 5)
        await consumer.stop()
    assert got.count(b"meanwhile") == 1


async def seen(value: bytes, among: list[bytes]) -> bool:
    return value in among


@pytest.fixture
def consumer_settings(broker: SecureKafka, database: Any) -> Settings:
    """Give a consumer's settings whose password is wrong."""
    postgres = PostgresSettings(dsn=SecretStr(database.dsn))
    return Settings().model_copy(update={"kafka": sasl(broker, sasl_password=WRONG), "postgres": postgres})


async def test_a_consumer_that_is_refused_says_why_and_waits(consumer_settings: Settings, shown: io.StringIO) -> None:
    stop, probe = asyncio.Event(), Probe("consumer")
    role = asyncio.create_task(serve(consumer_settings, stop, probe))

    async def reported_twice() -> bool:
        return shown.getvalue().count("broker_away_at_start") >= 2

    try:
        await until(reported_twice, "it tries again", 30)
        assert not role.done()
    finally:
        stop.set()
        await asyncio.wait_for(role, 30)
    assert "refuses the user ratchet with SCRAM-SHA-256; check RATCHET_KAFKA__SASL_USER" in shown.getvalue()
    assert "topsecret" not in shown.getvalue()


async def test_a_consumer_whose_right_is_taken_away_ends_and_says_so(
    consumer_settings: Settings, broker: SecureKafka
) -> None:
    settings = consumer_settings.model_copy(update={"kafka": sasl(broker)})
    stop, probe = asyncio.Event(), Probe("consumer")
    role = asyncio.create_task(serve(settings, stop, probe))

    async def positioned() -> bool:
        lag = [sample for family in metrics.CONSUMER_LAG.collect() for sample in family.samples]
        return bool(lag) and len(lag) == metrics.PARTITIONS_ASSIGNED._value.get()

    async def ended() -> bool:
        return role.done()

    try:
        await until(positioned, "its positions", 30)
        async with broker.denied(TOPIC, topics.WEBHOOKS.name):
            await until(ended, "it ends", 60)
        with pytest.raises(AccessRefusedError, match="reading the topics in the group is not allowed"):
            await role
    finally:
        stop.set()
        await asyncio.gather(role, return_exceptions=True)
