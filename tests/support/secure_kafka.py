"""A Kafka of its own whose listeners want TLS and SASL: one node with PEM files, as a managed Kafka is met."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest
from certificates import Pair, issue

from runtime.settings import StackSettings
from runtime.stack import guard, jars, kafka
from runtime.stack.broker import ENVIRONMENT, BrokerServer, last_words
from runtime.stack.ports import LOOPBACK, choose

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from pathlib import Path

    from runtime.stack.guard import Guard

USER: Final = "ratchet"
PASSWORD: Final = "kafka-topsecret-1"
SCOPE: Final = "kafka"
"""What a token must be good for."""
START_SECONDS_MAX: Final = 60.0
TOPIC: Final = 2
GROUP: Final = 3
LITERAL: Final = 3
EVERY_OPERATION: Final = 2
DENY: Final = 2
"""Codes of Kafka's ACL requests."""
LISTENERS: Final = {"PLAINTEXT": "PLAINTEXT", "SASL": "SASL_SSL", "MUTUAL": "SSL", "MISNAMED": "SSL"}
"""A listener and its protocol. MUTUAL wants a client's certificate, MISNAMED says that it is another host."""


@dataclass
class SecureKafka:
    """Where each listener answers, by name, and the files of those who speak with it."""

    broker: BrokerServer
    addresses: dict[str, str]
    folder: Path
    ca_file: Path
    certificate_file: Path
    key_file: Path
    client: Pair
    held: Guard | None = None

    async def start(self) -> None:
        """Start the broker and return when it serves."""
        self.held = await asyncio.to_thread(guard.start, self.broker, StackSettings())
        async with asyncio.timeout(START_SECONDS_MAX):
            while not (await _serves(self.broker) and await _listen(self.addresses.values())):
                assert self.held.alive(), last_words(self.broker.log)
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Stop the broker; its connections end."""
        if self.held is not None:
            await asyncio.to_thread(self.held.stop)

    def change_password(self, password: str) -> None:
        """Give the user another SCRAM password; blocks for seconds."""
        reported = f"SCRAM-SHA-256=[password={password}]"
        words = ("--bootstrap-server", self.addresses["PLAINTEXT"], "--alter", "--add-config", reported)
        who = ("--entity-type", "users", "--entity-name", USER)
        libraries = sorted((self.folder / "libs").iterdir())
        command = kafka.command(libraries, self.folder, None, "kafka.admin.ConfigCommand", *words, *who)
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, env=ENVIRONMENT)

    @asynccontextmanager
    async def denied(self, resource: int, name: str) -> AsyncIterator[None]:
        """Deny the user everything with one TOPIC or GROUP for as long as it lasts."""
        entry = (resource, name, LITERAL, f"User:{USER}", "*", EVERY_OPERATION, DENY)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.addresses["PLAINTEXT"])
        await admin.start()
        try:
            await admin._send_request(CreateAclsRequest(*entry))
            try:
                yield
            finally:
                await admin._send_request(DeleteAclsRequest(*entry))
        finally:
            await admin.close()


def configuration(folder: Path, ports: dict[str, int], controller_port: int) -> str:
    """Return server.properties: the embedded stack's, and what it lacks; of a name that comes twice the last counts."""
    listeners = ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in ports.items())
    advertised = listeners.replace(f"MISNAMED://{LOOPBACK}", "MISNAMED://localhost")
    protocols = ",".join(f"{name}:{protocol}" for name, protocol in LISTENERS.items())
    jaas = "org.apache.kafka.common.security"
    lines = {
        "listeners": f"{listeners},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": advertised,
        "listener.security.protocol.map": f"{protocols},CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker-store.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.sasl.sasl.enabled.mechanisms": "SCRAM-SHA-256,PLAIN,OAUTHBEARER",
        "listener.name.sasl.scram-sha-256.sasl.jaas.config": f"{jaas}.scram.ScramLoginModule required;",
        "listener.name.sasl.plain.sasl.jaas.config": (
            f'{jaas}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        ),
        # Kafka's own validator of unsecured JWTs: it checks everything but a signature, and wants this scope.
        "listener.name.sasl.oauthbearer.sasl.jaas.config": (
            f'{jaas}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker" '
            f'unsecuredValidatorRequiredScope="{SCOPE}";'
        ),
        "connection.failed.authentication.delay.ms": "0",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # who comes by PLAINTEXT: the broker itself, and the tests' own hand
        "allow.everyone.if.no.acl.found": "true",
    }
    text = kafka.configuration(ports["PLAINTEXT"], controller_port)
    return text + "".join(f"{name}={value}\n" for name, value in lines.items())


def write_certificates(folder: Path) -> Pair:
    """Write the CA and the broker's store; return a client's certificate and key."""
    ca = issue("Test CA")
    ca.write(folder, "ca")
    broker = issue("broker", ca, address=LOOPBACK)
    (folder / "broker-store.pem").write_bytes(broker.key_pem() + broker.certificate_pem() + ca.certificate_pem())
    return issue("client", ca)


def format_storage(libraries: list[Path], folder: Path, cache: Path | None) -> None:
    """Format the data folder, the SCRAM user in it."""
    scram = f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]"
    words = ("format", "-t", "R" * 21 + "A", "-c", str(folder / "server.properties"), "--add-scram", scram)
    command = kafka.command(libraries, folder, cache, "kafka.tools.StorageTool", *words)
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=ENVIRONMENT)


def prepare(folder: Path, lines: Mapping[str, str], flags: Sequence[str]) -> SecureKafka:
    """Lay everything out in a new folder and return the broker, not started yet.

    `lines` are further ones of server.properties, `flags` are for the JVM.
    """
    settings = StackSettings()
    folder.mkdir(parents=True)
    cache = jars.default_cache(folder)
    libraries = jars.install(jars.fetch(cache, settings), folder / "libs")
    trained = kafka.train(libraries, cache, settings)
    ports: dict[str, int] = {}
    for name in LISTENERS:
        ports[name] = choose(ports.values())
    controller_port = choose(ports.values())
    client = write_certificates(folder)
    certificate, key = client.write(folder, "client")
    kafka.write_configuration(folder, ports["PLAINTEXT"], controller_port)
    more = "".join(f"{name}={value}\n" for name, value in lines.items())
    (folder / "server.properties").write_text(configuration(folder, ports, controller_port) + more)
    format_storage(list(libraries), folder, trained)
    argv = kafka.command(libraries, folder, trained, "kafka.Kafka", str(folder / "server.properties"))
    addresses = {name: f"{LOOPBACK}:{port}" for name, port in ports.items()}
    broker = BrokerServer(kafka.NAME, ports["PLAINTEXT"], (argv[0], *flags, *argv[1:]), folder)
    return SecureKafka(broker, addresses, folder, folder / "ca.pem", certificate, key, client)


@asynccontextmanager
async def secure_kafka(
    folder: Path, lines: Mapping[str, str] | None = None, flags: Sequence[str] = ()
) -> AsyncIterator[SecureKafka]:
    """Run the broker in a new folder, which is removed afterwards; see `prepare`."""
    try:
        place = await asyncio.to_thread(prepare, folder, lines or {}, flags)
        try:
            await place.start()
            yield place
        finally:
            await place.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _listen(addresses: Iterable[str]) -> bool:
    """Tell whether every listener takes connections: the brokers' own opens first."""
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
    return True


async def _serves(broker: BrokerServer) -> bool:
    with suppress(OSError, EOFError):
        await kafka.ask_versions(broker.port)
        return True
    return False
