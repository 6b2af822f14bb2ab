"""Each process of compose.yaml with its own principal on a real broker: what it may do, and what it may not.

The broker is configured by what compose.yaml gives it, knows whom new-secrets.sh names, and grants what kafka/rights.sh
asks the administrator's tool for; each process reaches it by its own file of secrets.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import CreateAclsRequest
from consumer_harness import until
from secure_kafka import SecureKafka

from consumer.role import _open_consumer
from ops.console.backlog import BacklogReader
from ops.dlq_rebuild import _assign, _topic
from ops.seal_topic import newest_seal, publish_seal
from ops.topic_reader import reading
from producers.ingress.publishing.publisher import Durability, Publisher
from producers.ingress.publishing.records import Outgoing
from runtime.kafka import close_producer, ensure_topics, open_producer
from runtime.settings import KafkaSettings, Settings, StackSettings, load
from runtime.stack import jars, kafka
from runtime.stack.broker import BrokerServer
from runtime.stack.ports import LOOPBACK, choose
from schemas import topics
from schemas.errors import AccessRefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from aiokafka import AIOKafkaConsumer

pytestmark = pytest.mark.integration

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
PROCESSES: Final = ("ingress", "consumer", "relay", "dispatcher", "console", "ops")
CODES: Final = {
    "Topic": 2, "Group": 3, "literal": 3, "prefixed": 4, "Read": 3, "Write": 4, "Create": 5, "Describe": 8,
    "DescribeConfigs": 10, "allow": 3,
}  # fmt: skip
"""Kafka's codes of resources, patterns, operations and permissions."""


SEALS: Final = "ratchet-seals"


class Nowhere:
    """A spool that takes nothing: what Kafka refuses is seen."""

    async def store(self, records: object) -> None:
        raise AssertionError(f"Kafka did not take {records!r}")


def broker_lines(port: int, controller_port: int, folder: Path) -> dict[str, str]:
    """Return server.properties as the image makes it of compose's environment, with this machine's addresses."""
    given: dict[str, str] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["kafka"]["environment"]
    left_out = ("KAFKA_OPTS", "KAFKA_HEAP_OPTS")
    lines = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in given.items()
        if name not in left_out
    }
    lines["log.dirs"] = str(folder / "data")
    for name in ("listeners", "advertised.listeners", "controller.quorum.voters"):
        here = lines[name].replace("kafka:9092", ":9092").replace(":9092", f"{LOOPBACK}:{port}")
        lines[name] = here.replace("localhost:9093", f"{LOOPBACK}:{controller_port}")
    return lines


def prepare(folder: Path) -> SecureKafka:
    """Lay out the broker and the secrets; it is not started yet."""
    folder.mkdir(parents=True)
    shutil.copy(DEPLOY / "new-secrets.sh", folder)
    subprocess.run(["sh", "new-secrets.sh"], cwd=folder, check=True, capture_output=True)
    settings = StackSettings()
    cache = jars.default_cache(folder)
    libraries = jars.install(jars.fetch(cache, settings), folder / "libs")
    trained = kafka.train(libraries, cache, settings)
    port = choose(())
    controller_port = choose((port,))
    kafka.write_configuration(folder, port, controller_port)
    base = kafka.configuration(port, controller_port)
    own = "".join(f"{name}={value}\n" for name, value in broker_lines(port, controller_port, folder).items())
    (folder / "server.properties").write_text(base + own)
    kafka.format_storage(list(libraries), folder, trained, "R" * 21 + "A")
    argv = kafka.command(libraries, folder, trained, "kafka.Kafka", str(folder / "server.properties"))
    login = f"-Djava.security.auth.login.config={folder / 'secrets' / 'kafka-jaas.conf'}"
    broker = BrokerServer(kafka.NAME, port, (argv[0], login, *argv[1:]), folder)
    return SecureKafka(broker, {"SASL": f"{LOOPBACK}:{port}"}, folder, folder, folder, folder, None)  # type: ignore[arg-type]


