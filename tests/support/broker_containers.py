"""Kafka, Postgres and Redis in containers, of the images that compose.yaml names, for the tests.

Their files are in memory, as those of the embedded brokers are: a database for each test is 350 files made and removed.
`fsync` is asked for all the same. What a disk must keep is proved by `make containers`, on volumes.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from load.run import free_address
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
LOOPBACK = "127.0.0.1"
START_SECONDS_MAX = 120
INSIDE = {"kafka": 9092, "postgres": 5432, "redis": 6379}
FILES = {"kafka": "/kafka", "postgres": "/var/lib/postgresql", "redis": "/data"}
"""Kafka's is a folder that its image has not: podman takes over that folder's mode, not its owner."""
RUN_OF = "ratchet.tests.run"
"""The label that names the process of pytest that started a container."""


def image_of(name: str) -> str:
    """Return the image that compose.yaml names unless a digest is given."""
    found = re.search(rf"image: \$\{{{name.upper()}_IMAGE:-([^}}]+)\}}", COMPOSE.read_text())
    assert found, f"compose.yaml names no image for {name}"
    return found[1]


def kafka_container(port: int) -> DockerContainer:
    """Return one broker that is its own controller and says that it is at this port of loopback.

    It asks itself inside its container, from where the published port can't be reached; else no transaction ends.
    """
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LOG_DIRS": FILES["kafka"],
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,ITSELF://localhost:9094,CONTROLLER://localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{LOOPBACK}:{port},ITSELF://localhost:9094",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,ITSELF:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "ITSELF",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        # A start takes 3.2 s of CPU so, and 5.7 s where it compiles for a long life.
        "KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true",
    }
    return DockerContainer(image_of("kafka")).with_envs(**settings).waiting_for(
        LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(START_SECONDS_MAX)
    )  # fmt: skip


class BrokerContainer:
    """A broker's container, which is suspended and resumed as `psutil.Process` is."""

    def __init__(self, container: DockerContainer) -> None:
        self._container = container.get_wrapped_container()

    def suspend(self) -> None:
        """Let all its processes stand where they are; its connections stay."""
        self._container.pause()

    def resume(self) -> None:
        """Let them go on."""
        self._container.unpause()


STARTED: dict[int, BrokerContainer] = {}
"""The containers of this process by their ports of loopback."""


def remove_left() -> None:
    """Remove the containers of runs that were killed."""
    client = DockerClient().client
    for one in client.containers.list(all=True, filters={"label": RUN_OF}):
        if not psutil.pid_exists(int(one.labels[RUN_OF])):
            one.remove(force=True, v=True)
    client.close()


@contextmanager
def started() -> Iterator[dict[str, int]]:
    """Run all three; yield their ports of loopback by name."""
    remove_left()
    ports = {name: int(free_address().rpartition(":")[2]) for name in INSIDE}
    server = PostgresContainer(image_of("postgres"), username="postgres", dbname="postgres")
    server.with_env("POSTGRES_HOST_AUTH_METHOD", "trust")
    ready = LogMessageWaitStrategy("Ready to accept connections").with_startup_timeout(START_SECONDS_MAX)
    redis = DockerContainer(image_of("redis")).waiting_for(ready)
    brokers = {"kafka": kafka_container(ports["kafka"]), "postgres": server, "redis": redis}
    for name, container in brokers.items():
        # docker's own pair: `with_bind_ports` knows no address, and would publish on all interfaces
        container.ports[str(INSIDE[name])] = (LOOPBACK, ports[name])  # type: ignore[assignment]
        container.with_tmpfs_mount(FILES[name], "mode=1777").with_kwargs(labels={RUN_OF: str(os.getpid())})
    with brokers["postgres"], brokers["kafka"], brokers["redis"]:
        STARTED.update({ports[name]: BrokerContainer(container) for name, container in brokers.items()})
        yield ports
        STARTED.clear()
