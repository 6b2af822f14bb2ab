"""Kafka, Postgres and Redis in containers, of the images that compose.yaml names, for the tests."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from load.run import free_address
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
LOOPBACK = "127.0.0.1"
START_SECONDS_MAX = 120
INSIDE = {"kafka": 9092, "postgres": 5432, "redis": 6379}


def image_of(name: str) -> str:
    """Return the image that compose.yaml names unless a digest is given."""
    found = re.search(rf"image: \$\{{{name.upper()}_IMAGE:-([^}}]+)\}}", COMPOSE.read_text())
    assert found, f"compose.yaml names no image for {name}"
    return found[1]


def kafka_container(port: int) -> DockerContainer:
    """Return one broker that is its own controller and says that it is at this port of loopback."""
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{LOOPBACK}:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
    return DockerContainer(image_of("kafka")).with_envs(**settings).waiting_for(
        LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(START_SECONDS_MAX)
    )  # fmt: skip


@contextmanager
def started() -> Iterator[dict[str, int]]:
    """Run all three; yield their ports of loopback by name."""
    ports = {name: int(free_address().rpartition(":")[2]) for name in INSIDE}
    server = PostgresContainer(image_of("postgres"), username="postgres", dbname="postgres")
    server.with_env("POSTGRES_HOST_AUTH_METHOD", "trust")
    ready = LogMessageWaitStrategy("Ready to accept connections").with_startup_timeout(START_SECONDS_MAX)
    redis = DockerContainer(image_of("redis")).waiting_for(ready)
    brokers = {"kafka": kafka_container(ports["kafka"]), "postgres": server, "redis": redis}
    for name, container in brokers.items():
        # docker's own pair: `with_bind_ports` knows no address, and would publish on all interfaces
        container.ports[str(INSIDE[name])] = (LOOPBACK, ports[name])  # type: ignore[assignment]
    with brokers["postgres"], brokers["kafka"], brokers["redis"]:
        yield ports