def granted(folder: Path) -> Iterator[tuple[Any, ...]]:
    """Yield what rights.sh asks for, as a request to the broker takes it, read from the words it gives the tool."""
    given = folder / "given"
    tool = folder / "kafka-acls.sh"
    tool.write_text(f'#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done >> {given}\necho --end >> {given}\n')
    tool.chmod(0o755)
    words = ["sh", DEPLOY / "kafka" / "rights.sh", tool, "broker:9092", "admin"]
    subprocess.run(words, check=True, env=os.environ | {"SEAL_TOPIC": SEALS})
    parser = argparse.ArgumentParser()
    for name in ("--bootstrap-server", "--command-config"):
        parser.add_argument(name, required=True)
    parser.add_argument("--add", action="store_true", required=True)
    for name in ("--allow-principal", "--operation", "--topic", "--group"):
        parser.add_argument(name, action="append", default=[])
    parser.add_argument("--resource-pattern-type", default="literal")
    for words in given.read_text().split("--end\n")[:-1]:
        found = parser.parse_args(words.splitlines())
        pattern = CODES[found.resource_pattern_type]
        for kind, names in (("Topic", found.topic), ("Group", found.group)):
            for name in names:
                for principal in found.allow_principal:
                    for operation in found.operation:
                        yield CODES[kind], name, pattern, principal, "*", CODES[operation], CODES["allow"]


def reached_as(place: SecureKafka, process: str) -> Settings:
    """Return the settings of a process: its own file of secrets, with this broker's address."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("RATCHET_")]:
            patch.delenv(name)
        patch.setenv("RATCHET_CONFIG", str(place.folder / "secrets" / f"ratchet-{process}.toml"))
        patch.setenv("RATCHET_KAFKA__BOOTSTRAP", place.addresses["SASL"])
        return load()


def administrator(place: SecureKafka) -> KafkaSettings:
    lines = (place.folder / "secrets" / "kafka-admin.properties").read_text().replace("\\\n", " ")
    reported = dict(line.split("=", 1) for line in lines.splitlines())
    words = dict(word.split("=", 1) for word in shlex.split(reported["sasl.jaas.config"].rstrip(";"))[2:])
    return KafkaSettings(
        bootstrap=place.addresses["SASL"],
        security_protocol=reported["security.protocol"],  # type: ignore[arg-type]
        sasl_mechanism=reported["sasl.mechanism"],  # type: ignore[arg-type]
        sasl_user=words["username"],
        sasl_password=words["password"],  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecureKafka]:
    folder = tmp_path_factory.mktemp("rights") / "kafka"
    place = await asyncio.to_thread(prepare, folder)
    try:
        await place.start()
        found = administrator(place)
        client = AIOKafkaAdminClient(
            bootstrap_servers=found.bootstrap, security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN",
            sasl_plain_username=found.sasl_user,
            sasl_plain_password=found.sasl_password.get_secret_value() if found.sasl_password else "",
        )  # fmt: skip
        await client.start()
        for entry in granted(folder):
            await client._send_request(CreateAclsRequest(*entry))
        await client.close()
        await ensure_topics(reached_as(place, "relay").kafka)
        yield place
    finally:
        await place.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def fetched(consumer: AIOKafkaConsumer) -> list[bytes | None]:
    """Return the values of the next records."""
    parts = await consumer.getmany(timeout_ms=500)
    return [one.value for part in parts.values() for one in part]


async def may_write(settings: Settings, topic: topics.Topic) -> bool:
    """Tell whether the broker takes a record of this principal."""
    try:
        producer = await open_producer(settings.kafka, topics.RECORD_BYTES_MAX)
    except AccessRefusedError:
        return False
    try:
        async with asyncio.timeout(10):
            await producer.send_and_wait(topic.name, b"{}", b"key")
    except (KafkaError, TimeoutError):
        return False
    finally:
        await close_producer(producer, 5)
    return True


WRITERS: Final = {
    "ingress": {topics.WEBHOOKS},
    "relay": set(topics.ALL),
    "consumer": set(),
    "dispatcher": set(),
    "console": set(),
    "ops": set(),
}


@pytest.mark.parametrize("process", PROCESSES)
async def test_only_the_ingress_and_the_relay_write_what_counts_as_verified(broker: SecureKafka, process: str) -> None:
    settings = reached_as(broker, process)
    may = {topic for topic in topics.ALL if await may_write(settings, topic)}
    assert {topic.name for topic in may} == {topic.name for topic in WRITERS[process]}


async def test_the_ingress_publishes(broker: SecureKafka) -> None:
    publisher = Publisher(reached_as(broker, "ingress"), Nowhere())
    task = asyncio.create_task(publisher.run())

    async def connected() -> bool:
        return publisher._producer is not None

    try:
        await until(connected, "the publisher is connected", 20)
        record = Outgoing(topics.WEBHOOKS.name, b"key", uuid.uuid4().bytes, (("ce_id", b"1"),))
        assert await publisher.publish([record]) is Durability.KAFKA
    finally:
        task.cancel()
        await publisher.close()


async def test_the_consumer_reads_and_commits(broker: SecureKafka) -> None:
    settings = reached_as(broker, "consumer")
    value = uuid.uuid4().bytes
    assert await may_write(reached_as(broker, "ingress"), topics.WEBHOOKS)
    producer = await open_producer(reached_as(broker, "relay").kafka, topics.RECORD_BYTES_MAX)
    sent = await producer.send_and_wait(topics.WEBHOOKS.name, value, b"key")
    await close_producer(producer, 5)
    consumer = await _open_consumer(settings)

    async def assigned() -> bool:
        return bool(consumer.assignment())

    try:
        consumer.subscribe([topic.name for topic in topics.CONSUMED])
        await until(assigned, "the consumer has partitions", 30)
        await consumer.seek_to_beginning()
        async with asyncio.timeout(30):
            while value not in await fetched(consumer):
                pass
        await consumer.commit()
    finally:
        await consumer.stop()
    assert sent.offset >= 0


@pytest.mark.parametrize("process", ["console", "ops"])
async def test_people_s_processes_see_how_far_it_is(broker: SecureKafka, process: str) -> None:
    reader = BacklogReader(reached_as(broker, process))
    try:
        assert set((await reader.read()).lag) == {topic.name for topic in topics.CONSUMED}
    finally:
        await reader.close()


async def letters(settings: Settings, value: bytes) -> bool:
    """Tell whether a reader of dead letters comes to this one."""
    async with reading(settings, topics.DLQ.name) as consumer:
        await _assign(consumer, topics.DLQ.name, await _topic(settings), {})
        while value not in await fetched(consumer):
            pass
    return True


async def test_the_command_line_alone_reads_dead_letters(broker: SecureKafka) -> None:
    value = uuid.uuid4().bytes
    producer = await open_producer(reached_as(broker, "relay").kafka, topics.RECORD_BYTES_MAX)
    await producer.send_and_wait(topics.DLQ.name, value, b"key")
    await close_producer(producer, 5)
    async with asyncio.timeout(30):
        assert await letters(reached_as(broker, "ops"), value)
        with pytest.raises(AccessRefusedError):
            await letters(reached_as(broker, "console"), value)


async def test_seals_are_written_and_read_by_the_command_line_alone(broker: SecureKafka, tmp_path: Path) -> None:
    seal = tmp_path / "of-today.seal"
    seal.write_bytes(b"a seal")
    with pytest.raises((AccessRefusedError, UnavailableError)):
        await publish_seal(reached_as(broker, "relay"), SEALS, seal)
    assert await publish_seal(reached_as(broker, "ops"), SEALS, seal) == 1
    async with newest_seal(reached_as(broker, "ops"), SEALS) as found:
        assert found.read_bytes() == b"a seal"
    topic = topics.Topic(SEALS, topics.RECORD_BYTES_MAX, -1)
    assert [process for process in PROCESSES if await may_write(reached_as(broker, process), topic)] == ["ops"]


async def test_who_does_not_log_in_gets_nowhere(broker: SecureKafka) -> None:
    with pytest.raises(UnavailableError):
        await ensure_topics(KafkaSettings(bootstrap=broker.addresses["SASL"]))


def test_the_consumer_reads_what_the_product_says_it_does(tmp_path: Path) -> None:
    reads = {one[1] for one in granted(tmp_path) if one[3] == "User:ratchet-consumer" and one[0] == CODES["Topic"]}
    assert reads == {topic.name for topic in topics.CONSUMED}
